/** The backend of a purge: one whose process was killed goes on with what it was told, and is ended before another begins. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { PurgedPartition } from '../../ledger/purge.ts';
import type { Client } from '../../postgres/connect.ts';
import { sqlStateOf } from '../../postgres/errors.ts';

/** A backend that is told to end does so at once, unless it waits for its disk. */
const MOST_LOOKS = 100;
const BETWEEN_LOOKS_MS = 50;

const OWN_SQL = `
SELECT a.pid, pg_catalog.date_part('epoch', a.backend_start)::pg_catalog.text AS since
FROM pg_catalog.pg_stat_activity a WHERE a.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()`;

/** A pid may be that of another backend by now, and what lies in a bucket may be anything: it must be one of a purge. */
const END_SQL = `
SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a
WHERE a.pid OPERATOR(pg_catalog.=) $1 AND pg_catalog.date_part('epoch', a.backend_start)::pg_catalog.text OPERATOR(pg_catalog.=) $2
  AND a.application_name OPERATOR(pg_catalog.~~) 'pgsluice purge %' AND a.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()`;

const NOT_ALLOWED = '42501';

export async function nameBackend(client: Client): Promise<PurgedPartition['backend']> {
  const [row] = (await client.query<PurgedPartition['backend']>(OWN_SQL)).rows;
  return row ?? { pid: 0, since: '' };
}

/** Where that is not allowed, as the purge was begun by another role, it is left, and its locks are waited for. */
export async function endFormerBackend(client: Client, { pid, since }: PurgedPartition['backend']): Promise<void> {
  for (let looks = 0; looks < MOST_LOOKS; looks += 1) {
    try {
      const { rows } = await client.query(END_SQL, [pid, since]);
      if (rows.length === 0) return;
    } catch (error) {
      if (sqlStateOf(error) === NOT_ALLOWED) return;
      throw error;
    }
    await sleep(BETWEEN_LOOKS_MS);
  }
}
