/** Compares what the record of a restore notes with what the table holds now. The record may say what is no longer true. */
import { sqlStateOf } from '../postgres/errors.ts';
import type { Client } from '../postgres/connect.ts';
import { compareRow, type Compared } from '../postgres/row-comparison.ts';
import { setForTransaction } from '../postgres/settings.ts';
import type { Manifest } from '../ledger/manifest.ts';
import { hasIndexFor } from './indexes.ts';
import { describeKey } from './key-types.ts';
import { conditionOf, endTexts, keyColumns, knownKey, type KeyColumn, type KeyFacts } from './keys.ts';
import type { PlannedObject } from './objects.ts';
import type { RestoreRecord } from './record.ts';
import type { Target } from './target.ts';

/** What is there of the rows that are noted. */
export interface Recount {
  /** Rows that must be there. */
  noted: number;
  /** Of these, as far as can be told; when they are counted all together, with whatever else the table holds. */
  found: number;
  /** Objects of which rows are missing, each with its figures; empty where only the whole table could be counted. */
  short: ShortObject[];
}

export interface ShortObject {
  key: string;
  noted: number;
  found: number;
}

/** Objects that are counted by one query. */
const OBJECTS_A_QUERY = 1000;

/** Of a count that nothing asks for. */
const MOST_TIME = '10s';
const QUERY_CANCELED = '57014';

/** What is counted, and what it is counted by. */
export interface Countable {
  manifest: Manifest;
  target: Target;
  /** The range that was asked for. */
  keys: KeyFacts;
  /** All objects of the restore. */
  objects: readonly PlannedObject[];
}

/** Object by object where each is a range of the key, else all together. */
export async function recount(
  client: Client,
  countable: Countable,
  { done, rowsBefore }: Pick<RestoreRecord, 'done' | 'rowsBefore'>,
): Promise<Recount> {
  const { objects } = countable;
  const noted = objects.flatMap((object) => {
    const counts = done.get(object.key);
    return counts === undefined ? [] : [{ object, noted: counts.rows + counts.skipped }];
  });
  const key = rangeKey(countable);
  const byRange =
    key === undefined ? undefined : await countRanges(client, countable, await describeKey(client, key), noted);
  if (byRange !== undefined) return byRange;
  const restored = [...done.values()].reduce((sum, { rows }) => sum + rows, 0);
  const all = noted.reduce((sum, { noted }) => sum + noted, 0);
  return { noted: Math.max(all, rowsBefore + restored), found: await countRows(client, countable), short: [] };
}

/** Whether the rows of an object can be told from all others by their keys, without a scan of the whole table for each object. */
export function canCountRanges(countable: Countable): boolean {
  return rangeKey(countable) !== undefined;
}

/** Rows of the table, in the range that was asked for. */
export async function countRows(client: Client, { target, keys }: Pick<Countable, 'target' | 'keys'>): Promise<number> {
  const where = conditionOf(keys);
  const { rows } = await client.query<{ found: string }>(
    `SELECT pg_catalog.count(*) AS found FROM ${target.name}${where === undefined ? '' : ` WHERE ${where}`}`,
  );
  return Number(rows[0]?.found);
}

/** The same; undefined where that takes too long to be done for nothing but a figure. */
export async function countRowsInTime(
  client: Client,
  countable: Pick<Countable, 'target' | 'keys'>,
): Promise<number | undefined> {
  await client.query('BEGIN');
  try {
    await setForTransaction(client, { statement_timeout: MOST_TIME });
    return await countRows(client, countable);
  } catch (error) {
    if (sqlStateOf(error) === QUERY_CANCELED) return undefined;
    throw error;
  } finally {
    await client.query('ROLLBACK');
  }
}

/** The order of text depends on a collation, which may be another one here: its ranges would hold other rows. */
function rangeKey({ manifest, target, objects }: Countable): readonly KeyColumn[] | undefined {
  if (manifest.cut?.by !== 'key') return undefined;
  const key = keyColumns(manifest, target, new Map());
  if (typeof key === 'string' || key.some(({ isCollatable }) => isCollatable)) return undefined;
  const names = key.map(({ name }) => name);
  if (!hasIndexFor(target.indexes, names)) return undefined;
  const areKnown = objects.every(
    ({ rows, firstKey, lastKey }) =>
      rows === 0 || (knownKey(firstKey, key) !== null && knownKey(lastKey, key) !== null),
  );
  return areKnown ? key : undefined;
}

/** Undefined when the manifest's keys are no values of the key. */
async function countRanges(
  client: Client,
  countable: Countable,
  key: readonly Compared[],
  noted: readonly { object: PlannedObject; noted: number }[],
): Promise<Recount | undefined> {
  const sums: Recount = { noted: 0, found: 0, short: [] };
  const filled = noted.filter((of) => of.noted > 0);
  try {
    for (let start = 0; start < filled.length; start += OBJECTS_A_QUERY) {
      const part = filled.slice(start, start + OBJECTS_A_QUERY);
      const counts = await askCounts(client, countable, key, part);
      for (const [at, { object, noted }] of part.entries()) {
        const found = Math.min(noted, counts[at] ?? 0);
        sums.noted += noted;
        sums.found += found;
        if (found < noted) sums.short.push({ key: object.key, noted, found });
      }
    }
    return sums;
  } catch (error) {
    if (sqlStateOf(error).startsWith('22')) return undefined;
    throw error;
  }
}

/** The keys go as one parameter: what the manifest says is never SQL. */
async function askCounts(
  client: Client,
  { target, keys }: Countable,
  key: readonly Compared[],
  part: readonly { object: PlannedObject }[],
): Promise<number[]> {
  const ends = part.map(({ object: { firstKey, lastKey } }) => ({ first: firstKey, last: lastKey }));
  const conditions = [
    compareRow(key, '>=', endTexts('first', key)),
    compareRow(key, '<=', endTexts('last', key)),
    conditionOf(keys) ?? 'true',
  ];
  // With a name of its own, a table that is called `o` does not stand in the way of the other one.
  const counted = `(SELECT ${key.map(({ reference }) => reference).join(', ')} FROM ${target.name}) AS counted`;
  const { rows } = await client.query<{ found: string }>(
    `SELECT (SELECT pg_catalog.count(*) FROM ${counted} WHERE ${conditions.join(' AND ')}) AS found
     FROM pg_catalog.json_array_elements($1::pg_catalog.json) WITH ORDINALITY AS o(ends, n) ORDER BY o.n`,
    [JSON.stringify(ends)],
  );
  return rows.map(({ found }) => Number(found));
}
