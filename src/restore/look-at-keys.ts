/** Asks the server what only it can tell of a range of keys: whether the ends are values of the key, and which objects lie outside. */
import { errorText } from '../base/errors.ts';
import type { Client } from '../postgres/connect.ts';
import { sqlStateOf } from '../postgres/errors.ts';
import type { Manifest, ManifestObject } from '../ledger/manifest.ts';
import { ALL_KEYS, keyColumns, knownKey, readBounds, type Bound, type KeyColumn, type KeyFacts } from './keys.ts';
import type { KeyBounds } from './request.ts';
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
  const key = keyColumns(manifest, target, types);
  if (typeof key === 'string') return { ...ALL_KEYS, problems: [key] };
  const { from, to, problems } = readBounds(bounds, key);
  if (problems.length === 0) {
    for (const bound of [from, to]) if (bound !== undefined) problems.push(...(await checkValues(client, bound, key)));
  }
  if (problems.length > 0) return { ...ALL_KEYS, problems };
  return { key, from, to, ...(await findOutside(client, manifest, { key, from, to })) };
}

async function checkValues(
  client: Client,
  { option, text, values }: Bound,
  key: readonly KeyColumn[],
): Promise<string[]> {
  try {
    await client.query(`SELECT ${rowOf(key, 1)}`, [...values]);
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
  range: Pick<KeyFacts, 'key' | 'from' | 'to'>,
): Promise<Pick<KeyFacts, 'outside' | 'problems'>> {
  const outside = new Set<number>();
  if (cut?.by !== 'key' || range.key.some(({ isCollatable }) => isCollatable)) return { outside, problems: [] };
  try {
    for (let start = 0; start < objects.length; start += OBJECTS_A_QUERY) {
      const part = objects.slice(start, start + OBJECTS_A_QUERY);
      for (const at of await askOutside(client, part, range)) outside.add(start + at);
    }
    return { outside, problems: [] };
  } catch (error) {
    if (!isBadValue(error)) throw error;
    const types = range.key.map(({ type }) => type).join(', ');
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
  const rowAt = (end: 'first' | 'last'): string =>
    `ROW(${key.map(({ type }, at) => `(o.ends -> '${end}' ->> ${at})::${type}`).join(', ')})`;
  const values = [JSON.stringify(ends)];
  const tests: string[] = [];
  if (to !== undefined) tests.push(`${rowAt('first')} > ${rowOf(key, values.push(...to.values) - key.length + 1)}`);
  if (from !== undefined) tests.push(`${rowAt('last')} < ${rowOf(key, values.push(...from.values) - key.length + 1)}`);
  const { rows } = await client.query<{ at: number }>(
    `SELECT n::int - 1 AS at FROM json_array_elements($1::json) WITH ORDINALITY AS o(ends, n) WHERE ${tests.join(' OR ')}`,
    values,
  );
  const empty = objects.flatMap((object, at) => (object.rows === 0 ? [at] : []));
  return [...empty, ...rows.map(({ at }) => at)];
}

/** A row of the parameters from `first` on. */
function rowOf(key: readonly KeyColumn[], first: number): string {
  return `ROW(${key.map(({ type }, at) => `$${first + at}::${type}`).join(', ')})`;
}

/** What is no value of its type, or none that a domain allows. */
function isBadValue(error: unknown): boolean {
  return /^2[23]/.test(sqlStateOf(error));
}
