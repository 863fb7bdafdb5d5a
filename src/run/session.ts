/** The connection that holds a run's lock and its snapshot, outside the worker threads. */
import os from 'node:os';
import { fail, FailureError } from '../base/errors.ts';
import type { SourceConfig } from '../config/schema.ts';
import { backendPid, connectPostgres, endConnection, socketOf, type Client } from '../postgres/connect.ts';
import { terminateBackend } from '../postgres/cancel.ts';
import { postgresFailure } from '../postgres/errors.ts';
import {
  beginReading,
  exportSnapshot,
  identifySource,
  type Snapshot,
  type SourceIdentity,
} from '../postgres/snapshot.ts';
import { lockArchive } from './lock.ts';

/** A question that takes the server no time must be answered within this. */
const ANSWER_TIMEOUT_MS = 20_000;
/** How often the lock is asked for while segments run. */
const WATCH_INTERVAL_MS = 15_000;

/** A lock that is held, and a snapshot that lives as long. */
export interface Session {
  client: Client;
  identity: SourceIdentity;
  snapshot: Snapshot;
  /** Aborts when the connection breaks: then the lock is gone, and another host may begin. */
  lost: AbortSignal;
  /** Ends the connection at once, whatever it is doing, on the server too. */
  cut: () => void;
  close: () => Promise<void>;
}

/** What the server calls the connection of an archive's run. */
export function sessionName(archive: string): string {
  return `pgsluice ${archive} on ${os.hostname()}:${process.pid}`;
}

/**
 * Connects and takes the archive's lock, in a transaction that stays open. `place` is the archive's folder in its
 * destination. Throws FailureError, and the signal's reason when it aborts.
 */
async function openLock(source: SourceConfig, archive: string, place: string, signal?: AbortSignal): Promise<Client> {
  const client = await connectPostgres({ url: source.url, applicationName: sessionName(archive) }, 'connect', signal);
  try {
    await withinTime(client, async () => {
      await beginReading(client);
      await lockArchive(client, archive, place);
    });
    return client;
  } catch (error) {
    await endConnection(client);
    throw error;
  }
}

/** Work of this process that holds a lock for a moment: a run waits for it, as it would else be locked out by itself. */
const lockedWork = new Map<string, Promise<unknown>>();

/** Does a short piece of work under the archive's lock, outside of a run. Throws FailureError. */
export async function withLock<T>(
  source: SourceConfig,
  archive: string,
  place: string,
  work: () => Promise<T>,
): Promise<T> {
  const doing = lockAndWork(source, archive, place, work);
  lockedWork.set(
    place,
    doing.catch(() => undefined),
  );
  try {
    return await doing;
  } finally {
    lockedWork.delete(place);
  }
}

async function lockAndWork<T>(
  source: SourceConfig,
  archive: string,
  place: string,
  work: () => Promise<T>,
): Promise<T> {
  const client = await openLock(source, archive, place);
  try {
    return await work();
  } finally {
    await endConnection(client);
  }
}

/** Takes the lock, and exports the snapshot of the run on the same connection. */
export async function openSession(
  source: SourceConfig,
  archive: string,
  place: string,
  signal: AbortSignal,
): Promise<Session> {
  await lockedWork.get(place);
  const client = await openLock(source, archive, place, signal);
  const lost = new AbortController();
  client.on('end', () => {
    lost.abort(sessionLost(archive));
  });
  try {
    const [identity, snapshot] = await withinTime(
      client,
      async () => [await identifySource(client), await exportSnapshot(client)] as const,
    );
    return {
      client,
      identity,
      snapshot,
      lost: lost.signal,
      cut: () => {
        socketOf(client)?.destroy();
        void terminateBackend({ url: source.url, applicationName: sessionName(archive) }, backendPid(client));
      },
      close: () => endConnection(client),
    };
  } catch (error) {
    await endConnection(client);
    throw error;
  }
}

/** A server that falls silent on an open connection would hold the run up for ever: then the connection is cut. */
async function withinTime<T>(client: Client, work: () => Promise<T>): Promise<T> {
  const deadline = setTimeout(() => {
    socketOf(client)?.destroy();
  }, ANSWER_TIMEOUT_MS);
  try {
    return await work();
  } finally {
    clearTimeout(deadline);
  }
}

/** Makes sure, by asking the server, that the lock is still held. Throws FailureError `session-lost` when it is not. */
export async function requireSession(session: Session, archive: string): Promise<void> {
  session.lost.throwIfAborted();
  try {
    await withinTime(session.client, () => session.client.query('SELECT 1'));
  } catch (error) {
    throw new FailureError(sessionLost(archive).failure, {
      cause: postgresFailure(error, 'lock', 'asking for the lock'),
    });
  }
}

/**
 * Asks for the lock from time to time while the segments run: a connection may die without a word, and then another host
 * may begin. Returns what ends the watch.
 */
export function watchSession(session: Session, archive: string): () => void {
  const timer = setInterval(() => {
    requireSession(session, archive).catch(session.cut);
  }, WATCH_INTERVAL_MS);
  return () => {
    clearInterval(timer);
  };
}

function sessionLost(archive: string): FailureError {
  return fail('session-lost', {
    stage: 'snapshot',
    archive,
    message: `the connection that held the lock and the snapshot of archive ${archive} broke`,
  });
}
