/** Turns an archive's table or query, its columns and its filter into what the statements are built from. */
import type { Client } from '../postgres/connect.ts';
import { fail } from '../base/errors.ts';
import { nearestName } from '../base/suggest.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import type { Column } from '../postgres/columns.ts';
import { firstFrom } from '../calendar/windows.ts';
import { defineTypes, type TypeDefinition } from '../postgres/type-definitions.ts';
import { quoteIdentifier, quoteTableName } from '../postgres/identifiers.ts';
import type { RangePartition } from '../postgres/range-partitions.ts';
import { describeKeyOrder } from '../postgres/table-stats.ts';
import { describeQuery, describeRelation, RELATION_WORDS, type Relation } from '../postgres/relation.ts';
import {
  bindPlaceholders,
  bindSlot,
  describeSqlProblem,
  trimStatement,
  type Placeholder,
} from '../postgres/sql-text.ts';
import type { Selection } from '../postgres/select.ts';
import { boundLiterals, openWindows, partitionAt, type OpenWindows } from './partition-windows.ts';
import { openCalendar, pointLiteral, windowOf, withinWindow, type RunWindow, type WindowOption } from './window.ts';

/** What an archive reads, as of one slot. */
export interface Subject {
  /** As the operator knows it: `public.fetch_queue`, or `query`. */
  name: string;
  selection: Selection;
  /** What the rows lie in, with the columns of what was asked for; undefined for a query. */
  relation: Relation | undefined;
  /** What SQL calls the rows by, where that is not the name of the relation. */
  alias?: string;
  /** Column names that a key cut may use: the configured key, else the primary key; only names that are read. */
  key: readonly string[];
  /** Of a windowed archive: the window of the run. */
  window?: RunWindow;
  /** When all of that window has passed, by a clock that is right. */
  windowEndsAt?: Date;
  /** The partition that is the window: the relation is this one alone. */
  partition?: RangePartition;
  /** The filter of the config as it was bound; undefined without one. */
  where?: string;
  /** What the types of the columns are made of. */
  types?: readonly TypeDefinition[];
  /** What the order of the key depends on besides its values: types, collations and their versions. */
  keyOrder: readonly string[];
}

/**
 * Describes the archive's table or query on `client`, with `:slot`, or `:from` and `:to` bound. Throws FailureError for what
 * is not there, and for a slot that begins no window of a windowed archive.
 */
export async function describeSubject(client: Client, archive: ArchiveConfig, slot: Date): Promise<Subject> {
  const subject = await describeRows(client, archive, slot);
  const types = await defineTypes(
    client,
    subject.selection.columns.map(({ typeOid }) => typeOid),
  );
  return { ...subject, types };
}

async function describeRows(client: Client, archive: ArchiveConfig, slot: Date): Promise<Subject> {
  requireOneExpression('where', archive.where);
  requireOneExpression('query', archive.query);
  if (archive.table !== undefined) return describeTable(client, archive, archive.table, slot);
  const params = archive.params ?? [];
  const { sql, window, windowEndsAt, ...bound } = await describeBound(client, archive, archive.query ?? '', slot);
  const columns = printAs(archive, bound.columns);
  const key = archive.key ?? [];
  requireColumns(columns, key, 'key');
  const selection = { kind: 'query', sql, params, columns } as const;
  const windowed = { ...(window && { window }), ...(windowEndsAt && { windowEndsAt }) };
  return { name: 'query', selection, relation: undefined, key, keyOrder: [], ...windowed };
}

async function describeBound(
  client: Client,
  archive: ArchiveConfig,
  query: string,
  slot: Date,
): Promise<{ sql: string; columns: Column[]; window?: RunWindow; windowEndsAt?: Date }> {
  const { params = [] } = archive;
  const bindWith = (values: Partial<Record<Placeholder, string>>): string =>
    trimStatement(bindPlaceholders(query, values));
  if (!isWindowed(archive)) {
    const sql = trimStatement(bindSlot(query, slot));
    return { sql, columns: await describeQuery(client, sql, params) };
  }
  const columns = await describeWindowedQuery(client, archive);
  const { kind, stretch: _stretch, endsAt, ...window } = windowOf(archive, openCalendar(archive, columns), slot);
  const sql = bindWith({ from: pointLiteral(kind, window.from), to: pointLiteral(kind, window.to) });
  return { sql, columns, window, windowEndsAt: endsAt };
}

/**
 * The columns of a query with `:from` and `:to`. Which type its time column has is known only then; any of them can be compared
 * with what is bound here.
 */
export async function describeWindowedQuery(
  client: Client,
  { query = '', params = [] }: ArchiveConfig,
): Promise<Column[]> {
  const instant = pointLiteral('timestamptz', new Date(0).toISOString());
  return describeQuery(client, trimStatement(bindPlaceholders(query, { from: instant, to: instant })), params);
}

/** The same with the word for what it is; a table is just its name. */
export function nameSubject({ name, relation }: Pick<Subject, 'name' | 'relation'>): string {
  if (relation === undefined || relation.kind === 'table') return name;
  const isLeafless = relation.kind === 'partitioned' && !relation.hasChildren;
  return `${RELATION_WORDS[relation.kind]} ${name}${isLeafless ? ' without partitions' : ''}`;
}

