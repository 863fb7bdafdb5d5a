/** Turns a config with patterns of tables into one of plain archives, by asking the sources. What is below knows plain archives alone. */
import { fail, toFailure, type Failure, type FailureError } from '../base/errors.ts';
import { countOf } from '../base/units.ts';
import { clashesOf } from '../config/prefixes.ts';
import { archiveNamed, destinationOf, sourceOf, withArchives } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { archiveOfPatterns, archiveOfTable, isArchiveName, MOST_TABLES, patternsOf } from '../config/tables.ts';
import type { Client } from '../postgres/connect.ts';
import { findNearTables, findTables, type FoundTables } from '../postgres/find-tables.ts';
import { parseTableName, type TableName } from '../postgres/identifiers.ts';
import { writeTableName } from '../postgres/table-pattern.ts';
import { openStore } from '../store/open.ts';
import { lookWithin, LOOK_LIMIT_MS } from './look-within.ts';

/** What an entry with patterns stands for now. */
export interface Expanded {
  entry: ArchiveConfig;
  archives: ArchiveConfig[];
  /** Whether the source has said so; else `failures` has the reason. */
  isAnswered: boolean;
  /** Why it stands for none, or some tables are no archives. */
  failures: Failure[];
}

/** The entries in their order. Each source is asked within `limitMs`. Never throws. */
export async function expandEntries(
  config: Config,
  entries: readonly ArchiveConfig[] = Object.values(config.patterns),
  limitMs: number = LOOK_LIMIT_MS,
): Promise<Expanded[]> {
  const sources = new Set(entries.map((entry) => sourceOf(config, entry)));
  const answers = await Promise.all(
    Array.from(sources, (source) => {
      const own = entries.filter((entry) => sourceOf(config, entry) === source);
      return lookWithin(limitMs, source, (client) => findOfAll(client, config, own)).catch((error: unknown) =>
        own.map((entry): Answer => ({ entry, isAnswered: false, tables: [], failures: [failureOf(entry, error)] })),
      );
    }),
  );
  const inOrder = entries.flatMap((entry) => answers.flat().filter((answer) => answer.entry === entry));
  return judge(config, inOrder);
}

/** The config with the archives that were found. */
export function withExpanded(config: Config, expanded: readonly Expanded[]): Config {
  return withArchives(
    config,
    expanded.flatMap(({ archives }) => archives),
  );
}

/** The archives that an entry made before, by the folders that its destination has; among them may be such of tables that are gone. */
export async function expandByFolders(
  config: Config,
  entry: ArchiveConfig,
  signal: AbortSignal,
): Promise<ArchiveConfig[]> {
  const store = openStore(destinationOf(config, entry), signal);
  const found: ArchiveConfig[] = [];
  try {
    for await (const name of store.listFolders('')) {
      const archive = archiveOfPatterns(config, name);
      if (archive?.entry === entry.name) found.push(archive);
      if (found.length === MOST_TABLES) break;
    }
  } finally {
    store.close();
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

interface Answer extends Omit<Expanded, 'archives'> {
  tables: TableName[];
}

async function findOfAll(client: Client, config: Config, entries: readonly ArchiveConfig[]): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const entry of entries) answers.push(await find(client, config, entry));
  return answers;
}

/** What rehearsals of restores make is no table of the application. */
async function find(client: Client, { audits }: Config, entry: ArchiveConfig): Promise<Answer> {
  const notIn = audits?.rehearse === undefined ? [] : [audits.rehearse.schema];
  const found = await findTables(client, { ...patternsOf(entry), notIn }, MOST_TABLES);
  if (found.more) return { entry, isAnswered: true, tables: [], failures: [failureOf(entry, tooMany(entry))] };
  if (found.tables.length > 0) return { entry, isAnswered: true, tables: found.tables, failures: [] };
  return {
    entry,
    isAnswered: true,
    tables: [],
    failures: [failureOf(entry, await nothingFound(client, entry, found))],
  };
}

