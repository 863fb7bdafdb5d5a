/** Asks the server what only it can tell of a range of keys: whether the ends are values of the key, and which objects lie outside. */
import { errorText } from '../base/errors.ts';
import type { Client } from '../postgres/connect.ts';
import { sqlStateOf } from '../postgres/errors.ts';
import { compareRow, type Compared } from '../postgres/row-comparison.ts';
import type { Manifest, ManifestObject } from '../ledger/manifest.ts';
import {
  ALL_KEYS,
  endTexts,
  keyColumns,
  knownKey,
  readBounds,
  type Bound,
  type KeyColumn,
  type KeyFacts,
} from './keys.ts';
import type { KeyBounds } from './request.ts';
import { describeKey } from './key-types.ts';
import type { Target } from './target.ts';

/** Objects whose keys are compared by one query. */
const OBJECTS_A_QUERY = 1000;

/** All is compared by Postgres, in the order of the key's own types. `target` is undefined when it is yet to be made. */
export async function lookAtKeys(
  client: Client,
  bounds: KeyBounds,
  manifest: Manifest,
  target: Target | undefined,
  types: ReadonlyMap<string, string>,
): Promise<KeyFacts> {
  if (bounds.from === undefined && bounds.to === undefined) return ALL_KEYS;
  const columns = keyColumns(manifest, target, types);
  if (typeof columns === 'string') return { ...ALL_KEYS, problems: [columns] };
  const key = await describeKey(client, columns);
  const { from, to, problems } = readBounds(bounds, columns);
  if (problems.length === 0) {
    for (const bound of [from, to]) if (bound !== undefined) problems.push(...(await checkValues(client, bound, key)));
  }
  if (problems.length > 0) return { ...ALL_KEYS, problems };
  return { key, from, to, ...(await findOutside(client, manifest, columns, { key, from, to })) };
}

async function checkValues(
  client: Client,
  { option, text, values }: Bound,
  key: readonly Compared[],
): Promise<string[]> {
  try {
    const casts = key.map(({ type }, at) => `$${at + 1}::${type}`);
    await client.query(`SELECT ${casts.join(', ')}`, [...values]);
    return [];
  } catch (error) {
    if (isBadValue(error)) return [`${option} ${text}: ${errorText(error)}`];
    throw error;
  }
}

/**
 * Objects that were cut by the key, so that first and last key are their ends. The order of text depends on a collation, which
 * may be another one here than where the rows were cut: then every object is read.
 */
async function findOutside(
  client: Client,
  { cut, objects }: Manifest,
  columns: readonly KeyColumn[],
  range: Pick<KeyFacts, 'key' | 'from' | 'to'>,
): Promise<Pick<KeyFacts, 'outside' | 'problems'>> {
  const outside = new Set<number>();
  if (cut?.by !== 'key' || columns.some(({ isCollatable }) => isCollatable)) return { outside, problems: [] };
  try {
    for (let start = 0; start < objects.length; start += OBJECTS_A_QUERY) {
      const part = objects.slice(start, start + OBJECTS_A_QUERY);
      for (const at of await askOutside(client, part, range)) outside.add(start + at);
    }
    return { outside, problems: [] };
  } catch (error) {
    if (!isBadValue(error)) throw error;
    const types = columns.map(({ type }) => type).join(', ');
    return {
      outside,
      problems: [`the manifest's keys are not of the type of the key (${types}): ${errorText(error)}`],
    };
  }
}

/** Indexes in `objects` of those that lie outside. The keys go as one parameter: what the manifest says is never SQL. */
async function askOutside(
  client: Client,
  objects: readonly ManifestObject[],
  { key, from, to }: Pick<KeyFacts, 'key' | 'from' | 'to'>,
): Promise<number[]> {
  const ends = objects.map(({ firstKey, lastKey }) => ({
    first: knownKey(firstKey, key),
    last: knownKey(lastKey, key),
  }));
  const parameters = [JSON.stringify(ends)];
  const tests: string[] = [];
  const test = (end: 'first' | 'last', order: '<' | '>', { values }: Bound): void => {
    const placeholders = values.map((value) => `$${parameters.push(value)}`);
    const texts = endTexts(end, key);
    const ends = key.map((column, at) => ({ ...column, reference: `${texts[at] ?? ''}::${column.type}` }));
    tests.push(`(${compareRow(ends, order, placeholders)})`);
  };
  if (to !== undefined) test('first', '>', to);
  if (from !== undefined) test('last', '<', from);
  const { rows } = await client.query<{ number: number }>(
    `SELECT n::pg_catalog.int4 AS number
     FROM pg_catalog.json_array_elements($1::pg_catalog.json) WITH ORDINALITY AS o(ends, n) WHERE ${tests.join(' OR ')}`,
    parameters,
  );
  const empty = objects.flatMap((object, at) => (object.rows === 0 ? [at] : []));
  return [...empty, ...rows.map(({ number }) => number - 1)];
}

/** What is no value of its type, or none that a domain allows. */
function isBadValue(error: unknown): boolean {
  return /^2[23]/.test(sqlStateOf(error));
}
