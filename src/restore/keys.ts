/** Narrows a restore to a range of the key: which objects may hold such rows, and the condition on the rows. */
import { errorText } from '../base/errors.ts';
import type { Client } from '../postgres/connect.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';
import type { Manifest, ManifestObject } from '../ledger/manifest.ts';
import type { KeyBounds } from './request.ts';
import type { Target } from './target.ts';

export interface KeyNarrowing {
  problems: string[];
  /** SQL condition on the target's columns; undefined for all rows. */
  where: string | undefined;
  /** Whether the object at this index of the manifest may hold such rows. */
  mayMatch: (index: number) => boolean;
}

interface KeyColumn {
  name: string;
  type: string;
  isCollatable: boolean;
}

/** Objects whose keys are compared by one query. */
const OBJECTS_A_QUERY = 200;

const ALL: KeyNarrowing = { problems: [], where: undefined, mayMatch: () => true };

/** All is compared by Postgres, in the order of the key's own types. `target` is undefined when it is yet to be made. */
export async function narrowToKeys(
  client: Client,
  bounds: KeyBounds,
  manifest: Manifest,
  target: Target | undefined,
): Promise<KeyNarrowing> {
  if (bounds.from === undefined && bounds.to === undefined) return ALL;
  const key = keyColumns(manifest, target);
  if (typeof key === 'string') return { ...ALL, problems: [key] };
  const from = split(bounds.from, key);
  const to = split(bounds.to, key);
  const problems = [
    ...(await checkBound(client, '--key-from', bounds.from, from, key)),
    ...(await checkBound(client, '--key-to', bounds.to, to, key)),
  ];
  if (problems.length > 0) return { ...ALL, problems };
  const row = `ROW(${key.map(({ name }) => quoteIdentifier(name)).join(', ')})`;
  const conditions = [
    ...(from === undefined ? [] : [`${row} >= ${literal(from, key)}`]),
    ...(to === undefined ? [] : [`${row} <= ${literal(to, key)}`]),
  ];
  const outside = await findOutside(client, manifest, key, from, to);
  return { problems: [], where: conditions.join(' AND '), mayMatch: (index) => !outside.has(index) };
}

/** The key's columns as the target has them, or what stands against them. */
function keyColumns(manifest: Manifest, target: Target | undefined): KeyColumn[] | string {
  const names = manifest.cut?.key ?? manifest.primaryKey;
  if (names.length === 0) return '--key-from and --key-to need a key, and the archive has none';
  const columns = names.map((name): KeyColumn | undefined => {
    const there = target?.columns.find((column) => column.name === name);
    const archived = manifest.columns.find((column) => column.name === name);
    if (target !== undefined) return there === undefined || there.isGenerated ? undefined : there;
    // The order of text depends on a collation, which a manifest does not name; a type of its own may be text inside.
    return (
      archived && {
        ...archived,
        isCollatable: !/^(?:smallint|integer|bigint|uuid|date|timestamp.*)$/.test(archived.type),
      }
    );
  });
  return columns.every((column) => column !== undefined)
    ? columns
    : `--key-from and --key-to go by (${names.join(', ')}), which the target does not take as plain columns`;
}

function split(text: string | undefined, key: readonly KeyColumn[]): string[] | undefined {
  return text === undefined ? undefined : key.length === 1 ? [text] : text.split(',');
}

async function checkBound(
  client: Client,
  option: string,
  text: string | undefined,
  values: readonly string[] | undefined,
  key: readonly KeyColumn[],
): Promise<string[]> {
  if (values === undefined) return [];
  if (values.length !== key.length) {
    return [
      `${option} ${text ?? ''}: the key has ${key.length} columns, ${key.map(({ name }) => name).join(', ')}; give one value for each, with commas between`,
    ];
  }
  try {
    await client.query(`SELECT ${literal(values, key)}`);
    return [];
  } catch (error) {
    return [`${option} ${text ?? ''}: ${errorText(error)}`];
  }
}

/**
 * Indexes of the objects that hold no such row for certain: cut by the key, so that first and last key are its ends. The order
 * of text depends on a collation, which may be another one here than where the rows were cut: then every object is read.
 */
async function findOutside(
  client: Client,
  manifest: Manifest,
  key: readonly KeyColumn[],
  from: readonly string[] | undefined,
  to: readonly string[] | undefined,
): Promise<Set<number>> {
  const outside = new Set<number>();
  if (manifest.cut?.by !== 'key' || key.some(({ isCollatable }) => isCollatable)) return outside;
  for (let start = 0; start < manifest.objects.length; start += OBJECTS_A_QUERY) {
    const tests = manifest.objects
      .slice(start, start + OBJECTS_A_QUERY)
      .map((object) => outsideTest(object, key, from, to));
    const { rows } = await client.query<{ answers: boolean[] }>(`SELECT ARRAY[${tests.join(', ')}]::bool[] AS answers`);
    rows[0]?.answers.forEach((answer, at) => {
      if (answer) outside.add(start + at);
    });
  }
  return outside;
}

function outsideTest(
  { rows, firstKey, lastKey }: ManifestObject,
  key: readonly KeyColumn[],
  from: readonly string[] | undefined,
  to: readonly string[] | undefined,
): string {
  if (rows === 0) return 'true';
  const tests: string[] = [];
  if (to !== undefined && isKnown(firstKey)) tests.push(`${literal(firstKey, key)} > ${literal(to, key)}`);
  if (from !== undefined && isKnown(lastKey)) tests.push(`${literal(lastKey, key)} < ${literal(from, key)}`);
  return tests.length === 0 ? 'false' : `(${tests.join(' OR ')})`;
}

/** NULL in a key, which a query may have, is noted as an empty text. */
function isKnown(values: readonly string[] | null): values is readonly string[] {
  return values !== null && !values.includes('');
}

function literal(values: readonly string[], key: readonly KeyColumn[]): string {
  return `ROW(${key.map(({ type }, index) => `${quoteLiteral(values[index] ?? '')}::${type}`).join(', ')})`;
}
