/** One run of an archive at a time, over all hosts: an advisory lock in the source database. */
import { createHash } from 'node:crypto';
import os from 'node:os';
import { fail, type FailureError } from '../base/errors.ts';
import type { SourceConfig } from '../config/schema.ts';
import { withinAnswerTime } from '../postgres/answer-time.ts';
import { connectPostgres, endConnection, socketOf, type Client, type ConnectionTarget } from '../postgres/connect.ts';
import { postgresFailure } from '../postgres/errors.ts';
import { IS_ADVISORY, isLockOf, THIS_DATABASE } from '../postgres/held-lock.ts';
import { beginHolding, beginReading } from '../postgres/snapshot.ts';
import { together } from '../postgres/together.ts';
import { Heartbeat } from './heartbeat.ts';
import { LIVENESS } from './liveness.ts';

/** What is locked, and where. */
export interface LockTarget {
  source: SourceConfig;
  archive: string;
  /**
   * URL of the archive's folder in its destination, by which the lock goes: two configs that write to the same place exclude
   * each other, whatever they call themselves.
   */
  folderUrl: string;
}

const HOLDER_SQL = `
SELECT a.pid, a.application_name AS name, pg_catalog.host(a.client_addr) AS address,
  a.backend_start::pg_catalog.text AS since
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid
WHERE ${IS_ADVISORY} AND ${isLockOf('$1')}
  AND l.database OPERATOR(pg_catalog.=) ${THIS_DATABASE}`;

interface HolderRow {
  pid: number;
  name: string;
  address: string | null;
  since: string;
}

interface Holder {
  text: string;
  /** Empty when it is not known. */
  host: string;
}

/** The connection that holds an archive's lock, as the server calls it. */
export function lockConnection({ source, archive }: LockTarget): ConnectionTarget {
  return { url: source.url, applicationName: `pgsluice ${archive} on ${os.hostname()}:${process.pid}` };
}

/**
 * Connects and takes the archive's lock, in a transaction that stays open; it is held as long as the connection lives, and
 * {@link askForLock} is called often enough: the server ends a holder that was frozen, or that vanished without a word.
 * Throws FailureError, `locked` when another run holds it, and the signal's reason when it aborts.
 */
export async function openLock(target: LockTarget, signal?: AbortSignal, begin = beginReading): Promise<Client> {
  const client = await connectPostgres(lockConnection(target), 'connect', signal);
  try {
    await withinAnswerTime(client, () =>
      together(client, () => [
        begin(client, { idle_in_transaction_session_timeout: `${LIVENESS.holderSilenceMs}ms` }),
        takeLock(client, target),
      ]),
    );
    return client;
  } catch (error) {
    await endConnection(client);
    throw error;
  }
}

/**
 * Asks the server, which ends the session of whoever holds a lock and asks nothing. Rejects when it has done so. In a transaction that
 * is open, a query keeps its snapshot until the next one comes; SHOW needs none, and has the one before it let go.
 */
export async function askForLock(client: Client): Promise<void> {
  await withinAnswerTime(client, () => client.query('SHOW transaction_isolation'));
}

/** Work of this process that holds a lock for a moment: a run waits for it, as it would else be locked out by itself. */
const lockedWork = new Map<string, Promise<unknown>>();

/** Does a piece of work under the archive's lock, outside of a run; its signal aborts when the lock is lost. Throws FailureError. */
export async function withLock<T>(target: LockTarget, work: (lost: AbortSignal) => Promise<T>): Promise<T> {
  const doing = lockAndWork(target, work);
  lockedWork.set(
    target.folderUrl,
    doing.catch(() => undefined),
  );
  try {
    return await doing;
  } finally {
    lockedWork.delete(target.folderUrl);
  }
}

/** Waits until no short work of this process holds the lock. */
export async function whenUnlockedHere({ folderUrl }: LockTarget): Promise<void> {
  await lockedWork.get(folderUrl);
}

async function lockAndWork<T>(target: LockTarget, work: (lost: AbortSignal) => Promise<T>): Promise<T> {
  const client = await openLock(target, undefined, beginHolding);
  const lost = new AbortController();
  client.on('end', () => {
    const message = `the connection that held the lock of archive ${target.archive} broke`;
    lost.abort(fail('session-lost', { stage: 'lock', archive: target.archive, message }));
  });
  const cut = (): void => {
    socketOf(client)?.destroy();
  };
  const heartbeat = new Heartbeat(() => askForLock(client), cut);
  try {
    // Or the snapshot of what has just been asked would keep VACUUM from removing what is deleted, and a detach from ending.
    await askForLock(client);
    return await work(lost.signal);
  } finally {
    heartbeat.stop();
    await endConnection(client);
  }
}

async function takeLock(client: Client, { archive, folderUrl }: LockTarget): Promise<void> {
  const number = lockNumber(folderUrl);
  try {
    const { rows } = await client.query<{ locked: boolean }>(
      'SELECT pg_catalog.pg_try_advisory_xact_lock($1::pg_catalog.int8) AS locked',
      [number],
    );
    if (rows[0]?.locked === true) return;
    throw locked(archive, await findHolder(client, number));
  } catch (error) {
    throw postgresFailure(error, 'lock', `taking the lock of archive ${archive}`);
  }
}

/** The host in the name that {@link lockConnection} gives; a name that the server has cut short, or of another kind, has none. */
export function hostOfHolder(name: string): string {
  return /^pgsluice \S+ on (\S+):\d+$/.exec(name)?.[1] ?? '';
}

/** A signed 64-bit number in decimal. */
export function lockNumber(folderUrl: string): string {
  return createHash('sha256').update(`pgsluice\n${folderUrl}`).digest().readBigInt64BE(0).toString();
}

async function findHolder(client: Client, number: string): Promise<Holder> {
  const { rows } = await client.query<HolderRow>(HOLDER_SQL, [number]);
  const holder = rows[0];
  if (holder === undefined) return { text: 'a session that has just ended', host: '' };
  const from = holder.address ?? 'this host';
  const text = `"${holder.name}" (backend ${holder.pid}, connected from ${from} since ${holder.since})`;
  return { text, host: hostOfHolder(holder.name) };
}

function locked(archive: string, { text, host }: Holder): FailureError {
  return fail('locked', {
    stage: 'lock',
    archive,
    message: `another run of archive ${archive} holds its lock: ${text}`,
    ...(host === '' ? {} : { host }),
  });
}
