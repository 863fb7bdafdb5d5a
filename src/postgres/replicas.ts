/** What a primary knows of its replicas, and a standby of itself: how far their replay is. */
import type { Client } from 'pg';
import { ALL_REPLAYED, REPLAYED_AGE_MS } from './standby.ts';

/** A process of a primary that sends write-ahead log to somebody. */
export interface Sender {
  /** As the replica calls itself, and where it is: by these it is known again after it has connected anew. */
  name: string;
  address: string;
  /** Of the replication slot that it uses; null without one. */
  slot: string | null;
  isLogical: boolean;
  /** Null where the role may not see it. */
  state: string | null;
  /** Position up to which it has replayed; null where it replays nothing, or has not said so yet. */
  replayed: bigint | null;
  replayLagMs: number | null;
}

export type Replication =
  | {
      kind: 'primary';
      /** Position that is written now. */
      written: bigint;
      senders: readonly Sender[];
      /** Names of physical slots that nobody uses. */
      inactiveSlots: readonly string[];
    }
  | {
      kind: 'standby';
      /** How old what was replayed last is; 0 when all that was received is replayed, and it streams. Null before the first transaction. */
      delayMs: number | null;
    };

export async function inspectReplication(client: Client): Promise<Replication> {
  const { rows } = await client.query<{ standby: boolean }>('SELECT pg_catalog.pg_is_in_recovery() AS standby');
  return rows[0]?.standby === true ? inspectStandbyDelay(client) : inspectPrimary(client);
}

async function inspectPrimary(client: Client): Promise<Replication> {
  const { rows } = await client.query<SenderRow>(
    `SELECT r.application_name AS name, pg_catalog.host(r.client_addr) AS address, s.slot_name AS slot, s.slot_type AS type, r.state,
       r.replay_lsn::pg_catalog.text AS replayed,
       pg_catalog.date_part('epoch', r.replay_lag) OPERATOR(pg_catalog.*) 1000 AS lag_ms
     FROM pg_catalog.pg_stat_replication r
     LEFT JOIN pg_catalog.pg_replication_slots s ON s.active_pid OPERATOR(pg_catalog.=) r.pid`,
  );
  const slots = await client.query<{ slot: string }>(
    `SELECT slot_name AS slot FROM pg_catalog.pg_replication_slots
     WHERE slot_type OPERATOR(pg_catalog.=) 'physical' AND NOT active`,
  );
  // Last, so that nothing that is replayed is ahead of it.
  const written = await client.query<{ lsn: string }>('SELECT pg_catalog.pg_current_wal_lsn()::pg_catalog.text AS lsn');
  return {
    kind: 'primary',
    written: parsePosition(written.rows[0]?.lsn ?? '0/0'),
    senders: rows.map(({ name, address, slot, type, state, replayed, lag_ms: lagMs }) => ({
      name: name ?? '',
      address: address ?? '',
      slot,
      isLogical: type === 'logical',
      state,
      replayed: replayed === null ? null : parsePosition(replayed),
      replayLagMs: lagMs,
    })),
    inactiveSlots: slots.rows.map(({ slot }) => slot),
  };
}

interface SenderRow {
  name: string | null;
  address: string | null;
  slot: string | null;
  type: string | null;
  state: string | null;
  replayed: string | null;
  lag_ms: number | null;
}

/** Where nothing is received any more, the age of what was replayed last grows, as nobody knows what the primary does. */
async function inspectStandbyDelay(client: Client): Promise<Replication> {
  const { rows } = await client.query<{ delay: number | null }>(
    `SELECT CASE WHEN ${ALL_REPLAYED} AND EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver) THEN 0
       ELSE ${REPLAYED_AGE_MS} END AS delay`,
  );
  return { kind: 'standby', delayMs: rows[0]?.delay ?? null };
}

/** A position in the write-ahead log, such as `16/B374D848`. */
export function parsePosition(text: string): bigint {
  const [high = '0', low = '0'] = text.split('/');
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}
