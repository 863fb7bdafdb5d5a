/** What the catalogue knows of a table's size and shape, for cutting it into segments. Nothing here reads the table. */
import type { Client } from 'pg';
import { postgresFailure } from './errors.ts';
import { quoteTableName } from './identifiers.ts';

/** A relation that has pages of its own: the table itself, or one that inherits from it. */
export interface Leaf {
  oid: number;
  /** Quoted, with ONLY, so that what inherits from it in turn is not read twice. */
  from: string;
  name: string;
  /** Pages of the heap now; 0 for a foreign table. */
  pages: number;
  /** Heap and TOAST, in bytes. */
  bytes: number;
  /** Whether it can be cut by ctid; a foreign table cannot. */
  hasPages: boolean;
  /** Whether this role may read it by its own name: a grant on a partitioned table does not reach its partitions. */
  isReadable: boolean;
}

interface LeafRow {
  oid: number;
  schema: string;
  name: string;
  kind: string;
  pages: number;
  bytes: number;
  readable: boolean;
}

const LEAVES_SQL = `
WITH RECURSIVE tree AS (
  SELECT $1::oid AS oid
  UNION
  SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid
  WHERE to_jsonb(i)->>'inhdetachpending' IS DISTINCT FROM 'true'
)
SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
  CASE WHEN c.relkind IN ('r', 'm') THEN (pg_relation_size(c.oid) / current_setting('block_size')::int8)::float8 ELSE 0 END AS pages,
  CASE WHEN c.relkind IN ('r', 'm') THEN pg_table_size(c.oid)::float8 ELSE 0 END AS bytes,
  has_table_privilege(c.oid, 'SELECT') AS readable
FROM tree JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'f')
ORDER BY c.oid`;

/** The relations below `oid` that hold rows, the table itself among them, in the order of their creation. */
export async function findLeaves(client: Client, oid: number): Promise<Leaf[]> {
  try {
    const { rows } = await client.query<LeafRow>(LEAVES_SQL, [oid]);
    return rows.map(({ oid, schema, name, kind, pages, bytes, readable }) => ({
      oid,
      from: `ONLY ${quoteTableName({ schema, table: name })}`,
      name: `${schema}.${name}`,
      pages,
      bytes,
      hasPages: kind !== 'f',
      isReadable: readable,
    }));
  } catch (error) {
    throw postgresFailure(error, 'plan', 'looking at the size of the table');
  }
}

/**
 * How well the rows lie in the order of a column, from -1 to 1; undefined when there are no statistics. For a partitioned
 * table, the least well of its partitions.
 */
export async function findCorrelation(client: Client, oid: number, column: string): Promise<number | undefined> {
  const { rows } = await client.query<{ correlation: number | null }>(
    `WITH RECURSIVE tree AS (
       SELECT $1::oid AS oid
       UNION
       SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid
     )
     SELECT min(abs(s.correlation))::float8 AS correlation
     FROM tree JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND NOT s.inherited
     WHERE s.attname = $2`,
    [oid, column],
  );
  return rows[0]?.correlation ?? undefined;
}

/** Whether a unique index on exactly these columns, which are all NOT NULL, makes them a key. */
export async function isUniqueKey(client: Client, oid: number, columns: readonly string[]): Promise<boolean> {
  const { rows } = await client.query<{ unique: boolean }>(
    `SELECT EXISTS (
       SELECT FROM pg_index i
       WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND (
         SELECT array_agg(a.attname::text ORDER BY a.attname::text) = (SELECT array_agg(c ORDER BY c) FROM unnest($2::text[]) AS c)
           AND bool_and(a.attnotnull)
         FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, ordinal)
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
         WHERE k.ordinal <= i.indnkeyatts
       )
     ) AS unique`,
    [oid, columns],
  );
  return rows[0]?.unique === true;
}

/**
 * For each column, what its order depends on: its type, its collation, and the version of that. The default collation has
 * its name and version in pg_database. A range of a key means other rows once one of them changes.
 */
export async function describeKeyOrder(client: Client, oid: number, columns: readonly string[]): Promise<string[]> {
  const { rows } = await client.query<{ order: string }>(
    `SELECT concat_ws(' ', format_type(a.atttypid, a.atttypmod), c.collname, c.collprovider, c.collcollate,
       pg_collation_actual_version(c.oid), d.datcollate, to_jsonb(d)->>'datcollversion') AS order
     FROM unnest($2::text[]) WITH ORDINALITY AS k(name, n)
     JOIN pg_attribute a ON a.attrelid = $1 AND a.attname = k.name
     JOIN pg_database d ON d.datname = current_database()
     LEFT JOIN pg_collation c ON c.oid = a.attcollation
     ORDER BY k.n`,
    [oid, columns],
  );
  return rows.map((row) => row.order);
}
