/** What there is to know of a standby before long reads are done on it: its recovery comes first, and ends what is in its way. */
import type { Client } from 'pg';

export interface StandbyFacts {
  /** How far it is behind its primary; undefined when that cannot be known. */
  delayMs: number | undefined;
  /** `max_standby_streaming_delay`, such as `30s`; undefined when reads are never ended by it. */
  patience: string | undefined;
  /** `hot_standby_feedback`: whether the primary keeps rows that are read here. */
  hasFeedback: boolean;
}

/** Asks the server behind `client`; undefined when it is no standby. */
export async function inspectStandby(client: Client): Promise<StandbyFacts | undefined> {
  const { rows } = await client.query<{ standby: boolean; patience: string; feedback: boolean }>(
    `SELECT pg_catalog.pg_is_in_recovery() AS standby,
       pg_catalog.current_setting('max_standby_streaming_delay') AS patience,
       pg_catalog.current_setting('hot_standby_feedback')::pg_catalog.bool AS feedback`,
  );
  const [row] = rows;
  if (row?.standby !== true) return undefined;
  const patience = row.patience === '-1' ? undefined : row.patience;
  return { delayMs: await findDelay(client), patience, hasFeedback: row.feedback };
}

/** SQL: all that was received is replayed. */
export const ALL_REPLAYED =
  'pg_catalog.pg_last_wal_receive_lsn() OPERATOR(pg_catalog.=) pg_catalog.pg_last_wal_replay_lsn()';

/** SQL: how old what was replayed last is, in ms. */
export const REPLAYED_AGE_MS = `pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)
  pg_catalog.pg_last_xact_replay_timestamp()) OPERATOR(pg_catalog.*) 1000`;

/** All that was received is replayed, or the age of what was replayed last: on a primary where nothing happens that grows. */
async function findDelay(client: Client): Promise<number | undefined> {
  try {
    const { rows } = await client.query<{ delay: number | null }>(
      `SELECT CASE WHEN ${ALL_REPLAYED} THEN 0 ELSE ${REPLAYED_AGE_MS} END AS delay`,
    );
    return rows[0]?.delay ?? undefined;
  } catch {
    // Some who offer Postgres as a service have no such functions.
    return undefined;
  }
}
