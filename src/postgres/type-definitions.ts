/** What the types of columns are made of: a name alone says nothing, as another database may call something else by it. */
import type { Client } from 'pg';
import { TYPE_PARTS_SQL } from './type-parts.ts';

/** A domain, an enum or a composite; it has the field of its own kind. */
export interface TypeDefinition {
  /** As `format_type` prints it. */
  name: string;
  /** Of a domain: the type below it, with its modifier. */
  base?: string;
  /** Of an enum, in their order. */
  labels?: string[];
  /** Of a composite, in their order. */
  attributes?: { name: string; type: string }[];
}

interface Row {
  name: string;
  base: string | null;
  labels: string[] | null;
  attributes: { name: string; type: string }[] | null;
}

const DEFINITIONS_SQL = `
WITH RECURSIVE parts AS (
  SELECT given.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS given(oid)
  UNION
  SELECT part.oid
  FROM parts JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) parts.oid
  CROSS JOIN LATERAL ${TYPE_PARTS_SQL}
)
SELECT pg_catalog.format_type(t.oid, NULL) AS name,
  CASE WHEN t.typtype OPERATOR(pg_catalog.=) 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END AS base,
  CASE WHEN t.typtype OPERATOR(pg_catalog.=) 'e' THEN ARRAY(
    SELECT e.enumlabel::pg_catalog.text FROM pg_catalog.pg_enum e
    WHERE e.enumtypid OPERATOR(pg_catalog.=) t.oid ORDER BY e.enumsortorder
  ) END AS labels,
  CASE WHEN t.typtype OPERATOR(pg_catalog.=) 'c' THEN (
    SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum), '[]')
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid OPERATOR(pg_catalog.=) t.typrelid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
  ) END AS attributes
FROM parts JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) parts.oid
WHERE t.typtype OPERATOR(pg_catalog.=) ANY ('{d,e,c}') ORDER BY t.oid`;

/** The domains, enums and composites among these types, and among all that they are made of. */
export async function defineTypes(client: Client, oids: readonly number[]): Promise<TypeDefinition[]> {
  if (oids.length === 0) return [];
  const { rows } = await client.query<Row>(DEFINITIONS_SQL, [oids]);
  return rows.map(({ name, base, labels, attributes }) => ({
    name,
    ...(base === null ? {} : { base }),
    ...(labels === null ? {} : { labels }),
    ...(attributes === null ? {} : { attributes }),
  }));
}
