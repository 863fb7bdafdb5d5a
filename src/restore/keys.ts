/** Narrows a restore to a range of the key. Pure: what only the server can tell comes as {@link KeyFacts}. */
import { quoteLiteral } from '../postgres/identifiers.ts';
import { compareRow, type Compared } from '../postgres/row-comparison.ts';
import type { ManifestHead } from '../ledger/manifest.ts';
import type { KeyBounds } from './request.ts';
import type { Target } from './target.ts';

/** A column of the key, with its type as the server names it. */
export interface KeyColumn {
  name: string;
  type: string;
  /** Whether its order may be another one elsewhere. */
  isOrderedApart: boolean;
}

/** One end of the range, as the operator wrote it, and its values for the columns of the key. */
export interface Bound {
  option: '--key-from' | '--key-to';
  text: string;
  values: readonly string[];
}

/** What is known of the range that was asked for. */
export interface KeyFacts {
  key: readonly Compared[];
  from: Bound | undefined;
  to: Bound | undefined;
  /** What stands against the range. */
  problems: readonly string[];
  /** Indexes in the manifest of objects that hold no such row for certain. */
  outside: Pick<ReadonlySet<number>, 'has'>;
  /** Of those that hold no other row for certain. */
  inside: Pick<ReadonlySet<number>, 'has'>;
}

export const ALL_KEYS: KeyFacts = {
  key: [],
  from: undefined,
  to: undefined,
  problems: [],
  outside: new Set(),
  inside: new Set(),
};

/** Types whose order is the same everywhere. A type of the user's own may be text inside. */
const ORDERED_ALIKE = /^(?:smallint|integer|bigint|uuid|date|timestamp(?:\(\d\))? with(?:out)? time zone)$/;

/**
 * The key's columns as the target has them, or what stands against them. For a table that is yet to be made, `types` has the
 * server's names of the archive's types.
 */
export function keyColumns(
  { cut, primaryKey, columns }: Pick<ManifestHead, 'cut' | 'primaryKey' | 'columns'>,
  target: Pick<Target, 'columns'> | undefined,
  types: ReadonlyMap<string, string>,
): KeyColumn[] | string {
  const names = cut?.key ?? primaryKey;
  if (names.length === 0) return '--key-from and --key-to need a key, and the archive has none';
  const key = names.map((name): KeyColumn | undefined => {
    if (target !== undefined) {
      const there = target.columns.find((column) => column.name === name);
      return there === undefined || there.isGenerated ? undefined : pick(there);
    }
    const archived = columns.find((column) => column.name === name);
    const type = archived === undefined ? undefined : types.get(archived.type);
    // The order of text depends on a collation, which a manifest does not name.
    return type === undefined ? undefined : { name, type, isOrderedApart: !ORDERED_ALIKE.test(type) };
  });
  return key.every((column) => column !== undefined)
    ? key
    : `--key-from and --key-to go by (${names.join(', ')}), which the target does not take as plain columns`;
}

function pick({ name, type, isOrderedApart }: KeyColumn): KeyColumn {
  return { name, type, isOrderedApart };
}

/** The ends of the range, and what is wrong with their form. */
export function readBounds(
  { from, to }: KeyBounds,
  key: readonly KeyColumn[],
): { from: Bound | undefined; to: Bound | undefined; problems: string[] } {
  const bounds = { from: readBound('--key-from', from, key), to: readBound('--key-to', to, key) };
  const names = key.map(({ name }) => name).join(', ');
  const problems = [bounds.from, bounds.to].flatMap((bound) =>
    bound === undefined || bound.values.length === key.length
      ? []
      : [
          `${bound.option} ${bound.text}: the key has ${key.length} columns, ${names}; give one value for each, with commas between, and \\, for a comma in one`,
        ],
  );
  return { ...bounds, problems };
}

function readBound(option: Bound['option'], text: string | undefined, key: readonly KeyColumn[]): Bound | undefined {
  if (text === undefined) return undefined;
  return { option, text, values: key.length === 1 ? [text] : splitValues(text) };
}

/** At each comma, but for those behind a backslash; two of these are one. */
function splitValues(text: string): string[] {
  const values = [''];
  for (const [part] of text.matchAll(/\\[\\,]|[^]/g)) {
    if (part === ',') values.push('');
    else values.push((values.pop() ?? '') + part.slice(-1));
  }
  return values;
}

/**
 * The SQL condition on the rows; undefined for all. COPY takes no parameters, so these values stand in it as literals: they
 * are what the operator wrote, the types are the server's, and nothing of the bucket is in it.
 */
export function conditionOf({ key, from, to }: Pick<KeyFacts, 'key' | 'from' | 'to'>): string | undefined {
  const conditions = [
    ...(from === undefined ? [] : [compareRow(key, '>=', from.values.map(quoteLiteral))]),
    ...(to === undefined ? [] : [compareRow(key, '<=', to.values.map(quoteLiteral))]),
  ];
  return conditions.length === 0 ? undefined : conditions.join(' AND ');
}

/** NULL in a key, which a query may have, is noted as an empty text: such an end is not known. */
export function knownKey(values: readonly string[] | null, key: readonly unknown[]): readonly string[] | null {
  return values?.length === key.length && !values.includes('') ? values : null;
}

/** SQL for the texts of an object's first or last key, as `o.ends` has them: an element of the JSON that names them. */
export function endTexts(end: 'first' | 'last', key: readonly unknown[]): string[] {
  return key.map((_, at) => `((o.ends OPERATOR(pg_catalog.->) '${end}') OPERATOR(pg_catalog.->>) ${at})`);
}
