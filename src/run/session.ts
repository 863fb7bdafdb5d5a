/** The connection that holds a run's lock and its snapshot, outside the worker threads. */
import os from 'node:os';
import type { Client } from '../postgres/connect.ts';
import type { SourceConfig } from '../config/schema.ts';
import { connectPostgres, endConnection } from '../postgres/connect.ts';
import { exportSnapshot, identifySource, type Snapshot, type SourceIdentity } from '../postgres/snapshot.ts';
import { lockArchive } from './lock.ts';

/** A lock that is held; the snapshot is exported once it is asked for. */
export interface Session {
  client: Client;
  identity: SourceIdentity;
  snapshot: Snapshot;
  close: () => Promise<void>;
}

/** Connects and takes the archive's lock. `place` is the archive's folder in its destination. Throws FailureError. */
export async function openLock(source: SourceConfig, archive: string, place: string): Promise<Client> {
  const client = await connectPostgres({
    url: source.url,
    applicationName: `pgsluice ${archive} on ${os.hostname()}:${process.pid}`,
  });
  try {
    await lockArchive(client, archive, place);
    return client;
  } catch (error) {
    await endConnection(client);
    throw error;
  }
}

/** Exports the snapshot of the run on the connection that holds the lock. */
export async function openSession(client: Client): Promise<Session> {
  const identity = await identifySource(client);
  const snapshot = await exportSnapshot(client);
  return { client, identity, snapshot, close: () => endConnection(client) };
}
