/** Samples a key and finds the values that cut its rows into parts of about the same number, however skewed they are. */
import type { Client } from 'pg';
import { postgresFailure } from './errors.ts';
import type { Compared } from './row-comparison.ts';
import { asOneStatement, fromSelection, type Selection } from './select.ts';

/** Values of the key's columns as text, one for each column. */
export type KeyValues = string[];

/** Sampled pages for each part that is wanted; rows of a page are alike in a table that lies in the order of its key. */
const PAGES_A_PART = 200;
/** Two parts run side by side, and the longer one is what a run takes: 16 MiB of pages keep them within some percent. */
const LEAST_PAGES = 2000;
/** So many sampled rows a part keep the largest part within a few tenths of the median. */
const ROWS_A_PART = 100;

export interface Sampling {
  selection: Selection;
  key: readonly Pick<Compared, 'reference'>[];
  parts: number;
  /** Pages of the table; undefined for a query, which is sampled by reading its keys. */
  pages: number | undefined;
  /** A condition of ours: only such rows are cut. */
  predicate?: string;
}

/**
 * The values at which parts begin, without the first: at most `parts - 1`, ascending, no two alike. Throws FailureError.
 */
export async function sampleQuantiles(client: Client, sampling: Sampling): Promise<KeyValues[]> {
  const { pages, parts } = sampling;
  if (pages === undefined) return (await sampleOnce(client, sampling, undefined)).bounds;
  for (let percent = firstPercent(pages, parts); ; percent = Math.min(100, percent * 8)) {
    const sample = await sampleOnce(client, sampling, percent);
    // A filter may leave next to nothing of a small sample.
    if (percent >= 100 || sample.rows >= parts * ROWS_A_PART) return sample.bounds;
  }
}

/** The share of a table's pages that is sampled first. */
export function firstPercent(pages: number, parts: number): number {
  return Math.min(100, Math.max(0.01, (100 * Math.max(LEAST_PAGES, PAGES_A_PART * parts)) / Math.max(1, pages)));
}

async function sampleOnce(
  client: Client,
  { selection, key, parts, predicate }: Sampling,
  percent: number | undefined,
): Promise<{ rows: number; bounds: KeyValues[] }> {
  const list = key.map(({ reference }, index) => `${reference} AS k${index + 1}`).join(', ');
  const names = key.map((_, index) => `k${index + 1}`).join(', ');
  const texts = key.map((_, index) => `k${index + 1}::pg_catalog.text`).join(', ');
  /** The part that the row of this number is in. */
  const partOf = (n: string): string =>
    `pg_catalog.floor((${n}) OPERATOR(pg_catalog.*) ${parts}::pg_catalog.float8 OPERATOR(pg_catalog./) total)`;
  // Rows without a key belong to the first part; they would sort last here and shift the others.
  const text = `
WITH sample AS MATERIALIZED (SELECT ${list} FROM ${sampledFrom(selection, percent, predicate)}),
numbered AS (
  SELECT ${names},
    (pg_catalog.row_number() OVER (ORDER BY ${names}) OPERATOR(pg_catalog.-) 1)::pg_catalog.float8 AS n,
    pg_catalog.count(*) OVER ()::pg_catalog.float8 AS total
  FROM sample WHERE ${key.map((_, index) => `k${index + 1} IS NOT NULL`).join(' AND ')}
)
SELECT total, ${texts} FROM numbered
WHERE n OPERATOR(pg_catalog.=) 0 OR ${partOf('n')} OPERATOR(pg_catalog.>) ${partOf('n OPERATOR(pg_catalog.-) 1')}
ORDER BY n`;
  try {
    const params = selection.kind === 'query' ? selection.params : [];
    const { rows } = await client.query<[number, ...string[]]>({ ...asOneStatement(text, params), rowMode: 'array' });
    const bounds = rows.map(([, ...values]) => values);
    return { rows: rows[0]?.[0] ?? 0, bounds: withoutRepeats(bounds.slice(1), bounds[0]) };
  } catch (error) {
    throw postgresFailure(error, 'plan', 'sampling the key');
  }
}

/** What is read of a selection for a sample. A fixed seed: the same data gives the same plan. */
export function sampledFrom(selection: Selection, percent: number | undefined, predicate?: string): string {
  const filter = selection.kind === 'relation' ? selection.where : undefined;
  const conditions = [filter, predicate].flatMap((one) => (one === undefined ? [] : [`(${one}\n)`]));
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
  if (selection.kind === 'query') return `${fromSelection(selection)}${where}`;
  const sample = percent === undefined || percent >= 100 ? '' : ` TABLESAMPLE SYSTEM (${percent}) REPEATABLE (20)`;
  return `${selection.from}${sample}${where}`;
}

/** A key of a query may not be unique: bounds that are alike would make empty parts. */
function withoutRepeats(bounds: readonly KeyValues[], first: KeyValues | undefined): KeyValues[] {
  let last = JSON.stringify(first);
  return bounds.filter((bound) => {
    const text = JSON.stringify(bound);
    const isNew = text !== last;
    last = text;
    return isNew;
  });
}
