/** Says for each column how its value becomes JSON: the rules of Postgres's own json_categorize_type. */
import type { Client } from 'pg';

/**
 * How a value is encoded: by what Postgres prints for it, by itself (`integer`, `number`, `boolean`, `jsonb`, `json`), in
 * quotes (`string`, `date`, `timestamp`, `timestamptz`), or by asking the server for `to_json(column)` (`server`).
 */
export type Encoding =
  'boolean' | 'integer' | 'number' | 'string' | 'date' | 'timestamp' | 'timestamptz' | 'json' | 'jsonb' | 'server';

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
  element_oid: number | null;
  is_enum: boolean;
}

/**
 * `asks_server`: arrays and composites nest, and a type made by a user may have a cast to json that to_json calls.
 */
const TYPES_SQL = `
WITH RECURSIVE wanted AS (
  SELECT ordinal::int, type_oid, modifier
  FROM unnest($1::oid[], $2::int[]) WITH ORDINALITY AS given(type_oid, modifier, ordinal)
), below AS (
  SELECT ordinal, type_oid AS oid FROM wanted
  UNION ALL
  SELECT below.ordinal, t.typbasetype FROM below JOIN pg_type t ON t.oid = below.oid WHERE t.typtype = 'd'
)
SELECT wanted.ordinal, format_type(wanted.type_oid, wanted.modifier) AS type, t.oid::int8::float8 AS base_oid,
  (t.typelem <> 0 AND t.typlen = -1) OR t.typtype IN ('c', 'p')
    OR EXISTS (SELECT FROM pg_cast WHERE castsource = t.oid AND casttarget = 'json'::regtype AND t.oid >= 16384)
    AS asks_server,
  CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN t.typelem::int8::float8 END AS element_oid,
  t.typtype = 'e' AS is_enum
FROM wanted JOIN below USING (ordinal) JOIN pg_type t ON t.oid = below.oid AND t.typtype <> 'd'
ORDER BY ordinal`;

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
      encoding: row.asks_server ? 'server' : (BY_OID[row.base_oid] ?? 'string'),
    };
  });
}
