/** Entries of archives that name tables by patterns: each table that is found becomes an archive of its own. */
import { ownEntry } from '../base/own.ts';
import { matchesPattern, parseTablePattern, writeTableName, type TablePattern } from '../postgres/table-pattern.ts';
import type { TableName } from '../postgres/identifiers.ts';
import { wholeName } from './archive-name.ts';
import { NAME_PATTERN, type ArchiveConfig, type Config } from './schema.ts';

/** The most archives that one entry makes. */
export const MOST_TABLES = 1000;

/** All entries as they are written, for what is judged without a server. */
export function allEntries(config: Pick<Config, 'archives' | 'patterns'>): ArchiveConfig[] {
  return [...Object.values(config.archives), ...Object.values(config.patterns)];
}

/** The tables that an entry names, and those that it leaves out; the config was checked for what is no pattern. */
export function patternsOf({
  tables = [],
  exceptTables = [],
}: ArchiveConfig): Record<'patterns' | 'except', TablePattern[]> {
  const parse = (texts: readonly string[]): TablePattern[] => texts.flatMap((text) => parseTablePattern(text) ?? []);
  return { patterns: parse(tables), except: parse(exceptTables) };
}

/** The archive that an entry makes of a table: all of its options, and the table in the place of the patterns. */
export function archiveOfTable(entry: ArchiveConfig, table: TableName): ArchiveConfig {
  const { tables: _tables, exceptTables: _except, ...options } = entry;
  return { ...options, name: wholeName(table), table: writeTableName(table), entry: entry.name };
}

/** Whether an archive can have this name, which is part of its keys. */
export function isArchiveName(name: string): boolean {
  return NAME_PATTERN.test(name);
}

/**
 * The archive that an entry would make by this name, without asking the server whether there is such a table; undefined where
 * none would. What lies in the destination is found by it, also of a table that is gone.
 */
export function archiveOfPatterns(config: Config, name: string): ArchiveConfig | undefined {
  if (!isArchiveName(name) || ownEntry(config.archives, name) !== undefined) return undefined;
  for (const entry of Object.values(config.patterns)) {
    const table = tablesNamed(name).find((table) => isMeant(entry, table));
    if (table !== undefined) return archiveOfTable(entry, table);
  }
  return undefined;
}

/** The tables that a name can stand for: a dot may be part of a name. */
function tablesNamed(name: string): TableName[] {
  const others = Array.from(name.matchAll(/\./g), ({ index }) => ({
    schema: name.slice(0, index),
    table: name.slice(index + 1),
  }));
  return [{ schema: 'public', table: name }, ...others.filter(({ schema }) => schema !== 'public')];
}

/** Whether the patterns of an entry name this table. */
export function isMeant(entry: ArchiveConfig, table: TableName): boolean {
  const { patterns, except } = patternsOf(entry);
  return patterns.some((one) => matchesPattern(one, table)) && !except.some((one) => matchesPattern(one, table));
}
