import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fail } from '../../../src/base/errors.ts';
import type { Log } from '../../../src/base/log.ts';
import { destinationOf, resolveConfig } from '../../../src/config/resolve.ts';
import { type Config, configSchema } from '../../../src/config/schema.ts';
import { Standby } from '../../../src/daemon/standby.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { LIVENESS } from '../../../src/run/liveness.ts';
import { lockNumber } from '../../../src/run/lock.ts';
import { lockTargetOf } from '../../../src/run/run.ts';
import { openStore } from '../../../src/store/open.ts';
import { eventually } from '../../support/cli.ts';
import { connect, testDatabase, type TestDatabase } from '../../support/postgres.ts';

const RUN = '20241123T021500Z';
const ARCHIVES = Array.from({ length: 500 }, (_none, index) => `archive_${index}`);
const usual = { ...LIVENESS };
const log = { info: () => undefined, warn: () => undefined } as unknown as Log;
let database: TestDatabase;
let folder: string;
let config: Config;

before(async () => {
  Object.assign(LIVENESS, { lockLookMs: 50, journalLookMs: 50 });
  database = await testDatabase();
  folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-standby-'));
  config = configOf(database.url);
});
after(() => {
  Object.assign(LIVENESS, usual);
  rmSync(folder, { recursive: true });
});

function configOf(url: string): Config {
  const archives = Object.fromEntries(ARCHIVES.map((name) => [name, { table: 'public.events' }]));
  const destinations = { default: { url: `file://${folder}` } };
  return resolveConfig(configSchema.parse({ sources: { default: { url } }, destinations, archives }), {});
}

function lockOf(name: string): string {
  const archive = config.archives[name]!;
  const store = openStore(destinationOf(config, archive), new AbortController().signal);
  return lockNumber(lockTargetOf(config, archive, store).folderUrl);
}

/** Waits for a run; what has come of it is in `done`. */
function waitFor(standby: Standby, name: string, stage: 'lock' | 'journal' = 'lock') {
  const stop = new AbortController();
  const { failure } = fail('locked', { stage, message: 'another host has it', host: 'db1' });
  const waiting = { stop, done: 'waiting', holder: '' };
  const wait = {
    archive: config.archives[name]!,
    config,
    run: RUN,
    failure,
    onHolder: (host: string) => (waiting.holder = host),
  };
  standby.wait(wait, stop.signal).then(
    () => (waiting.done = 'free'),
    () => (waiting.done = 'given up'),
  );
  return waiting;
}

async function backends(): Promise<number> {
  const { rowCount } = await database.client.query(
    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'pgsluice standby %'",
  );
  return rowCount ?? 0;
}

describe('many archives on standby', () => {
  test('cost their source one connection, and each is told of its own lock alone', async () => {
    const holder = await connect(database.url);
    await holder.query("SET application_name = 'pgsluice archive_1 on db7:4711'");
    for (const name of ARCHIVES) await holder.query('SELECT pg_advisory_lock($1)', [lockOf(name)]);
    let paused = 'archive_2';
    const standby = new Standby({ log, config: () => config, isPaused: (archive) => archive === paused });
    const waiting = ARCHIVES.map((name) => waitFor(standby, name));
    await eventually('all have seen the holder', async () => waiting.every((one) => one.holder === 'db7'));
    assert.equal(await backends(), 1);
    for (const name of ['archive_1', 'archive_2']) await holder.query('SELECT pg_advisory_unlock($1)', [lockOf(name)]);
    await eventually('one is free', async () => waiting[1]!.done === 'free');
    assert.deepEqual(
      [...new Set(waiting.toSpliced(1, 1).map(({ done }) => done))],
      ['waiting'],
      'a paused one waits on',
    );
    paused = '';
    await eventually('the other is free', async () => waiting[2]!.done === 'free');
    // A source that hangs up is asked again.
    await database.client.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pgsluice standby %'",
    );
    await holder.query('SELECT pg_advisory_unlock($1)', [lockOf('archive_3')]);
    await eventually('the next is free', async () => waiting[3]!.done === 'free');
    for (const { stop } of waiting) stop.abort();
    await eventually('the others have given up', async () => waiting.every(({ done }) => done !== 'waiting'));
    await eventually('no connection is left', async () => (await backends()) === 0);
    await holder.end();
  });

  test('are tried again when a reload has changed where they read from', async () => {
    const holder = await connect(database.url);
    await holder.query('SELECT pg_advisory_lock($1)', [lockOf('archive_0')]);
    let now = config;
    const standby = new Standby({ log, config: () => now, isPaused: () => false });
    const waiting = waitFor(standby, 'archive_0');
    await eventually('it is asked', async () => (await backends()) === 1);
    now = configOf(`${database.url}?sslmode=disable`);
    await eventually('it is free', async () => waiting.done === 'free');
    await holder.end();
  });

  test('whose lock is of another server wait until a journal changes no more', async (t) => {
    const looks = ['a', 'b', new Error('the destination does not answer'), 'c', 'd', 'd', 'd'];
    const look = t.mock.method(RunFolder.prototype, 'journalDigest', async () => {
      const seen = looks.shift();
      if (typeof seen === 'string') return seen;
      throw seen ?? new Error('it was looked at too often');
    });
    const standby = new Standby({ log, config: () => config, isPaused: () => false });
    const waiting = waitFor(standby, 'archive_0', 'journal');
    await eventually('it is free', async () => waiting.done === 'free');
    assert.equal(look.mock.callCount(), 6);
    assert.equal(await backends(), 0, 'the source was asked');
  });
});
