/** The snapshot that all segments of a run share: exported by the connection that holds it, imported by every worker. */
import type { Client } from 'pg';
import { queryTogether, type Answer } from './batch.ts';
import { postgresFailure } from './errors.ts';
import { quoteLiteral } from './identifiers.ts';
import type { Statement } from './select.ts';
import { setForTransaction, transactionSettings } from './settings.ts';

/** How long a worker waits for a table that a DDL command is about to lock; see importSnapshot. */
const WORKER_LOCK_TIMEOUT = '3s';

const BEGIN_READING = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';

/** A transaction whose view is that of its latest statement, so that VACUUM may soon remove what is deleted meanwhile. */
const BEGIN_HOLDING = 'BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY';

/** Opens a read-only transaction with one view of the data throughout; `own` are settings of it alone. */
export async function beginReading(client: Client, own: Readonly<Record<string, string>> = {}): Promise<void> {
  await begin(client, BEGIN_READING, own);
}

/** Opens a transaction that only holds a lock; `own` are settings of it alone. */
export async function beginHolding(client: Client, own: Readonly<Record<string, string>> = {}): Promise<void> {
  await begin(client, BEGIN_HOLDING, own);
}

async function begin(client: Client, statement: string, own: Readonly<Record<string, string>>): Promise<void> {
  try {
    await Promise.all([client.query(statement), setForTransaction(client, own)]);
  } catch (error) {
    throw postgresFailure(error, 'snapshot', 'opening a transaction');
  }
}

/** Does `work` in a read-only transaction, of which nothing stays; `own` are settings of it alone. */
export async function whileReading<T>(
  client: Client,
  work: () => Promise<T>,
  own: Readonly<Record<string, string>> = {},
): Promise<T> {
  await beginReading(client, own);
  try {
    return await work();
  } finally {
    await client.query('ROLLBACK').catch(() => undefined);
  }
}

/** Where and when a snapshot was taken. */
export interface Snapshot {
  /** The id that `SET TRANSACTION SNAPSHOT` takes. */
  id: string;
  /** Write-ahead log position, such as `0/1A2B3C`; of the replay on a standby. */
  lsn: string | null;
  /** Server time, ISO 8601. */
  takenAt: string;
}

/** Ids repeat after a restart of the server, and a clock may be set back: only all of it together is the same snapshot. */
export function isSameSnapshot(snapshot: Snapshot, other: Snapshot): boolean {
  return snapshot.id === other.id && snapshot.lsn === other.lsn && snapshot.takenAt === other.takenAt;
}

/** The database that a run read. */
export interface SourceIdentity {
  database: string;
  serverVersion: string;
  /** `pg_control_system().system_identifier`; null where the role may not ask. */
  systemIdentifier: string | null;
}

/** Exports the snapshot of the transaction on `client`. It lives as long as the transaction does. */
export async function exportSnapshot(client: Client): Promise<Snapshot> {
  try {
    const { rows } = await client.query<{ id: string; lsn: string | null; taken_at: Date }>(
      `SELECT pg_catalog.pg_export_snapshot() AS id, pg_catalog.now() AS taken_at,
         (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
           ELSE pg_catalog.pg_current_wal_lsn() END)::pg_catalog.text AS lsn`,
    );
    const row = rows[0];
    if (row === undefined) throw new Error('pg_export_snapshot() gave no row');
    return { id: row.id, lsn: row.lsn, takenAt: row.taken_at.toISOString() };
  } catch (error) {
    throw postgresFailure(error, 'snapshot', 'exporting the snapshot');
  }
}

/**
 * Opens a transaction on `client` that sees what the exporting one sees; `own` are settings of it alone. In the same round trip
 * it asks what `also` asks, and resolves to the answers.
 *
 * A command such as ALTER TABLE that waits for the run's own lock would make its next worker wait in turn, and everybody
 * else behind both; Postgres cannot see that circle. So a worker waits for a short time only, and then the run lets go.
 */
export async function importSnapshot(
  client: Client,
  id: string,
  own: Readonly<Record<string, string>> = {},
  also: readonly Statement[] = [],
): Promise<Answer[]> {
  const before = [
    BEGIN_READING,
    // Before anything that would take a snapshot of its own.
    `SET TRANSACTION SNAPSHOT ${quoteLiteral(id)}`,
    transactionSettings(client, { lock_timeout: WORKER_LOCK_TIMEOUT, ...own }),
  ].flatMap((text) => (text === undefined ? [] : [{ text, params: [] }]));
  try {
    return (await queryTogether(client, [...before, ...also])).slice(before.length);
  } catch (error) {
    throw postgresFailure(error, 'snapshot', 'importing the snapshot of the run');
  }
}

/** Names the database behind `client`. */
export async function identifySource(client: Client): Promise<SourceIdentity> {
  const { rows } = await client.query<{ database: string; version: string }>(
    `SELECT pg_catalog.current_database() AS database,
       pg_catalog.current_setting('server_version') AS version`,
  );
  const row = rows[0];
  return {
    database: row?.database ?? '',
    serverVersion: row?.version ?? '',
    systemIdentifier: await systemIdentifier(client),
  };
}

export interface ServerRole {
  /** When the server was started, ISO 8601: with its identity, it tells one server from another and from itself after a restart. */
  postmasterStart: string;
  inRecovery: boolean;
}

/** Since when the server behind `client` runs, and whether it is a standby now. */
export async function askServerRole(client: Client): Promise<ServerRole> {
  const { rows } = await client.query<{ at: Date; in_recovery: boolean }>(
    'SELECT pg_catalog.pg_postmaster_start_time() AS at, pg_catalog.pg_is_in_recovery() AS in_recovery',
  );
  return { postmasterStart: (rows[0]?.at ?? new Date(0)).toISOString(), inRecovery: rows[0]?.in_recovery === true };
}

/** `pg_control_system().system_identifier`; null where the role may not ask. */
export async function systemIdentifier(client: Client): Promise<string | null> {
  const allowed = await client.query<{ allowed: boolean }>(
    "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS allowed",
  );
  if (allowed.rows[0]?.allowed !== true) return null;
  const { rows } = await client.query<{ id: string }>(
    'SELECT system_identifier::pg_catalog.text AS id FROM pg_catalog.pg_control_system()',
  );
  return rows[0]?.id ?? null;
}
