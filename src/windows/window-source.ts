/** What the source says of an archive's windows: its clock, what holds windows open, and where its rows are. */
import { fail } from '../base/errors.ts';
import { FIRST_MS, type Calendar, type ColumnKind, type Stretch } from '../calendar/windows.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import type { Client } from '../postgres/connect.ts';
import { postgresFailure } from '../postgres/errors.ts';
import { quoteIdentifier, quoteTableName } from '../postgres/identifiers.ts';
import { createIndexSql, describeRelation, holdsRows } from '../postgres/relation.ts';
import { asOneStatement, columnReference } from '../postgres/select.ts';
import { whileReading } from '../postgres/snapshot.ts';
import { ALL_REPLAYED } from '../postgres/standby.ts';
import { findLeadingColumns } from '../postgres/value-columns.ts';
import { bindPlaceholders, placeholdersOf, trimStatement } from '../postgres/sql-text.ts';
import { describeWindowedQuery } from '../run/subject.ts';
import { openWindows, type PartitionWindow } from '../run/partition-windows.ts';
import { liesBetween, openCalendar, pointLiteral, type WindowOption } from '../run/window.ts';
import { describeOfPartitions, type Described } from './partition-source.ts';

export type WindowedArchive = ArchiveConfig & { window: WindowOption };

/** Instants in ms. */
interface Clock {
  /** What has been committed before it can be seen. Undefined on a standby that does not say. */
  nowMs: number | undefined;
  /** The oldest transaction that is in progress, or prepared, as far as the role may see them. */
  oldestOpen: { sinceMs: number; what: string } | undefined;
}

export interface WindowSource {
  calendar: Calendar;
  kind: ColumnKind;
  clock: Clock;
  /** Of `every: partition`, those that are windows. */
  partitions?: readonly PartitionWindow[];
  /** What makes a look for rows quick, where no index leads with the column; undefined for what has one, or takes none. */
  createIndex: string | undefined;
  /** The point of the first row at or after this one, rounded down to the second; undefined when there is none. */
  firstRowFrom(pointMs: number): Promise<number | undefined>;
  /** Rows that lie in no window: without a point, or with one that is infinite or too far away. Undefined without an index. */
  countOutside(): Promise<number | undefined>;
  /** Rows of a window. */
  countIn(stretch: Stretch): Promise<number>;
  /** Why such rows lie in none. */
  outsideOf: string;
}

/** A stretch of SQL that has the archive's rows from a point on. */
type RowsFrom = (from: string, to: string) => { text: string; column: string; params: readonly unknown[] };

/** Asks the source. `client` is used for further looks until the source is dropped. Throws FailureError. */
export async function openWindowSource(client: Client, archive: WindowedArchive): Promise<WindowSource> {
  return whileReading(client, async () => {
    const { firstRow, outside, rowsIn, ...described } = await describe(client, archive);
    return {
      ...described,
      clock: await readClock(client),
      firstRowFrom: (pointMs) => whileReading(client, () => firstRow(pointMs)),
      countOutside: async () =>
        outside === undefined ? undefined : whileReading(client, () => count(client, outside)),
      countIn: (stretch) => whileReading(client, () => count(client, countSql(rowsIn(stretch)), paramsOf(archive))),
    };
  });
}

/** Whether all rows of a window have been committed, and it is old enough. What keeps it open is said where it can be. */
export function whyOpen(
  { calendar, clock }: Pick<WindowSource, 'calendar' | 'clock'>,
  { toMs }: Stretch,
  olderThanMs: number,
): 'young' | { what: string } | undefined {
  const endMs = calendar.instantOf(toMs);
  if (clock.nowMs === undefined || endMs > clock.nowMs - olderThanMs) return 'young';
  const { oldestOpen } = clock;
  return oldestOpen !== undefined && oldestOpen.sinceMs < endMs ? { what: oldestOpen.what } : undefined;
}