function tooMany(entry: ArchiveConfig): FailureError {
  const message = `${textOf(entry)} finds more than ${MOST_TABLES.toLocaleString('en')} tables, which is the most of one entry`;
  return fail('no-such-tables', {
    stage: 'plan',
    message,
    hint: 'Narrow the pattern, leave tables out by exceptTables, or write several entries.',
  });
}

async function nothingFound(client: Client, entry: ArchiveConfig, { passedOver }: FoundTables): Promise<FailureError> {
  if (passedOver > 0) {
    const message = `${textOf(entry)} finds ${countOf(passedOver, 'partition')} and no table`;
    return fail('no-such-tables', {
      stage: 'plan',
      message,
      hint: 'Name the partitioned table: its partitions are archived with it.',
    });
  }
  const { patterns } = patternsOf(entry);
  const near = new Set<string>();
  for (const pattern of patterns) for (const name of await findNearTables(client, pattern)) near.add(name);
  const hint =
    near.size === 0
      ? undefined
      : `Did you mean ${[...near].slice(0, 3).join(', ')}? Names with capitals need double quotes.`;
  return fail('no-such-tables', { stage: 'plan', message: `${textOf(entry)} finds no table`, hint });
}

function textOf({ tables = [] }: ArchiveConfig): string {
  return `tables: ${tables.join(', ')}`;
}

function failureOf(entry: ArchiveConfig, error: unknown): Failure {
  return { ...toFailure(error, 'plan'), archive: entry.name };
}

/** An entry that names its table goes before one that finds it. Two that find the same name are told, and neither is taken. */
function judge(config: Config, answers: readonly Answer[]): Expanded[] {
  const made = answers.map(({ entry, tables, ...answer }) => ({
    ...{ ...answer, entry },
    made: tables.map((table) => ({ table, archive: archiveOfTable(entry, table) })),
  }));
  const counts = new Map<string, string[]>();
  for (const { archive, table } of made.flatMap((one) => one.made))
    counts.set(archive.name, [...(counts.get(archive.name) ?? []), writeTableName(table)]);
  const all = made.flatMap((one) => one.made.map(({ archive }) => archive));
  const clashes = clashesOf(
    config,
    all.filter(({ name }) => isArchiveName(name)),
  );
  return made.map(({ made: own, entry, isAnswered, failures }) => {
    const archives: ArchiveConfig[] = [];
    const refused: Failure[] = [];
    for (const { archive, table } of own) {
      const named = archiveNamed(config, archive.name);
      if (named !== undefined && isSameTable(named, table)) continue;
      const problem =
        describeProblem(archive, table, named, counts.get(archive.name) ?? []) ?? clashes.get(archive.name);
      if (problem === undefined) archives.push(archive);
      else {
        const message = `table ${writeTableName(table)} of ${textOf(entry)} ${problem}`;
        refused.push(failureOf(entry, fail('table-not-taken', { stage: 'plan', message })));
      }
    }
    return { entry, archives, isAnswered, failures: [...failures, ...refused] };
  });
}

function isSameTable({ table }: ArchiveConfig, found: TableName): boolean {
  if (table === undefined) return false;
  const named = parseTableName(table);
  return named.table === found.table && (named.schema === undefined || named.schema === found.schema);
}

function describeProblem(
  { name }: ArchiveConfig,
  table: TableName,
  named: ArchiveConfig | undefined,
  tables: readonly string[],
): string | undefined {
  if (!isArchiveName(name))
    return 'cannot give its name to an archive, which has letters, digits, _, . and -, begins with a letter or digit, and has at most 100 of them';
  if (named !== undefined) return `would be the archive ${name}, which the config has of its own`;
  const others = tables.filter((other) => other !== writeTableName(table));
  if (others.length > 0) return `would be the archive ${name}, as ${others.join(', ')} would`;
  return tables.length > 1 ? `is found by another entry with tables as well` : undefined;
}
