/** One run of an archive at a time, over all hosts: an advisory lock in the source database. */
import { createHash } from 'node:crypto';
import type { Client } from '../postgres/connect.ts';
import { fail, type FailureError } from '../base/errors.ts';
import { postgresFailure } from '../postgres/errors.ts';

const HOLDER_SQL = `
SELECT a.pid, a.application_name AS name, host(a.client_addr) AS address, a.backend_start::text AS since
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::int8 << 32 | l.objid::int8) = $1::int8`;

interface HolderRow {
  pid: number;
  name: string;
  address: string | null;
  since: string;
}

/**
 * Takes the lock of an archive on `client`, for as long as the transaction that is open there. `place` is the archive's folder in its
 * destination: two configs that write to the same place exclude each other, whatever they call themselves.
 * Throws FailureError `locked`, which names the holder, when another run has it.
 */
export async function lockArchive(client: Client, archive: string, place: string): Promise<void> {
  const key = lockKey(place);
  try {
    const { rows } = await client.query<{ locked: boolean }>('SELECT pg_try_advisory_xact_lock($1::int8) AS locked', [
      key,
    ]);
    if (rows[0]?.locked === true) return;
    throw locked(archive, await findHolder(client, key));
  } catch (error) {
    throw postgresFailure(error, 'lock', `taking the lock of archive ${archive}`);
  }
}

/** A signed 64-bit number in decimal. */
function lockKey(place: string): string {
  return createHash('sha256').update(`pgsluice\n${place}`).digest().readBigInt64BE(0).toString();
}

async function findHolder(client: Client, key: string): Promise<string> {
  const { rows } = await client.query<HolderRow>(HOLDER_SQL, [key]);
  const holder = rows[0];
  if (holder === undefined) return 'a session that has just ended';
  const from = holder.address ?? 'this host';
  return `"${holder.name}" (backend ${holder.pid}, connected from ${from} since ${holder.since})`;
}

function locked(archive: string, holder: string): FailureError {
  return fail('locked', {
    stage: 'lock',
    archive,
    message: `another run of archive ${archive} holds its lock: ${holder}`,
  });
}
