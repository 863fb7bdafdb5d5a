import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { SourceConfig } from '../../../src/config/schema.ts';
import { connectPostgres, endConnection, type Client } from '../../../src/postgres/connect.ts';
import { LIVENESS } from '../../../src/run/liveness.ts';
import { openLock, type LockTarget } from '../../../src/run/lock.ts';
import { openSession } from '../../../src/run/session.ts';
import { eventually } from '../../support/cli.ts';
import { testDatabase, type TestDatabase } from '../../support/postgres.ts';

const never = new AbortController().signal;
let database: TestDatabase;
const usual = { ...LIVENESS };

before(async () => {
  database = await testDatabase();
  Object.assign(LIVENESS, { heartbeatMs: 100, holderSilenceMs: 600 });
});
after(() => {
  Object.assign(LIVENESS, usual);
});

function targetOf(archive: string): LockTarget {
  return { source: { url: database.url } as SourceConfig, archive, folderUrl: `file:///srv/${archive}/` };
}

async function isFree(target: LockTarget): Promise<boolean> {
  const client = await openLock(target).catch(() => undefined);
  if (client === undefined) return false;
  await endConnection(client);
  return true;
}

async function settingsOf(client: Client, names: readonly string[]): Promise<string[]> {
  const { rows } = await client.query<{ value: string }>(
    'SELECT pg_catalog.current_setting(name) AS value FROM unnest($1::text[]) WITH ORDINALITY AS n (name, at) ORDER BY at',
    [names],
  );
  return rows.map(({ value }) => value);
}

describe('who holds a lock', () => {
  test('and has nothing to ask keeps it, by a heartbeat', async () => {
    const target = targetOf('alive');
    const session = await openSession(target, never);
    // Longer than the server waits for a holder that is silent.
    await database.client.query('SELECT pg_sleep(1)');
    assert.equal(session.lost.aborted, false, String(session.lost.reason));
    assert.equal(await isFree(target), false);
    await session.close();
    assert.equal(await isFree(target), true);
  });

  test('and is frozen loses it', async () => {
    const target = targetOf('frozen');
    const client = await openLock(target);
    assert.equal(await isFree(target), false);
    await eventually('the lock is free', () => isFree(target));
    await assert.rejects(client.query('SELECT 1'));
    await endConnection(client);
  });

  test('tells the server to look for peers that are gone, and so does each reader', async () => {
    const client = await connectPostgres({ url: database.url, applicationName: 'pgsluice test' });
    const names = ['tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_keepalives_count'];
    assert.deepEqual(await settingsOf(client, names), ['15', '5', '3']);
    // Nothing of the lock stays behind its transaction: behind a pooler, the session is another's then.
    const holder = await openLock(targetOf('settings'));
    assert.deepEqual(await settingsOf(holder, ['idle_in_transaction_session_timeout', ...names]), [
      '600ms',
      ...['15', '5', '3'],
    ]);
    await holder.query('ROLLBACK');
    assert.deepEqual(await settingsOf(holder, ['idle_in_transaction_session_timeout']), ['0']);
    await endConnection(holder);
    await endConnection(client);
  });
});
