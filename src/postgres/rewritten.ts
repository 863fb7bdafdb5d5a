/**
 * TRUNCATE and commands that rewrite a table do not respect snapshots: a table that is truncated after a snapshot was taken
 * looks empty in it. Planning a statement locks all that it reads until the transaction ends, which holds such commands
 * off, as it does for pg_dump; what came between the snapshot and that lock is found here.
 */
import type { Client } from 'pg';
import { THIS_DATABASE } from './held-lock.ts';
import { fail } from '../base/errors.ts';
import { postgresFailure } from './errors.ts';
import { isAttached } from './table-stats.ts';
import { together } from './together.ts';

/** The relations that this transaction has locked. */
const LOCKED_SQL = `
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) l.relation
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.granted
  AND l.database OPERATOR(pg_catalog.=) ${THIS_DATABASE}`;

/** A snapshot sees the file of its own time in pg_class; the function looks at the file of now. */
const REWRITTEN_SQL = `
${LOCKED_SQL} AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,m}') AND c.relfilenode OPERATOR(pg_catalog.<>) 0
  AND COALESCE(pg_catalog.pg_relation_filenode(c.oid) OPERATOR(pg_catalog.<>) c.relfilenode, true)`;

/** The same for partitions: pg_inherits is read by the snapshot, pg_partition_tree() shows the tree of now. */
const REATTACHED_SQL = `
${LOCKED_SQL} AND c.relkind OPERATOR(pg_catalog.=) 'p'
  AND ARRAY(SELECT i.inhrelid FROM pg_catalog.pg_inherits i
        WHERE i.inhparent OPERATOR(pg_catalog.=) c.oid AND ${isAttached('i')} ORDER BY 1)
    OPERATOR(pg_catalog.<>)
      ARRAY(SELECT t.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(c.oid) AS t
        WHERE t.parentrelid OPERATOR(pg_catalog.=) c.oid ORDER BY 1)`;

/**
 * Throws FailureError `relation-rewritten`, which a new snapshot mends, when a relation that this transaction has locked
 * was truncated or rewritten after its snapshot, or got or lost a partition.
 */
export async function requireNotRewritten(client: Client): Promise<void> {
  let names: string[];
  try {
    const [rewritten, reattached] = await together(client, () => [
      client.query<{ name: string }>(REWRITTEN_SQL),
      client.query<{ name: string }>(REATTACHED_SQL),
    ]);
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
