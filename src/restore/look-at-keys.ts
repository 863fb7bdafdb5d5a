/** Asks the server what only it can tell of a range of keys: whether the ends are values of the key, and which objects lie outside. */
import { errorText } from '../base/errors.ts';
import type { Client } from '../postgres/connect.ts';
import { sqlStateOf } from '../postgres/errors.ts';
import { compareRow, type Compared } from '../postgres/row-comparison.ts';
import type { ManifestObject } from '../ledger/manifest.ts';
import type { StoredManifest } from '../ledger/stored-manifest.ts';
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
import { inParts } from './parts.ts';
import type { Target } from './target.ts';

/** Objects whose keys are compared by one query. */
const OBJECTS_A_QUERY = 1000;

/** All is compared by Postgres, in the order of the key's own types. `target` is undefined when it is yet to be made. */
export async function lookAtKeys(
  client: Client,
  bounds: KeyBounds,
  manifest: StoredManifest,
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
  if (problems.length === 0 && from !== undefined && to !== undefined)
    problems.push(...(await checkOrder(client, from, to, key, target)));
  if (problems.length > 0) return { ...ALL_KEYS, problems };
  return { key, from, to, ...(await placeObjects(client, manifest, columns, { key, from, to })) };
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

/** In the order of the target's own columns, as text goes by their collations. */
async function checkOrder(
  client: Client,
  from: Bound,
  to: Bound,
  key: readonly Compared[],
  target: Target | undefined,
): Promise<string[]> {
  const columns = key.map(({ reference }) => reference).join(', ');
  const casts = key.map(({ type }, at) => `$${at + 1}::${type}`).join(', ');
  const none = target === undefined ? '' : `SELECT ${columns} FROM ${target.name} WHERE false UNION ALL `;
  const ends = to.values.map((_, at) => `$${key.length + at + 1}`);
  const { rows } = await client.query<{ swapped: boolean | null }>(
    `SELECT ${compareRow(key, '>', ends)} AS swapped FROM (${none}SELECT ${casts}) AS ends(${columns})`,
    [...from.values, ...to.values],
  );
  if (rows[0]?.swapped !== true) return [];
  return [`--key-from ${from.text} is after --key-to ${to.text}, and no row is between them`];
}

/**
 * Objects that were cut by the key, so that first and last key are their ends. Where its order may be another one than where the
 * rows were cut, as that of text or of an enum, every object is read.
 */
async function placeObjects(
  client: Client,
  { cut, objects }: StoredManifest,
  columns: readonly KeyColumn[],
  range: Pick<KeyFacts, 'key' | 'from' | 'to'>,
): Promise<Pick<KeyFacts, 'outside' | 'inside' | 'problems'>> {
  const outside = new Places(objects.length);
  const inside = new Places(objects.length);
  if (cut?.by !== 'key' || columns.some(({ isOrderedApart }) => isOrderedApart))
    return { outside, inside, problems: [] };
  try {
    let start = 0;
    for await (const part of inParts(objects, OBJECTS_A_QUERY)) {
      for (const { at, isOutside } of await askPlaces(client, part, range))
        (isOutside ? outside : inside).add(start + at);
      start += part.length;
    }
    return { outside, inside, problems: [] };
  } catch (error) {
    if (!isBadValue(error)) throw error;
    const types = columns.map(({ type }) => type).join(', ');
    return {
      outside,
      inside,
      problems: [`the manifest's keys are not of the type of the key (${types}): ${errorText(error)}`],
    };
  }
}

/** Places in the manifest, a byte for each object. */
class Places {
  readonly #places: Uint8Array;

  constructor(objects: number) {
    this.#places = new Uint8Array(objects);
  }

  add(place: number): void {
    this.#places[place] = 1;
  }

  has(place: number): boolean {
    return this.#places[place] === 1;
  }
}

interface Place {
  /** Index in the objects that were asked for. */
  at: number;
  /** Else inside; those that are neither, or of which it is not known, are not there. */
  isOutside: boolean;
}

/** The keys go as one parameter: what the manifest says is never SQL. */
async function askPlaces(
  client: Client,
  objects: readonly ManifestObject[],
  { key, from, to }: Pick<KeyFacts, 'key' | 'from' | 'to'>,
): Promise<Place[]> {
  const ends = objects.map(({ firstKey, lastKey }) => ({
    first: knownKey(firstKey, key),
    last: knownKey(lastKey, key),
  }));
  const parameters = [JSON.stringify(ends)];
  const test = (end: 'first' | 'last', order: '<' | '<=' | '>=' | '>', placeholders: readonly string[]): string => {
    const texts = endTexts(end, key);
    const ends = key.map((column, at) => ({ ...column, reference: `${texts[at] ?? ''}::${column.type}` }));
    return `(${compareRow(ends, order, placeholders)})`;
  };
  const outside: string[] = [];
  const inside: string[] = [];
  if (to !== undefined) {
    const values = to.values.map((value) => `$${parameters.push(value)}`);
    outside.push(test('first', '>', values));
    inside.push(test('last', '<=', values));
  }
  if (from !== undefined) {
    const values = from.values.map((value) => `$${parameters.push(value)}`);
    outside.push(test('last', '<', values));
    inside.push(test('first', '>=', values));
  }
  const { rows } = await client.query<{ number: number; isOutside: boolean }>(
    `SELECT p.number, p.outside AS "isOutside" FROM (
       SELECT n::pg_catalog.int4 AS number, COALESCE(${outside.join(' OR ')}, false) AS outside,
         COALESCE(${inside.join(' AND ')}, false) AS inside
       FROM pg_catalog.json_array_elements($1::pg_catalog.json) WITH ORDINALITY AS o(ends, n)
     ) AS p WHERE p.outside OR p.inside`,
    parameters,
  );
  const empty = objects.flatMap((object, at): Place[] => (object.rows === 0 ? [{ at, isOutside: true }] : []));
  return [...empty, ...rows.map(({ number, isOutside }) => ({ at: number - 1, isOutside }))];
}

/** What is no value of its type, or none that a domain allows. */
function isBadValue(error: unknown): boolean {
  return /^2[23]/.test(sqlStateOf(error));
}
