/** Finds the partition that a run is of, as the catalogue has it now: by its bound, and by its OID once something was begun. */
import type { Client } from '../../postgres/connect.ts';
import { isAttached } from '../../postgres/table-stats.ts';

/**
 * `pending`: a detach was begun, and waits for those who see the partition still. `detached`: it is a table of its own. `gone`: no
 * partition has the bound, and no table the OID.
 */
export type PartitionState = 'attached' | 'pending' | 'detached' | 'gone';

export interface FoundPartition {
  state: Exclude<PartitionState, 'gone'>;
  oid: number;
  schema: string;
  name: string;
}

export interface FoundPartitions {
  /** Undefined when it is gone. */
  own: FoundPartition | undefined;
  /** Others of the table that are half detached, by name. */
  otherPending: readonly string[];
}

/** A partition as the catalogue has it. */
export interface PartitionRow {
  oid: number;
  schema: string;
  name: string;
  bound: string | null;
  pending: boolean;
}

const PARTITIONS_SQL = `
SELECT c.oid::pg_catalog.int8::pg_catalog.float8 AS oid, n.nspname AS schema, c.relname AS name,
  pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound, NOT ${isAttached('i')} AS pending
FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE i.inhparent OPERATOR(pg_catalog.=) $1
ORDER BY c.oid`;

/** A table that is no partition of anything, and inherits from none. */
const TABLE_SQL = `
SELECT c.oid::pg_catalog.int8::pg_catalog.float8 AS oid, n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.oid OPERATOR(pg_catalog.=) $1 AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}') AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid OPERATOR(pg_catalog.=) c.oid)`;

/** `intended` is the OID of the partition that a purge of this run has begun with; undefined where none has. */
export async function findPartition(
  client: Client,
  parent: number,
  bound: string,
  intended: number | undefined,
): Promise<FoundPartitions> {
  const rows = await listPartitions(client, parent);
  const pending = rows.filter((row) => row.pending);
  const otherPending = pending.filter(({ oid }) => oid !== intended).map(({ schema, name }) => `${schema}.${name}`);
  const ours = pending.find(({ oid }) => oid === intended);
  if (ours !== undefined) return { own: placed('pending', ours), otherPending };
  // What was begun with is the one, as long as it is there; what has its bound now may be another one.
  const attached = rows.filter((row) => !row.pending && row.bound === bound);
  const same = attached.find(({ oid }) => oid === intended);
  if (same !== undefined) return { own: placed('attached', same), otherPending };
  const detached = intended === undefined ? undefined : await findTable(client, intended);
  if (detached !== undefined) return { own: placed('detached', detached), otherPending };
  // A purge that was begun is of the partition that it was begun with: one that was made since is another one.
  const [first] = intended === undefined ? attached : [];
  return { own: first && placed('attached', first), otherPending };
}

/** All of the table, those that are half detached included. */
export async function listPartitions(client: Client, parent: number): Promise<PartitionRow[]> {
  return (await client.query<PartitionRow>(PARTITIONS_SQL, [parent])).rows;
}

async function findTable(client: Client, oid: number): Promise<Omit<FoundPartition, 'state'> | undefined> {
  return (await client.query<Omit<FoundPartition, 'state'>>(TABLE_SQL, [oid])).rows[0];
}

function placed(state: FoundPartition['state'], { oid, schema, name }: Omit<FoundPartition, 'state'>): FoundPartition {
  return { state, oid, schema, name };
}
