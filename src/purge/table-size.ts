/** What the server knows of a table's size, without reading it. */
import type { Client } from '../postgres/connect.ts';
import { TREE_SQL } from '../postgres/table-stats.ts';

/** With all of its partitions. Rows are estimates. */
export interface TableSize {
  rows: number;
  /** Heap and TOAST. */
  bytes: number;
  /** Rows that are gone, and whose room is not usable yet. */
  deadRows: number;
  /** Whether the first change of a page after a checkpoint puts all of it into the WAL. */
  writesFullPages: boolean;
}

const SIZE_SQL = `
WITH RECURSIVE ${TREE_SQL}
SELECT COALESCE(pg_catalog.sum(GREATEST(c.reltuples, 0::pg_catalog.float4)), 0::pg_catalog.float4)::pg_catalog.float8 AS rows,
  COALESCE(pg_catalog.sum(pg_catalog.pg_table_size(c.oid)), 0::pg_catalog.numeric)::pg_catalog.float8 AS bytes,
  COALESCE(pg_catalog.sum(pg_catalog.pg_stat_get_dead_tuples(c.oid)), 0::pg_catalog.numeric)::pg_catalog.float8 AS "deadRows",
  pg_catalog.current_setting('full_page_writes')::pg_catalog.bool AS "writesFullPages"
FROM tree JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) tree.oid WHERE c.relkind OPERATOR(pg_catalog.=) 'r'`;

export async function measureTable(client: Client, oid: number): Promise<TableSize> {
  const { rows } = await client.query<TableSize>(SIZE_SQL, [oid]);
  if (rows[0] === undefined) throw new Error('the server gave no row');
  return rows[0];
}
