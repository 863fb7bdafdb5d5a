/** Names the archive's types as the server does: what a manifest calls a type is looked up, and is never a part of a statement. */
import type { Client } from '../postgres/connect.ts';
import { isBuiltIn, isPseudoType } from '../postgres/columns.ts';
import { sqlStateOf } from '../postgres/errors.ts';
import type { ManifestColumn } from '../ledger/manifest.ts';

/** A type's name in parts, as `format_type` prints it. */
export interface TypeName {
  /** Without modifier and array, such as `timestamp with time zone`, `numeric`, `audit."Level"`. */
  element: string;
  /** In parentheses, such as `(12,2)`; empty without. Letters, digits and commas only. */
  modifier: string;
  /** `[]` for an array, else empty. */
  array: string;
}

/** A longer one is none that Postgres prints: two names of 63 bytes, in quotes. */
const MAX_NAME_CHARS = 600;

const PLAIN = String.raw`[\p{L}_][\p{L}\p{N}_$]*`;
const QUOTED = String.raw`"(?:[^"\0]|"")+"`;
const IDENTIFIER = `(?:${PLAIN}|${QUOTED})`;
const MODIFIER = String.raw`\(-?\w{1,63}(?:, ?-?\w{1,63}){0,7}\)`;
const FIELD = '(?:year|month|day|hour|minute|second)';

/** `timestamp(3) with time zone`: the modifier stands in the middle. */
const TIME = new RegExp(String.raw`^(time|timestamp)(\(\d\))?( with(?:out)? time zone)(\[\])?$`);
/** `interval day to second(3)`: which fields it has is a part of the modifier. */
const INTERVAL = new RegExp(String.raw`^interval( ${FIELD}(?: to ${FIELD})?)?(\(\d\))?(\[\])?$`);
/** `double precision`, `bit varying(8)`: the names of several words. */
const WORDS = new RegExp(String.raw`^(double precision|character varying|bit varying)(\(\d{1,8}\))?(\[\])?$`);
const OTHER = new RegExp(String.raw`^(${IDENTIFIER}(?:\.${IDENTIFIER})?)(${MODIFIER})?(\[\])?$`, 'u');

/** Undefined for what Postgres never prints as a type. */
export function parseTypeName(text: string): TypeName | undefined {
  if (text.length > MAX_NAME_CHARS) return undefined;
  const time = TIME.exec(text);
  if (time !== null)
    return { element: `${time[1] ?? ''}${time[3] ?? ''}`, modifier: time[2] ?? '', array: time[4] ?? '' };
  const interval = INTERVAL.exec(text);
  if (interval !== null) {
    return { element: 'interval', modifier: `${interval[1] ?? ''}${interval[2] ?? ''}`, array: interval[3] ?? '' };
  }
  const [, element, modifier = '', array = ''] = WORDS.exec(text) ?? OTHER.exec(text) ?? [];
  return element === undefined ? undefined : { element, modifier, array };
}

/** The type as SQL, of the server's own name of its element and a modifier that {@link parseTypeName} let through. */
export function writeTypeName(element: string, { modifier, array }: Pick<TypeName, 'modifier' | 'array'>): string {
  const time = /^(time|timestamp)( with(?:out)? time zone)$/.exec(element);
  const whole = time === null ? `${element}${modifier}` : `${time[1] ?? ''}${modifier}${time[2] ?? ''}`;
  return `${whole}${array}`;
}

/** The SQL of each type that a table of the server can have, by the name that the manifest gives it. Other names are left out. */
export async function resolveTypes(
  client: Client,
  columns: readonly Pick<ManifestColumn, 'type' | 'typeOid'>[],
): Promise<Map<string, string>> {
  const types = new Map<string, string>();
  for (const [name, oid] of new Map(columns.map(({ type, typeOid }) => [type, typeOid]))) {
    const parts = isPseudoType(oid) ? undefined : parseTypeName(name);
    const element = parts === undefined ? undefined : await nameOfType(client, parts, isBuiltIn(oid));
    if (parts === undefined || element === undefined) continue;
    const whole = writeTypeName(element, parts);
    if (parts.modifier === '' || (await isType(client, whole))) types.set(name, whole);
  }
  return types;
}

/** Whether the element takes such a modifier, as `numeric(12,2)` does and `integer(12)` does not. */
async function isType(client: Client, whole: string): Promise<boolean> {
  try {
    const { rows } = await client.query<{ is: boolean }>('SELECT pg_catalog.to_regtype($1) IS NOT NULL AS is', [whole]);
    return rows[0]?.is === true;
  } catch (error) {
    if (isNoType(error)) return false;
    throw error;
  }
}

/**
 * As the server prints it, in the quotes that it needs; undefined when there is no such type. A type of Postgres's own is
 * looked for among those first, whatever else of its name the search path finds; `integer` and the like are words of SQL.
 */
async function nameOfType(
  client: Client,
  { element, modifier }: TypeName,
  builtIn: boolean,
): Promise<string | undefined> {
  const own = builtIn && !/[. ]/.test(element) ? `pg_catalog.${element}` : null;
  // By -1 the server says `bpchar` and `"bit"`, which have any length: `character` and `bit` alone have the length 1.
  const typeModifier = modifier === '' ? -1 : null;
  try {
    const { rows } = await client.query<{ name: string | null }>(
      `SELECT pg_catalog.format_type(t.oid, $2) AS name
       FROM (SELECT COALESCE(pg_catalog.to_regtype($3), pg_catalog.to_regtype($1))::pg_catalog.oid AS oid) AS t
       WHERE t.oid IS NOT NULL`,
      [element, typeModifier, own],
    );
    return rows[0]?.name ?? undefined;
  } catch (error) {
    if (isNoType(error)) return undefined;
    throw error;
  }
}

/** Servers before 16 do not answer NULL to what is no name, such as a reserved word, but fail. */
function isNoType(error: unknown): boolean {
  return /^(?:42|3F|0A|22)/.test(sqlStateOf(error));
}
