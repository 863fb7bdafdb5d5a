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

/** A condition on a row of pg_attribute: no row of this very table is NULL there. NOT NULL may be NOT VALID since Postgres 18. */
export function isNotNull(attribute: string): string {
  return `(${attribute}.attnotnull AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_constraint v
    WHERE v.conrelid OPERATOR(pg_catalog.=) ${attribute}.attrelid AND v.contype OPERATOR(pg_catalog.=) 'n'
      AND NOT v.convalidated AND ${attribute}.attnum OPERATOR(pg_catalog.=) ANY (v.conkey)))`;
}

/** A condition on a row of pg_inherits: partitions that are being detached belong to the table no more. The column is of Postgres 14. */
export function isAttached(inherits: string): string {
  return `COALESCE((pg_catalog.to_jsonb(${inherits}) OPERATOR(pg_catalog.->>) 'inhdetachpending')
    OPERATOR(pg_catalog.<>) 'true', true)`;
}

/** `tree`: the relation of the first parameter, and all that inherit from it. */
export const TREE_SQL = `tree AS (
  SELECT $1::pg_catalog.oid AS oid
  UNION
  SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent OPERATOR(pg_catalog.=) tree.oid
  WHERE ${isAttached('i')}
)`;

const LEAVES_SQL = `
WITH RECURSIVE ${TREE_SQL}
SELECT c.oid::pg_catalog.int8::pg_catalog.float8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
  CASE WHEN c.relkind OPERATOR(pg_catalog.<>) 'f' THEN pg_catalog.pg_relation_size(c.oid)::pg_catalog.float8
    OPERATOR(pg_catalog./) pg_catalog.current_setting('block_size')::pg_catalog.float8 ELSE 0 END AS pages,
  CASE WHEN c.relkind OPERATOR(pg_catalog.<>) 'f' THEN pg_catalog.pg_table_size(c.oid)::pg_catalog.float8
    ELSE 0 END AS bytes,
  pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable
FROM tree JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) tree.oid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,m,f}')
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
    `WITH RECURSIVE ${TREE_SQL}
     SELECT pg_catalog.min(pg_catalog.abs(s.correlation))::pg_catalog.float8 AS correlation
     FROM tree JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) tree.oid
     JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
     JOIN pg_catalog.pg_stats s ON s.schemaname OPERATOR(pg_catalog.=) n.nspname
       AND s.tablename OPERATOR(pg_catalog.=) c.relname AND NOT s.inherited
     WHERE s.attname OPERATOR(pg_catalog.=) $2`,
    [oid, column],
  );
  return rows[0]?.correlation ?? undefined;
}

/** Whether a unique index on exactly these columns, which are all NOT NULL, makes them a key. */
export async function isUniqueKey(client: Client, oid: number, columns: readonly string[]): Promise<boolean> {
  const { rows } = await client.query<{ unique: boolean }>(
    `SELECT EXISTS (
       SELECT FROM pg_catalog.pg_index i
       WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
         AND i.indexprs IS NULL AND (
           SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY a.attname::pg_catalog.text)
               OPERATOR(pg_catalog.=) ARRAY(SELECT c FROM pg_catalog.unnest($2::pg_catalog.text[]) AS c ORDER BY c)
             AND pg_catalog.bool_and(${isNotNull('a')})
           FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, ordinal)
           JOIN pg_catalog.pg_attribute a
             ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid AND a.attnum OPERATOR(pg_catalog.=) k.attnum
           WHERE k.ordinal OPERATOR(pg_catalog.<=) i.indnkeyatts
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
    `SELECT pg_catalog.concat_ws(' ', pg_catalog.format_type(a.atttypid, a.atttypmod), c.collname, c.collprovider,
       c.collcollate, pg_catalog.pg_collation_actual_version(c.oid), d.datcollate,
       pg_catalog.to_jsonb(d) OPERATOR(pg_catalog.->>) 'datcollversion') AS order
     FROM pg_catalog.unnest($2::pg_catalog.text[]) WITH ORDINALITY AS k(name, n)
     JOIN pg_catalog.pg_attribute a
       ON a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attname OPERATOR(pg_catalog.=) k.name
     JOIN pg_catalog.pg_database d ON d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
     LEFT JOIN pg_catalog.pg_collation c ON c.oid OPERATOR(pg_catalog.=) a.attcollation
     ORDER BY k.n`,
    [oid, columns],
  );
  return rows.map((row) => row.order);
}