/** A slot that the archive can be described for: now, or the start of the window that now lies in. */
export async function slotOf(client: Client, archive: ArchiveConfig, now: Date): Promise<Date> {
  if (!isWindowed(archive)) return now;
  const { calendar } =
    archive.table === undefined
      ? openCalendar(archive, await describeWindowedQuery(client, archive))
      : await openWindows(client, archive, await describeRelation(client, archive.table));
  // Partitions may end before, or begin after.
  const around = calendar.holding(now.getTime()) ?? firstFrom(calendar, -Infinity);
  return new Date(around?.fromMs ?? now);
}

/** Whether the archive is one of windows. */
export function isWindowed(archive: ArchiveConfig): archive is ArchiveConfig & { window: WindowOption } {
  return archive.window !== undefined;
}

/** The config is checked for it when it is loaded; here it must hold, whoever calls. */
function requireOneExpression(option: string, sql: string | undefined): void {
  const problem = sql === undefined ? undefined : describeSqlProblem(sql);
  if (problem === undefined) return;
  throw fail('syntax-error', {
    stage: 'plan',
    message: `${option} ${problem}`,
  });
}

async function describeTable(client: Client, archive: ArchiveConfig, table: string, slot: Date): Promise<Subject> {
  const relation = await describeRelation(client, table);
  const columns = printAs(archive, chooseColumns(relation.columns, archive));
  const key = archive.key ?? relation.primaryKey;
  if (archive.key !== undefined) requireColumns(relation.columns, archive.key, 'key');
  const bound = await bindTable(client, archive, relation, slot);
  const { where, window, partition } = bound;
  return {
    name: `${relation.schema}.${relation.name}`,
    ...(await readFrom(client, relation, bound, columns)),
    key,
    keyOrder: await describeKeyOrder(client, partition?.oid ?? relation.oid, key),
    ...(window && {
      window: { column: window.column, from: window.from, to: window.to },
      windowEndsAt: window.endsAt,
    }),
    ...(where === undefined ? {} : { where }),
  };
}

interface BoundTable {
  where: string | undefined;
  window?: ReturnType<typeof windowOf>;
  partition?: RangePartition | undefined;
}

async function bindTable(client: Client, archive: ArchiveConfig, relation: Relation, slot: Date): Promise<BoundTable> {
  const { where } = archive;
  if (!isWindowed(archive)) return { where: where === undefined ? undefined : bindSlot(where, slot) };
  const windows: OpenWindows = await openWindows(client, archive, relation);
  const window = windowOf(archive, windows, slot);
  const bound = where === undefined ? undefined : bindPlaceholders(where, boundLiterals(windows, window.stretch));
  return { where: bound, window, partition: partitionAt(windows, window.stretch) };
}

/**
 * The rows of the window: those of the table between its bounds, or all of a partition. That is read by its own name, and goes
 * by the name of its table, as a filter may say it; what is below it is read as well.
 */
async function readFrom(
  client: Client,
  relation: Relation,
  { where, window, partition }: BoundTable,
  columns: readonly Column[],
): Promise<Pick<Subject, 'selection' | 'relation' | 'alias' | 'partition'>> {
  if (partition === undefined) {
    const from = quoteTableName({ schema: relation.schema, table: relation.name });
    const within = window === undefined ? where : allOf(withinWindow(window), where);
    return { selection: { kind: 'relation', from, where: within, columns }, relation };
  }
  const name = quoteTableName({ schema: partition.schema, table: partition.name });
  const own = await describeRelation(client, name);
  const from = `${name} AS ${quoteIdentifier(relation.name)}`;
  return {
    selection: { kind: 'relation', from, where, columns },
    relation: { ...own, columns: relation.columns, primaryKey: relation.primaryKey },
    alias: relation.name,
    partition,
  };
}

/** The filter may end in a comment, which ends with its line. */
function allOf(condition: string, where: string | undefined): string {
  return where === undefined ? condition : `${condition} AND (${where}\n)`;
}

/** With `lines: server`, what a cast makes is taken as it is. */
function printAs({ lines }: Pick<ArchiveConfig, 'lines'>, columns: readonly Column[]): Column[] {
  return columns.map((column) =>
    lines === 'server' && column.isMadeByCast === true ? { ...column, encoding: 'server' } : column,
  );
}

function chooseColumns(all: readonly Column[], archive: ArchiveConfig): Column[] {
  if (archive.columns !== undefined) return requireColumns(all, archive.columns, 'columns');
  const { exclude = [] } = archive;
  requireColumns(all, exclude, 'exclude');
  return all.filter((column) => !exclude.includes(column.name));
}

/** The columns of these names, in their order. Throws FailureError that names every one that is not there. */
export function requireColumns(all: readonly Column[], names: readonly string[], option: string): Column[] {
  const unknown = names.filter((name) => !all.some((column) => column.name === name));
  if (unknown.length > 0) {
    throw fail('column-not-found', {
      stage: 'plan',
      message: unknown
        .map((name) => `${option} names "${name}", which is not a column${suggestion(all, name)}`)
        .join('; '),
      hint: 'Column names are taken exactly as they are in the catalogue, without quotes.',
    });
  }
  return names.flatMap((name) => all.filter((column) => column.name === name).slice(0, 1));
}

function suggestion(all: readonly Column[], name: string): string {
  const near = nearestName(
    name,
    all.map((column) => column.name),
  );
  return near === undefined ? '' : `; did you mean "${near}"?`;
}
