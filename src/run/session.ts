/** The connection that holds a run's lock and its snapshot, outside the worker threads. */
import os from 'node:os';
import { FailureError } from '../base/errors.ts';
import type { SourceConfig } from '../config/schema.ts';
import { connectPostgres, endConnection, type Client } from '../postgres/connect.ts';
import { postgresFailure } from '../postgres/errors.ts';
import { exportSnapshot, identifySource, type Snapshot, type SourceIdentity } from '../postgres/snapshot.ts';
import { lockArchive } from './lock.ts';

/** A lock that is held, and a snapshot that lives as long. */
export interface Session {
  client: Client;
  identity: SourceIdentity;
  snapshot: Snapshot;
  /** Aborts when the connection breaks: then the lock is gone, and another host may begin. */
  lost: AbortSignal;
  close: () => Promise<void>;
}

/** What the server calls the connection of an archive's run. */
export function sessionName(archive: string): string {
  return `pgsluice ${archive} on ${os.hostname()}:${process.pid}`;
}

/** Connects and takes the archive's lock. `place` is the archive's folder in its destination. Throws FailureError. */
export async function openLock(source: SourceConfig, archive: string, place: string): Promise<Client> {
  const client = await connectPostgres({ url: source.url, applicationName: sessionName(archive) });
  try {
    await lockArchive(client, archive, place);
    return client;
  } catch (error) {
    await endConnection(client);
    throw error;
  }
}

/** Takes the lock, and exports the snapshot of the run on the same connection. */
export async function openSession(source: SourceConfig, archive: string, place: string): Promise<Session> {
  const client = await openLock(source, archive, place);
  const lost = new AbortController();
  client.on('end', () => {
    lost.abort(sessionLost(archive));
  });
  try {
    const identity = await identifySource(client);
    const snapshot = await exportSnapshot(client);
    return { client, identity, snapshot, lost: lost.signal, close: () => endConnection(client) };
  } catch (error) {
    await endConnection(client);
    throw error;
  }
}

/** Makes sure, by asking the server, that the lock is still held. Throws FailureError `session-lost` when it is not. */
export async function requireSession(session: Session, archive: string): Promise<void> {
  session.lost.throwIfAborted();
  try {
    await session.client.query('SELECT 1');
  } catch (error) {
    throw new FailureError(sessionLost(archive).failure, {
      cause: postgresFailure(error, 'lock', 'asking for the lock'),
    });
  }
}

function sessionLost(archive: string): FailureError {
  return new FailureError({
    code: 'session-lost',
    stage: 'snapshot',
    archive,
    transient: true,
    message: `the connection that held the lock and the snapshot of archive ${archive} broke`,
    hint: 'The run goes on under a new snapshot. If it repeats, look at the server log, and at time-outs of proxies between.',
  });
}
