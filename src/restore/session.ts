/** The connection of a restore's control plane; while it lives, no other restore goes into the same table. */
import { createHash } from 'node:crypto';
import os from 'node:os';
import { fail, type FailureError } from '../base/errors.ts';
import { connectPostgres, endConnection, type Client } from '../postgres/connect.ts';
import { isPooled } from '../postgres/settings.ts';
import { restoreFailure } from '../segment/restore/errors.ts';
import type { RestoreRequest } from './request.ts';

/** What an operator does about a restore that was broken off. */
export const GO_ON = 'Give the same command again: it goes on with the objects that are missing.';

export interface RestoreSession {
  client: Client;
  /** Aborts when the connection breaks: then the lock is gone. */
  lost: AbortSignal;
  close: () => Promise<void>;
}

/** Connects and takes the lock of the table, whether it is there yet or not. Throws FailureError, and the signal's reason when it aborts. */
export async function openRestoreSession(
  request: RestoreRequest,
  run: string,
  signal: AbortSignal,
): Promise<RestoreSession> {
  const name = `${request.into.schema}.${request.into.table}`;
  const client = await connectPostgres(
    { url: request.source.url, applicationName: `pgsluice restore ${request.archive.name}/${run} on ${os.hostname()}` },
    'restore',
    signal,
  );
  if (isPooled(client)) {
    await endConnection(client);
    throw fail('behind-pooler', {
      stage: 'restore',
      message: 'a restore does not go through a pooler such as PgBouncer',
    });
  }
  const lost = new AbortController();
  client.on('end', () => {
    lost.abort(sessionLost(name));
  });
  try {
    await lockTarget(client, name);
    return { client, lost: lost.signal, close: () => endConnection(client) };
  } catch (error) {
    await endConnection(client);
    throw restoreFailure(error, `taking the lock of ${name}`);
  }
}

async function lockTarget(client: Client, name: string): Promise<void> {
  const key = createHash('sha256').update(`pgsluice restore\n${name}`).digest().readBigInt64BE(0).toString();
  const { rows } = await client.query<{ locked: boolean }>(
    'SELECT pg_catalog.pg_try_advisory_lock($1::pg_catalog.int8) AS locked',
    [key],
  );
  if (rows[0]?.locked === true) return;
  throw fail('locked', {
    stage: 'restore',
    message: `another restore into ${name} is in progress`,
  });
}

function sessionLost(name: string): FailureError {
  return fail('session-lost', {
    stage: 'restore',
    message: `the connection that held the lock of ${name} broke`,
    hint: GO_ON,
  });
}
