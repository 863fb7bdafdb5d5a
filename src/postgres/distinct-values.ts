/** Lists the values that columns have, each once: in one statement, whose rows are read in portions, however many there are. */
import type { Client } from 'pg';
import Cursor from 'pg-cursor';
import { postgresFailure, sqlStateOf } from './errors.ts';
import { firstPercent, sampledFrom } from './quantiles.ts';
import { quoteLiteral } from './identifiers.ts';
import { fromSelection, type Selection } from './select.ts';

/** A column whose equal values are printed alike, and all others differently. */
export interface ValueColumn {
  name: string;
  /** SQL that is of the type below. */
  reference: string;
  /** With its schema, quoted, without a modifier; a domain's is that below it. */
  type: string;
  /** Whether it is text, so that its order depends on a collation. */
  isText: boolean;
}

export interface ListedValue {
  /** As Postgres prints them, one for each column; null is NULL. What is longer than was asked for has one character more. */
  values: (string | null)[];
  /** Rows that have them, of those that were counted. */
  rows: number;
}

export interface ListRequest {
  selection: Selection;
  columns: readonly ValueColumn[];
  /** No more than these are listed. */
  most: number;
  /** No more of a value comes. */
  mostChars: number;
  /**
   * Of a column with an index that the next value is found by, so that the table need not be read: how large the table is, and
   * into how many parts it goes by its size. Only a sample of its rows is counted then.
   */
  skip: { pages: number; parts: number; nullable: boolean } | undefined;
}

/** Values of one portion. */
const READ_ROWS = 1000;

/** In an order that depends on no collation. Throws FailureError. */
export async function* listValues(client: Client, request: ListRequest): AsyncGenerator<ListedValue, void, undefined> {
  const params = request.selection.kind === 'query' ? request.selection.params : [];
  const cursor = client.query(new Cursor<(string | null)[]>(statementOf(request), [...params], { rowMode: 'array' }));
  try {
    for (;;) {
      const rows = await cursor.read(READ_ROWS);
      for (const row of rows) yield { values: row.slice(0, -1), rows: Number(row.at(-1)) };
      if (rows.length < READ_ROWS) return;
    }
  } catch (error) {
    throw postgresFailure(error, 'plan', 'listing the values of partitionBy');
  } finally {
    await cursor.close().catch(() => undefined);
  }
}

function statementOf(request: ListRequest): string {
  const { columns, most, mostChars } = request;
  const names = columns.map((_, at) => `v${at + 1}`);
  const texts = names.map((name) => `pg_catalog.left(${name}::pg_catalog.text, ${mostChars + 1})`).join(', ');
  const order = columns.map(({ isText }, at) => `v${at + 1}${isText ? ' COLLATE pg_catalog."C"' : ''}`).join(', ');
  return `${request.skip === undefined ? passOver(request) : skipThrough(request, request.skip)}
SELECT ${texts}, n::pg_catalog.text FROM listed ORDER BY ${order} LIMIT ${most}`;
}

function passOver({ selection, columns }: ListRequest): string {
  const list = columns.map(({ reference }, at) => `${reference} AS v${at + 1}`).join(', ');
  const groups = columns.map(({ reference }) => reference).join(', ');
  const where = selection.kind === 'relation' && selection.where !== undefined ? ` WHERE (${selection.where}\n)` : '';
  return `WITH listed AS (
  SELECT ${list}, pg_catalog.count(*) AS n FROM ${fromSelection(selection)}${where} GROUP BY ${groups}
)`;
}

/** From each value to the next one, as an index has it; beside them, a sample of the rows says which ones are large. */
function skipThrough(
  { selection, columns: [column], most }: ListRequest,
  { pages, parts, nullable }: NonNullable<ListRequest['skip']>,
): string {
  if (column === undefined) throw new Error('a layout without columns');
  const { reference } = column;
  const from = fromSelection(selection);
  const nulls = nullable
    ? `\n  UNION ALL SELECT NULL, 0 WHERE EXISTS (SELECT FROM ${from} WHERE ${reference} IS NULL)`
    : '';
  return `WITH RECURSIVE found AS (
  (SELECT ${reference} AS v, 1 AS at FROM ${from} WHERE ${reference} IS NOT NULL ORDER BY ${reference} LIMIT 1)
  UNION ALL
  SELECT next.v, found.at OPERATOR(pg_catalog.+) 1
  FROM found CROSS JOIN LATERAL (
    SELECT ${reference} AS v FROM ${from} WHERE ${reference} OPERATOR(pg_catalog.>) found.v ORDER BY ${reference} LIMIT 1
  ) AS next
  WHERE found.at OPERATOR(pg_catalog.<) ${most}
), seen AS (
  SELECT v, 0 AS n FROM found${nulls}
  UNION ALL SELECT ${reference}, 1 FROM ${sampledFrom(selection, firstPercent(pages, parts))}
), listed AS (SELECT v AS v1, pg_catalog.sum(n) AS n FROM seen GROUP BY v)`;
}

/** The condition that a row has these values. They stand in it as literals: COPY takes no parameters, and those of a query are the operator's. */
export function hasValues(columns: readonly ValueColumn[], values: readonly (string | null)[]): string {
  return columns
    .map(({ reference, type }, at) => {
      const value = values[at] ?? null;
      return value === null
        ? `${reference} IS NULL`
        : `${reference} OPERATOR(pg_catalog.=) ${quoteLiteral(value)}::${type}`;
    })
    .join(' AND ');
}

/** Whether all of these are values of the columns, spelt as Postgres prints them: else two of them may be the same one. */
export async function areAsPrinted(
  client: Client,
  columns: readonly ValueColumn[],
  rows: readonly (readonly (string | null)[])[],
): Promise<boolean> {
  const typed = columns.flatMap((column, at) => (column.isText ? [] : [{ ...column, at }]));
  if (typed.length === 0 || rows.length === 0) return true;
  const lists = typed.map((_, n) => `pg_catalog.unnest($${n + 1}::pg_catalog.text[])`).join(', ');
  const names = typed.map((_, n) => `v${n + 1}`).join(', ');
  const differs = typed
    .map(({ type }, n) => `v${n + 1}::${type}::pg_catalog.text OPERATOR(pg_catalog.<>) v${n + 1}`)
    .join(' OR ');
  const text = `SELECT EXISTS (SELECT FROM ROWS FROM (${lists}) AS u(${names}) WHERE ${differs}) AS found`;
  await client.query('SAVEPOINT values_as_printed');
  try {
    const { rows: found } = await client.query<{ found: boolean }>(
      text,
      typed.map(({ at }) => rows.map((row) => row[at] ?? null)),
    );
    await client.query('RELEASE SAVEPOINT values_as_printed');
    return found[0]?.found === false;
  } catch (error) {
    // What is no value of the type.
    if (!sqlStateOf(error).startsWith('22'))
      throw postgresFailure(error, 'plan', 'comparing the values of the segments');
    await client.query('ROLLBACK TO SAVEPOINT values_as_printed');
    return false;
  }
}
