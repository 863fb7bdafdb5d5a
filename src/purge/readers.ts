/** Whether a run or a restore of a table is in progress, by the locks that it has: whatever its archive, and on whatever host. */
import type { Client } from '../postgres/connect.ts';
import { THIS_DATABASE } from '../postgres/held-lock.ts';
import { TREE_SQL } from '../postgres/table-stats.ts';

/** Purges and looks for windows take such locks for a moment. A role without further rights sees the names of sessions, too. */
const READER_SQL = `
WITH RECURSIVE ${TREE_SQL}
SELECT a.application_name AS name
FROM tree JOIN pg_catalog.pg_locks l ON l.relation OPERATOR(pg_catalog.=) tree.oid
JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid
WHERE l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.granted AND l.database OPERATOR(pg_catalog.=) ${THIS_DATABASE}
  AND l.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
  AND a.application_name OPERATOR(pg_catalog.~) '^pgsluice (?!(purge|windows|check|plan|pace) (?!on ))'
LIMIT 1`;

/** The name of one of its sessions; undefined when there is none. */
export async function findReader(client: Client, oid: number): Promise<string | undefined> {
  return (await client.query<{ name: string }>(READER_SQL, [oid])).rows[0]?.name;
}
