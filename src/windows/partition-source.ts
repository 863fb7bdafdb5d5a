/** What the source says of windows that are partitions: which of them have rows, and what lies in partitions that are none. */
import type { Calendar, ColumnKind, Stretch } from '../calendar/windows.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import type { Client } from '../postgres/connect.ts';
import { postgresFailure } from '../postgres/errors.ts';
import { quoteIdentifier, quoteTableName } from '../postgres/identifiers.ts';
import type { RangePartition } from '../postgres/range-partitions.ts';
import type { Relation } from '../postgres/relation.ts';
import { asOneStatement } from '../postgres/select.ts';
import { bindPlaceholders, placeholdersOf } from '../postgres/sql-text.ts';
import { boundLiterals, type OpenWindows, type PartitionWindow } from '../run/partition-windows.ts';

/** Partitions that one statement asks for rows; it stops at the first one that has some, but locks them all. */
const ASKED_AT_ONCE = 50;
/** Partitions that are named in a warning. */
const MOST_NAMED = 5;

/** What an archive's windows are, and the questions that can be asked of their rows, within a transaction. */
export interface Described {
  kind: ColumnKind;
  calendar: Calendar;
  /** Of `every: partition`, those that are windows. */
  partitions?: readonly PartitionWindow[];
  createIndex: string | undefined;
  firstRow: (pointMs: number) => Promise<number | undefined>;
  /** SQL that has the rows of a window. */
  rowsIn: (stretch: Stretch) => string;
  /** Counts the rows that lie in no window; undefined where they cannot be counted cheaply. */
  outside: string | undefined;
  outsideOf: string;
}

/** No index is needed: a partition is asked for any row. */
export function describeOfPartitions(
  client: Client,
  archive: Pick<ArchiveConfig, 'where'>,
  { name }: Relation,
  windows: OpenWindows,
): Described {
  const { kind, calendar, partitions = { windows: [], others: [] } } = windows;
  const asNamed = ({ schema, name: own }: RangePartition): string =>
    `${quoteTableName({ schema, table: own })} AS ${quoteIdentifier(name)}`;
  const rowsOf = ({ partition, ...stretch }: PartitionWindow): string =>
    `${asNamed(partition)}${filterOf(archive, windows, stretch)}`;
  const ordered = partitions.windows.toSorted((a, b) => a.fromMs - b.fromMs);
  return {
    kind,
    calendar,
    partitions: ordered,
    createIndex: undefined,
    firstRow: async (pointMs) => {
      const rest = ordered.filter(({ toMs }) => toMs > pointMs);
      for (let at = 0; at < rest.length; at += ASKED_AT_ONCE) {
        const asked = rest.slice(at, at + ASKED_AT_ONCE);
        const first = await findFirst(client, asked.map(rowsOf));
        if (first !== undefined) return asked[first]?.fromMs;
      }
      return undefined;
    },
    rowsIn: ({ fromMs }) => {
      const window = ordered.find((one) => one.fromMs === fromMs);
      if (window === undefined) throw new Error('a window of partitions is one of those that there are');
      return rowsOf(window);
    },
    ...outsideOf(archive, partitions.others, asNamed),
  };
}

function filterOf({ where }: Pick<ArchiveConfig, 'where'>, windows: OpenWindows, stretch: Stretch): string {
  return where === undefined ? '' : ` WHERE (${bindPlaceholders(where, boundLiterals(windows, stretch))}\n)`;
}

/** The place of the first one of these that has a row. */
async function findFirst(client: Client, rows: readonly string[]): Promise<number | undefined> {
  const cases = rows.map((from, at) => `WHEN EXISTS (SELECT FROM ${from}) THEN ${at}`);
  const sql = `SELECT CASE ${cases.join('\n')} END AS first`;
  try {
    const result = await client.query<{ first: number | null }>(asOneStatement(sql, []));
    return result.rows[0]?.first ?? undefined;
  } catch (error) {
    throw postgresFailure(error, 'plan', 'looking for rows in the partitions');
  }
}

/** A filter that is bound to a window says nothing of rows that lie in none. */
function outsideOf(
  { where }: Pick<ArchiveConfig, 'where'>,
  others: readonly RangePartition[],
  asNamed: (partition: RangePartition) => string,
): Pick<Described, 'outside' | 'outsideOf'> {
  const named = others.slice(0, MOST_NAMED).map(({ schema, name }) => `${schema}.${name}`);
  const more = others.length > MOST_NAMED ? ' and more' : '';
  const why = `in ${named.join(', ')}${more}, which ${others.length === 1 ? 'is' : 'are'} default or without an end`;
  if (where !== undefined && placeholdersOf(where).size > 0) return { outside: undefined, outsideOf: why };
  const filter = where === undefined ? '' : ` WHERE (${where}\n)`;
  const counts = others.map((partition) => `(SELECT pg_catalog.count(*) FROM ${asNamed(partition)}${filter})`);
  const sum = counts.length === 0 ? '0' : counts.join(' OPERATOR(pg_catalog.+) ');
  return { outside: `SELECT (${sum})::pg_catalog.text AS rows`, outsideOf: why };
}
