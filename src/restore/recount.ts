/** Compares what the record of a restore notes with what the table holds now. The record may say what is no longer true. */
import { sqlStateOf } from '../postgres/errors.ts';
import type { Client } from '../postgres/connect.ts';
import { compareRow, type Compared } from '../postgres/row-comparison.ts';
import { setForTransaction } from '../postgres/settings.ts';
import type { ManifestHead } from '../ledger/manifest.ts';
import { hasIndexFor } from './indexes.ts';
import { describeKey } from './key-types.ts';
import { conditionOf, endTexts, keyColumns, knownKey, type KeyColumn, type KeyFacts } from './keys.ts';
import type { PlannedObject, PlannedObjects } from './objects.ts';
import { inParts } from './parts.ts';
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
  manifest: ManifestHead;
  target: Target;
  /** The range that was asked for. */
  keys: KeyFacts;
  /** All objects of the restore. */
  objects: PlannedObjects;
}

/** Object by object where each is a range of the key, else all together. */
export async function recount(
  client: Client,
  countable: Countable,
  { done, rowsBefore }: Pick<RestoreRecord, 'done' | 'rowsBefore'>,
): Promise<Recount> {
  const key = await rangeKey(countable);
  const byRange =
    key === undefined ? undefined : await countRanges(client, countable, await describeKey(client, key), done);
  if (byRange !== undefined) return byRange;
  let all = 0;
  for await (const { noted } of notedObjects(countable, done)) all += noted;
  return { noted: Math.max(all, rowsBefore + done.sums.rows), found: await countRows(client, countable), short: [] };
}

/** Whether the rows of an object can be told from all others by their keys, without a scan of the whole table for each object. */
export async function canCountRanges(countable: Countable): Promise<boolean> {
  return (await rangeKey(countable)) !== undefined;
}

interface NotedObject {
  object: PlannedObject;
  noted: number;
}

/** The objects that are noted to be in the target, with the rows that must be there for each. */
async function* notedObjects(
  { objects }: Countable,
  done: RestoreRecord['done'],
): AsyncGenerator<NotedObject, undefined> {
  for await (const object of objects) {
    const counts = done.get(object.key);
    if (counts !== undefined) yield { object, noted: counts.rows + counts.skipped };
  }
  return undefined;
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

/** Where the order is another one than where the rows were cut, as that of text or of an enum may be, ranges would hold other rows. */
async function rangeKey({ manifest, target, objects }: Countable): Promise<readonly KeyColumn[] | undefined> {
  if (manifest.cut?.by !== 'key') return undefined;
  const key = keyColumns(manifest, target, new Map());
  if (typeof key === 'string' || key.some(({ isOrderedApart }) => isOrderedApart)) return undefined;
  const names = key.map(({ name }) => name);
  if (!hasIndexFor(target.indexes, names)) return undefined;
  for await (const { rows, firstKey, lastKey } of objects)
    if (rows > 0 && (knownKey(firstKey, key) === null || knownKey(lastKey, key) === null)) return undefined;
  return key;
}

/** Undefined when the manifest's keys are no values of the key. */
async function countRanges(
  client: Client,
  countable: Countable,
  key: readonly Compared[],
  done: RestoreRecord['done'],
): Promise<Recount | undefined> {
  const sums: Recount = { noted: 0, found: 0, short: [] };
  try {
    for await (const part of inParts(notedObjects(countable, done), OBJECTS_A_QUERY)) {
      const filled = part.filter(({ noted }) => noted > 0);
      if (filled.length === 0) continue;
      const counts = await askCounts(client, countable, key, filled);
      for (const [at, { object, noted }] of filled.entries()) {
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
