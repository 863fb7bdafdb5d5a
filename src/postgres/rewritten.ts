/**
 * TRUNCATE and commands that rewrite a table do not respect snapshots: a table that is truncated after a snapshot was taken
 * looks empty in it. Planning a statement locks all that it reads until the transaction ends, which holds such commands
 * off, as it does for pg_dump; what came between the snapshot and that lock is found here.
 */
import type { Client } from 'pg';
import { fail } from '../base/errors.ts';
import { postgresFailure } from './errors.ts';

/** A snapshot sees the file of its own time in pg_class; the function looks at the file of now. */
const REWRITTEN_SQL = `
SELECT format('%I.%I', n.nspname, c.relname) AS name
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND c.relkind IN ('r', 'm') AND c.relfilenode <> 0 AND pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode`;

/** The same for partitions: pg_inherits is read by the snapshot, pg_partition_tree() shows the tree of now. */
const REATTACHED_SQL = `
SELECT format('%I.%I', n.nspname, c.relname) AS name
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted AND c.relkind = 'p'
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (SELECT array_agg(inhrelid::oid ORDER BY inhrelid) FROM pg_inherits i
       WHERE i.inhparent = c.oid AND to_jsonb(i)->>'inhdetachpending' IS DISTINCT FROM 'true')
    IS DISTINCT FROM
      (SELECT array_agg(relid::oid ORDER BY relid::oid) FROM pg_partition_tree(c.oid) WHERE parentrelid = c.oid)`;

/**
 * Throws FailureError `relation-rewritten`, which a new snapshot mends, when a relation that this transaction has locked
 * was truncated or rewritten after its snapshot, or got or lost a partition.
 */
export async function requireNotRewritten(client: Client): Promise<void> {
  let names: string[];
  try {
    const rewritten = await client.query<{ name: string }>(REWRITTEN_SQL);
    const reattached = await client.query<{ name: string }>(REATTACHED_SQL);
    names = [...rewritten.rows, ...reattached.rows].map((row) => row.name);
  } catch (error) {
    throw postgresFailure(error, 'snapshot', 'looking for rewritten tables');
  }
  if (names.length === 0) return;
  throw fail('relation-rewritten', {
    stage: 'snapshot',
    message: `${names.join(', ')} was truncated, rewritten or given other partitions after the snapshot was taken`,
  });
}