async function describe(client: Client, archive: WindowedArchive): Promise<Described> {
  if (archive.table === undefined) return describeOfQuery(client, archive);
  const relation = await describeRelation(client, archive.table);
  const windows = await openWindows(client, archive, relation);
  if (windows.partitions !== undefined) return describeOfPartitions(client, archive, relation, windows);
  const { column, kind, calendar } = windows;
  const from = quoteTableName({ schema: relation.schema, table: relation.name });
  const name = quoteIdentifier(column.name);
  const rowsFrom: RowsFrom = (first, last) => {
    const { where } = archive;
    const filter = where === undefined ? '' : ` AND (${bindPlaceholders(where, { from: first, to: last })}\n)`;
    return { text: `${from} WHERE ${liesBetween(name, first, last)}${filter}`, column: name, params: [] };
  };
  const leading = holdsRows(relation) ? await findLeadingColumns(client, relation.oid) : undefined;
  const hasIndex = leading?.some((index) => index.name === column.name);
  const createIndex = hasIndex === false ? createIndexSql(relation, [column.name]) : undefined;
  const outside = hasIndex === true ? outsideSql(from, name, kind, archive.where) : undefined;
  const asked = rowsBy(client, kind, calendar, rowsFrom);
  return { kind, calendar, ...asked, createIndex, outside, outsideOf: outsideOf(column.name) };
}

/** What is asked of the rows by the column of the windows. */
function rowsBy(
  client: Client,
  kind: ColumnKind,
  calendar: Calendar,
  rowsFrom: RowsFrom,
): Pick<Described, 'firstRow' | 'rowsIn'> {
  return {
    firstRow: (pointMs) => findFirstRow(client, kind, calendar, rowsFrom, pointMs),
    rowsIn: ({ fromMs, toMs }) =>
      rowsFrom(pointLiteral(kind, calendar.format(fromMs)), pointLiteral(kind, calendar.format(toMs))).text,
  };
}

function outsideOf(column: string): string {
  return `${column} is NULL, infinite, or not of the years 1 to 9999`;
}

/** A filter that is bound to a window says nothing of rows that lie in none. */
function outsideSql(from: string, name: string, kind: ColumnKind, where: string | undefined): string | undefined {
  if (where !== undefined && placeholdersOf(where).size > 0) return undefined;
  const first = pointLiteral(kind, kind === 'date' ? '0001-01-01' : `0001-01-01 00:00:00${zoneOf(kind)}`);
  const last = pointLiteral(kind, lastPoint(kind));
  const outside = `${name} IS NULL OR ${name} OPERATOR(pg_catalog.<) ${first} OR ${name} OPERATOR(pg_catalog.>=) ${last}`;
  const filter = where === undefined ? '' : ` AND (${where}\n)`;
  return countSql(`${from} WHERE (${outside})${filter}`);
}

function countSql(rows: string): string {
  return `SELECT pg_catalog.count(*)::pg_catalog.text AS rows FROM ${rows}`;
}

async function count(client: Client, sql: string, params: readonly unknown[] = []): Promise<number> {
  try {
    const { rows } = await client.query<{ rows: string }>(asOneStatement(sql, params));
    return Number(rows[0]?.rows ?? 0);
  } catch (error) {
    throw postgresFailure(error, 'plan', 'counting rows');
  }
}

/** A table has none. */
function paramsOf({ query, params }: WindowedArchive): readonly unknown[] {
  return query === undefined ? [] : (params ?? []);
}

async function describeOfQuery(client: Client, archive: WindowedArchive): Promise<Described> {
  const { query = '', params = [] } = archive;
  const columns = await describeWindowedQuery(client, archive);
  const { column, kind, calendar } = openCalendar(archive, columns);
  const rowsFrom: RowsFrom = (first, last) => {
    const sql = trimStatement(bindPlaceholders(query, { from: first, to: last }));
    const name = columnReference({ kind: 'query', sql, params, columns }, columns.indexOf(column));
    const names = columns.map((_, index) => `c${index + 1}`).join(', ');
    return { text: `(\n${sql}\n) AS q(${names}) WHERE ${liesBetween(name, first, last)}`, column: name, params };
  };
  return {
    ...{ kind, calendar, ...rowsBy(client, kind, calendar, rowsFrom) },
    ...{ createIndex: undefined, outside: undefined, outsideOf: outsideOf(column.name) },
  };
}

