/** Who would keep a detach waiting: it waits for every transaction that has a lock on the table or on the partition. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../../postgres/connect.ts';
import { THIS_DATABASE } from '../../postgres/held-lock.ts';
import { TREE_SQL } from '../../postgres/table-stats.ts';

/** Younger transactions are not worth a word: a detach waits as long for them. */
const OLD_SECONDS = 10;
/** Of a session whose age the role may not see: whoever is in the same transaction after so long is taken for an old one. */
const HIDDEN_AGAIN_MS = 2000;
const MOST_NAMED = 3;

interface Blocker {
  /** Of the transaction, as the server names it. */
  id: string;
  what: string;
  isOurs: boolean;
  isPrepared: boolean;
  /** Undefined when the role may not see it. */
  seconds: number | undefined;
}

interface BlockerRow {
  id: string;
  pid: number | null;
  name: string | null;
  user: string | null;
  since: string | null;
  seconds: number | null;
  gid: string | null;
}

/** Workers of autovacuum give way. Locks of a prepared transaction have no pid, and one of them is of its id. */
const BLOCKERS_SQL = `
WITH RECURSIVE ${TREE_SQL}, held AS (
  SELECT DISTINCT l.virtualtransaction AS id, l.pid
  FROM pg_catalog.pg_locks l
  WHERE l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.granted AND l.database OPERATOR(pg_catalog.=) ${THIS_DATABASE}
    AND (l.relation OPERATOR(pg_catalog.=) $2 OR l.relation OPERATOR(pg_catalog.=) ANY (SELECT tree.oid FROM tree))
    AND COALESCE(l.pid, 0) OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
)
SELECT held.id, held.pid, a.application_name AS name, a.usename::pg_catalog.text AS user,
  COALESCE(a.xact_start, p.prepared)::pg_catalog.timestamptz(0)::pg_catalog.text AS since,
  pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) a.xact_start) AS seconds, p.gid
FROM held LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) held.pid
LEFT JOIN pg_catalog.pg_locks x ON held.pid IS NULL AND x.pid IS NULL AND x.virtualtransaction OPERATOR(pg_catalog.=) held.id
  AND x.locktype OPERATOR(pg_catalog.=) 'transactionid' AND x.granted
LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction OPERATOR(pg_catalog.=) x.transactionid
WHERE COALESCE(a.backend_type, 'client backend') OPERATOR(pg_catalog.=) ANY ('{client backend,parallel worker}')
ORDER BY COALESCE(a.xact_start, p.prepared), held.id`;

/** Those of ours that only look, for a moment. */
const PASSING = /^pgsluice (?:purge|windows|check|plan|pace) (?!on )/;

/** Whoever has such a lock for long, or will: empty where nothing is in the way of a detach. */
export async function findBlockers(client: Client, parent: number, partition: number): Promise<string[]> {
  const first = await look(client, parent, partition);
  const isLasting = ({ isOurs, isPrepared, seconds }: Blocker): boolean =>
    isOurs || isPrepared || (seconds !== undefined && seconds >= OLD_SECONDS);
  const hidden = first.filter((blocker) => !isLasting(blocker) && blocker.seconds === undefined);
  if (hidden.length === 0) return describe(first.filter(isLasting));
  await sleep(HIDDEN_AGAIN_MS);
  const ids = new Set(hidden.map(({ id }) => id));
  const second = await look(client, parent, partition);
  return describe(second.filter((blocker) => isLasting(blocker) || ids.has(blocker.id)));
}

/** The same of everybody, once a detach was kept waiting. */
export async function nameHolders(client: Client, parent: number, partition: number): Promise<string[]> {
  return describe(await look(client, parent, partition));
}

async function look(client: Client, parent: number, partition: number): Promise<Blocker[]> {
  const { rows } = await client.query<BlockerRow>(BLOCKERS_SQL, [partition, parent]);
  return rows.map((row) => ({
    id: row.id,
    what: describeRow(row),
    isOurs: row.name?.startsWith('pgsluice ') === true && !PASSING.test(row.name),
    isPrepared: row.pid === null,
    seconds: row.seconds ?? undefined,
  }));
}

function describeRow({ id, pid, name, user, since, gid }: BlockerRow): string {
  const when = since === null ? 'since when may only be seen with pg_read_all_stats' : `since ${since}`;
  if (pid === null) return `the prepared transaction ${gid ?? id} (${when})`;
  return `pid ${pid} (${name === null || name === '' ? 'no application name' : name}, ${user ?? 'of another role'}, ${when})`;
}

function describe(blockers: readonly Blocker[]): string[] {
  const named = blockers.slice(0, MOST_NAMED).map(({ what }) => what);
  const more = blockers.length - named.length;
  return more === 0 ? named : [...named, `${more} more`];
}

/** Old snapshots of any table: a detach that is to be finished waits for these as well. */
const SNAPSHOTS_SQL = `
SELECT a.pid, a.pid::pg_catalog.text AS id, a.application_name AS name, a.usename::pg_catalog.text AS user,
  a.xact_start::pg_catalog.timestamptz(0)::pg_catalog.text AS since, NULL AS gid
FROM pg_catalog.pg_stat_activity a
WHERE a.backend_xmin IS NOT NULL AND a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
  AND a.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
ORDER BY a.xact_start LIMIT ${MOST_NAMED}`;

export async function nameOldSnapshots(client: Client): Promise<string[]> {
  return (await client.query<BlockerRow>(SNAPSHOTS_SQL)).rows.map(describeRow);
}
