/** Says for each column how its value becomes JSON: the rules of Postgres's own json_categorize_type. */
import type { Client } from 'pg';
import { TYPE_PARTS_SQL } from './type-parts.ts';

/**
 * How a value is encoded: by what Postgres prints for it, by itself (`integer`, `number`, `boolean`, `jsonb`, `json`), in
 * quotes (`string`, `date`, `timestamp`, `timestamptz`), or by asking the server for `to_json(column)` (`server`), or for the
 * text that the type's input reads, in quotes (`text`).
 */
export type Encoding =
  | 'boolean'
  | 'integer'
  | 'number'
  | 'string'
  | 'date'
  | 'timestamp'
  | 'timestamptz'
  | 'json'
  | 'jsonb'
  | 'server'
  | 'text';

export interface Column {
  name: string;
  /** As `format_type` prints it, such as `numeric(12,4)`. */
  type: string;
  typeOid: number;
  /** OID of the type below all domains; the binary reader chooses its decoder by it. */
  baseTypeOid: number;
  /** OID of the element type when it is an array, as it stands (it may be a domain); else null. */
  elementTypeOid: number | null;
  isEnum: boolean;
  nullable: boolean;
  encoding: Encoding;
  /** Whether a cast of somebody's makes its JSON, or that of a part of it, of which nobody knows whether it keeps all. */
  isMadeByCast?: true;
}

/** A column as the catalogue or a query's description gives it, before its encoding is known. */
export interface BareColumn {
  name: string;
  typeOid: number;
  typeModifier: number;
  nullable: boolean;
}

const BY_OID: Record<number, Encoding> = {
  16: 'boolean',
  20: 'integer',
  21: 'integer',
  23: 'integer',
  700: 'number',
  701: 'number',
  1700: 'number',
  1082: 'date',
  1114: 'timestamp',
  1184: 'timestamptz',
  114: 'json',
  3802: 'jsonb',
};

interface TypeRow {
  ordinal: number;
  type: string;
  base_oid: number;
  asks_server: boolean;
  is_made_by_cast: boolean;
  element_oid: number | null;
  is_enum: boolean;
}

/** What Postgres itself brings along, its types and casts among it, has smaller OIDs. */
const FIRST_OID_OF_USERS = 16_384;
const JSON_OID = 114;

/** Whether this OID is of a type that Postgres itself brings along. */
export function isBuiltIn(typeOid: number): boolean {
  return typeOid < FIRST_OID_OF_USERS;
}

/** record, record[], void, anyarray, cstring and unknown: a query can have columns of these types, and no table. */
const PSEUDO_TYPES: ReadonlySet<number> = new Set([2249, 2287, 2278, 2277, 2275, 705]);

export function isPseudoType(typeOid: number): boolean {
  return PSEUDO_TYPES.has(typeOid);
}

/** A condition: whether the type of this OID was made by a user, with a cast to json that to_json calls. */
export function hasOwnJson(oid: string): string {
  return `(${oid} OPERATOR(pg_catalog.>=) ${FIRST_OID_OF_USERS} AND EXISTS (
    SELECT FROM pg_catalog.pg_cast j
    WHERE j.castsource OPERATOR(pg_catalog.=) ${oid} AND j.casttarget OPERATOR(pg_catalog.=) ${JSON_OID}))`;
}

/**
 * `asks_server`: arrays and composites nest, and a type made by a user may have a cast to json that to_json calls.
 * `is_made_by_cast`: it calls such a cast, for the value itself or within it. It looks below domains, and for no cast of an array or a
 * composite. What hstore's cast prints is read back.
 */
const TYPES_SQL = `
WITH RECURSIVE wanted AS (
  SELECT ordinal::pg_catalog.int4, type_oid, modifier
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.int4[]))
    WITH ORDINALITY AS given(type_oid, modifier, ordinal)
), below AS (
  SELECT ordinal, type_oid AS oid FROM wanted
  UNION ALL
  SELECT below.ordinal, t.typbasetype
  FROM below JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) below.oid
  WHERE t.typtype OPERATOR(pg_catalog.=) 'd'
), parts AS (
  SELECT ordinal, type_oid AS oid FROM wanted
  UNION
  SELECT parts.ordinal, part.oid
  FROM parts JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) parts.oid
  CROSS JOIN LATERAL ${TYPE_PARTS_SQL}
)
SELECT wanted.ordinal, pg_catalog.format_type(wanted.type_oid, wanted.modifier) AS type,
  t.oid::pg_catalog.int8::pg_catalog.float8 AS base_oid,
  is_array OR t.typtype OPERATOR(pg_catalog.=) ANY ('{c,p}')
    OR ${hasOwnJson('t.oid')} AS asks_server,
  EXISTS (
    SELECT FROM parts JOIN pg_catalog.pg_type p ON p.oid OPERATOR(pg_catalog.=) parts.oid
    WHERE parts.ordinal OPERATOR(pg_catalog.=) wanted.ordinal AND ${hasOwnJson('p.oid')}
      AND p.typtype OPERATOR(pg_catalog.<>) ALL ('{c,d}') AND p.typname OPERATOR(pg_catalog.<>) 'hstore'
      AND (p.typelem OPERATOR(pg_catalog.=) 0 OR p.typlen OPERATOR(pg_catalog.<>) -1)
  ) AS is_made_by_cast,
  CASE WHEN is_array THEN t.typelem::pg_catalog.int8::pg_catalog.float8 END AS element_oid,
  t.typtype OPERATOR(pg_catalog.=) 'e' AS is_enum
FROM wanted JOIN below ON below.ordinal OPERATOR(pg_catalog.=) wanted.ordinal
JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) below.oid AND t.typtype OPERATOR(pg_catalog.<>) 'd'
CROSS JOIN LATERAL (
  SELECT t.typelem OPERATOR(pg_catalog.<>) 0 AND t.typlen OPERATOR(pg_catalog.=) -1 AS is_array
) AS shape
ORDER BY wanted.ordinal`;

/** Looks the types up and gives each column its encoding, in the same order. */
export async function resolveEncodings(client: Client, columns: readonly BareColumn[]): Promise<Column[]> {
  const { rows } = await client.query<TypeRow>(TYPES_SQL, [
    columns.map((column) => column.typeOid),
    columns.map((column) => column.typeModifier),
  ]);
  return columns.map((column, index) => {
    const row = rows[index];
    if (row?.ordinal !== index + 1) throw new Error(`the type ${column.typeOid} of column ${column.name} is gone`);
    return {
      name: column.name,
      type: row.type,
      typeOid: column.typeOid,
      baseTypeOid: row.base_oid,
      elementTypeOid: row.element_oid,
      isEnum: row.is_enum,
      nullable: column.nullable,
      encoding: encodingOf(row),
      ...(row.is_made_by_cast ? { isMadeByCast: true } : {}),
    };
  });
}

/** A cast may lose digits or dimensions, as those of PostGIS do; the text of a type is what its input reads. */
function encodingOf(row: TypeRow): Encoding {
  if (row.is_made_by_cast) return 'text';
  return row.asks_server ? 'server' : (BY_OID[row.base_oid] ?? 'string');
}
