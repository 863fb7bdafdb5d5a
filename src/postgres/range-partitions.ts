/** The partitions of a table that is partitioned by range over one column, with their bounds. Nothing here reads a row. */
import type { Client } from 'pg';
import { postgresFailure } from './errors.ts';
import { isAttached } from './table-stats.ts';

export interface RangePartition {
  oid: number;
  schema: string;
  name: string;
  /** As the server prints it under TimeZone=UTC: `FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')`, or `DEFAULT`. */
  bound: string;
  /** The points of the bound as they are printed; undefined for MINVALUE, MAXVALUE and a default partition. */
  from: string | undefined;
  to: string | undefined;
}

const KEY_SQL = `
SELECT p.partstrat OPERATOR(pg_catalog.=) 'r' AS is_range, p.partnatts::pg_catalog.int4 AS columns,
  (SELECT a.attname FROM pg_catalog.pg_attribute a
   WHERE a.attrelid OPERATOR(pg_catalog.=) p.partrelid AND a.attnum OPERATOR(pg_catalog.=) p.partattrs[0]
     AND a.attnum OPERATOR(pg_catalog.>) 0) AS name
FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid OPERATOR(pg_catalog.=) $1`;

const PARTITIONS_SQL = `
SELECT c.oid::pg_catalog.int8::pg_catalog.float8 AS oid, n.nspname AS schema, c.relname AS name,
  pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound
FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE i.inhparent OPERATOR(pg_catalog.=) $1 AND c.relispartition AND ${isAttached('i')}
ORDER BY c.oid`;

/** What keeps the partitions of a relation from being ranges of this column alone; undefined when nothing does. */
export async function whyNotByRange(client: Client, oid: number, column: string): Promise<string | undefined> {
  try {
    const { rows } = await client.query<{ is_range: boolean; columns: number; name: string | null }>(KEY_SQL, [oid]);
    const [key] = rows;
    if (key === undefined) return 'it is not partitioned';
    if (!key.is_range) return 'it is partitioned by list or hash';
    if (key.columns > 1) return `it is partitioned by ${key.columns} columns`;
    if (key.name === null) return 'it is partitioned by an expression';
    return key.name === column ? undefined : `it is partitioned by "${key.name}"`;
  } catch (error) {
    throw postgresFailure(error, 'plan', 'looking at how the table is partitioned');
  }
}

/** The partitions right below the table, but for those that are being detached. The session prints times in UTC, as all of ours do. */
export async function findRangePartitions(client: Client, oid: number): Promise<RangePartition[]> {
  try {
    const { rows } = await client.query<Omit<RangePartition, 'from' | 'to'>>(PARTITIONS_SQL, [oid]);
    return rows.map((row) => ({ ...row, ...pointsOf(row.bound) }));
  } catch (error) {
    throw postgresFailure(error, 'plan', 'looking at the bounds of the partitions');
  }
}

/** A time is printed without quotes in it. */
function pointsOf(bound: string): Pick<RangePartition, 'from' | 'to'> {
  const [, from, to] = /^FOR VALUES FROM \((?:'([^']*)'|MINVALUE)\) TO \((?:'([^']*)'|MAXVALUE)\)$/.exec(bound) ?? [];
  return { from, to };
}
