/** The connection of rehearsals: while it lives, nobody else rehearses in this schema, nor takes our tables for leftovers. */
import { createHash } from 'node:crypto';
import os from 'node:os';
import { fail, type FailureError } from '../../base/errors.ts';
import type { SourceConfig } from '../../config/schema.ts';
import { connectPostgres, endConnection, type Client } from '../../postgres/connect.ts';
import { isPooled } from '../../postgres/settings.ts';

export interface RehearsalSession {
  client: Client;
  /** Aborts when the connection breaks: then the lock is gone. */
  lost: AbortSignal;
  close: () => Promise<void>;
}

/** Throws FailureError, `locked` when another host rehearses there. */
export async function openRehearsal(
  source: SourceConfig,
  schema: string,
  signal: AbortSignal,
): Promise<RehearsalSession> {
  const applicationName = `pgsluice rehearsal on ${os.hostname()}:${process.pid}`;
  const client = await connectPostgres({ url: source.url, applicationName }, 'restore', signal);
  try {
    if (isPooled(client)) throw throughPooler();
    const lost = new AbortController();
    client.on('end', () => {
      lost.abort(fail('session-lost', { stage: 'restore', message: 'the connection of the rehearsal broke' }));
    });
    if (!(await lockSchema(client, schema)))
      throw fail('locked', { stage: 'restore', message: `another host rehearses in the schema ${schema}` });
    return { client, lost: lost.signal, close: () => endConnection(client) };
  } catch (error) {
    await endConnection(client);
    throw error;
  }
}

/** Whether nobody else rehearses in the schema of this database from now on, as long as the connection lives. */
export async function lockSchema(client: Client, schema: string): Promise<boolean> {
  const key = createHash('sha256').update(`pgsluice rehearsal\n${schema}`).digest().readBigInt64BE(0).toString();
  const { rows } = await client.query<{ locked: boolean }>(
    'SELECT pg_catalog.pg_try_advisory_lock($1::pg_catalog.int8) AS locked',
    [key],
  );
  return rows[0]?.locked === true;
}

export function throughPooler(): FailureError {
  const message = 'a restore is not rehearsed through a pooler such as PgBouncer';
  return fail('behind-pooler', {
    stage: 'restore',
    message,
    hint: 'Let the url of this source lead to Postgres itself.',
  });
}