async function findFirstRow(
  client: Client,
  kind: ColumnKind,
  calendar: Calendar,
  rowsFrom: RowsFrom,
  pointMs: number,
): Promise<number | undefined> {
  const first = pointLiteral(kind, calendar.format(Math.max(pointMs, FIRST_MS)));
  const last = pointLiteral(kind, lastPoint(kind));
  const { text, column, params } = rowsFrom(first, last);
  const type = kind === 'timestamptz' ? 'timestamptz' : 'timestamp';
  const least = `pg_catalog.min(${column})::pg_catalog.${type}`;
  const sql = `SELECT pg_catalog.date_part('epoch', pg_catalog.date_trunc('second', ${least})) AS seconds FROM ${text}`;
  try {
    const { rows } = await client.query<{ seconds: number | null }>(asOneStatement(sql, params));
    const seconds = rows[0]?.seconds ?? undefined;
    return seconds === undefined ? undefined : seconds * 1000;
  } catch (error) {
    throw postgresFailure(error, 'plan', `looking for rows in ${column}`);
  }
}

/** The end of what has windows: a year of five digits, which the calendar does not print. */
function lastPoint(kind: ColumnKind): string {
  return kind === 'date' ? '10000-01-01' : `10000-01-01 00:00:00${zoneOf(kind)}`;
}

function zoneOf(kind: ColumnKind): string {
  return kind === 'timestamptz' ? '+00' : '';
}

/**
 * On a standby, what is replayed is what can be seen: its own clock counts only while it streams and has replayed all. There
 * the transactions of the primary cannot be seen.
 */
const CLOCK_SQL = `
SELECT pg_catalog.pg_is_in_recovery() AS is_standby,
  CASE WHEN pg_catalog.pg_is_in_recovery() AND NOT coalesce((
      SELECT r.status OPERATOR(pg_catalog.=) 'streaming'
        AND ${ALL_REPLAYED}
      FROM pg_catalog.pg_stat_wal_receiver r), false)
    THEN pg_catalog.pg_last_xact_replay_timestamp() ELSE pg_catalog.clock_timestamp() END AS now`;

/** Our own sessions only read, but for those of a restore; and anybody may give his the name of ours. */
const OPEN_SQL = `
SELECT since, what FROM (
  SELECT a.xact_start AS since, pg_catalog.format('the transaction of pid %s', a.pid) AS what
  FROM pg_catalog.pg_stat_activity a
  WHERE a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() AND a.xact_start IS NOT NULL
    AND a.backend_type OPERATOR(pg_catalog.=) 'client backend'
    AND a.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
    AND (a.application_name OPERATOR(pg_catalog.!~~) 'pgsluice %'
      OR a.application_name OPERATOR(pg_catalog.~~) 'pgsluice restore %' OR a.usename OPERATOR(pg_catalog.<>) CURRENT_USER)
  UNION ALL
  SELECT p.prepared, pg_catalog.format('the prepared transaction %L', p.gid)
  FROM pg_catalog.pg_prepared_xacts p WHERE p.database OPERATOR(pg_catalog.=) pg_catalog.current_database()
) AS open ORDER BY since USING OPERATOR(pg_catalog.<) LIMIT 1`;

async function readClock(client: Client): Promise<Clock> {
  const { rows } = await client.query<{ is_standby: boolean; now: Date | null }>(CLOCK_SQL);
  const row = rows[0];
  if (row === undefined) throw fail('internal', { stage: 'plan', message: 'the server gave no time' });
  const nowMs = row.now === null ? undefined : row.now.getTime();
  if (row.is_standby) return { nowMs, oldestOpen: undefined };
  const open = await client.query<{ since: Date; what: string }>(OPEN_SQL);
  const oldest = open.rows[0];
  return { nowMs, oldestOpen: oldest && { sinceMs: oldest.since.getTime(), what: oldest.what } };
}
