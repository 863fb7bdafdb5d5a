/**
 * A purge by partition that is killed at each of its steps, with an application that writes and reads meanwhile: what was
 * acknowledged is in the table or in the archive, no reader fails, and the next purge ends it.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import type { Client } from 'pg';
import { purgeCommand } from '../../src/commands/purge.ts';
import type { PurgeRecord } from '../../src/ledger/purge.ts';
import type { PurgeResult } from '../../src/purge/request.ts';
import { eventually, withDeadline } from '../support/cli.ts';
import { commandInProcess, runInProcess } from '../support/in-process.ts';
import { connect } from '../support/postgres.ts';
import { startPostgresProxy, type PostgresProxy, type ServerMessage } from '../support/postgres-proxy.ts';
import { openSite, PREFIX, type Site } from '../support/site.ts';

const JANUARY = '20260101T000000Z';
const ROWS = 400;

let site: Site;
let proxy: PostgresProxy;

before(async () => {
  site = await openSite();
  proxy = await startPostgresProxy(site.database.url);
});

after(async () => {
  await proxy.stop();
});

async function sql(text: string): Promise<Record<string, unknown>[]> {
  return (await site.database.client.query(text)).rows as Record<string, unknown>[];
}

async function createTable(name: string, besides = ''): Promise<string> {
  await sql(`CREATE TABLE ${name} (id bigint NOT NULL, at timestamptz NOT NULL, v text) PARTITION BY RANGE (at);
    CREATE TABLE ${name}_1 PARTITION OF ${name} FOR VALUES FROM ('2026-01-01Z') TO ('2026-02-01Z');
    CREATE TABLE ${name}_2 PARTITION OF ${name} FOR VALUES FROM ('2026-02-01Z') TO ('2026-03-01Z'); ${besides};
    INSERT INTO ${name} SELECT i, timestamptz '2026-01-01Z' + i * interval '1 hour', md5(i::text) FROM generate_series(1, ${ROWS}) AS i`);
  const config = await site.writeConfig({
    log: { level: 'silent' },
    workers: { threads: 1 },
    sources: { default: { url: '${DATABASE_URL}' }, proxied: { url: proxy.url } },
    archives: {
      [name]: {
        table: name,
        window: { column: 'at', every: 'partition' },
        purge: { after: '7d', then: 'drop', source: 'proxied' },
      },
    },
  });
  const { result } = await runInProcess(site, config, name, JANUARY);
  assert.equal(result.status, 'committed', JSON.stringify(result.error));
  return config;
}

async function stateOf(name: string): Promise<string> {
  const [row] = await sql(`SELECT to_regclass('${name}_1') IS NULL AS gone,
    (SELECT to_jsonb(i) ->> 'inhdetachpending' FROM pg_inherits i WHERE i.inhrelid = to_regclass('${name}_1')) AS pending`);
  if (row?.['gone'] === true) return 'gone';
  return row?.['pending'] === null ? 'detached' : row?.['pending'] === 'true' ? 'pending' : 'attached';
}

async function recordOf(name: string): Promise<PurgeRecord | undefined> {
  const file = await site.stored(`${PREFIX}${name}/run=${JANUARY}/_purge.json`);
  return file && (JSON.parse(file.body.toString()) as PurgeRecord);
}

/** What the purge's server says from this message on never comes. */
function holdFrom(name: string, isIt: (message: ServerMessage) => boolean): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  let isHeld = false;
  proxy.onConnection = (application) => {
    if (!application.startsWith(`pgsluice purge ${name}/`)) return undefined;
    return (message, bytes) => {
      isHeld ||= isIt(message);
      if (isHeld) resolve(undefined);
      return isHeld ? undefined : bytes;
    };
  };
  return promise;
}

function answered(command: string, count = 1): (message: ServerMessage) => boolean {
  let left = count;
  return ({ type, body }) => {
    if (type === 'C' && body.toString('latin1').startsWith(command)) left -= 1;
    return left <= 0;
  };
}

/** The first answer after the intent is noted. */
function isIntended(name: string): () => boolean {
  return () =>
    site.proxy.requests.some(
      ({ method, key, status }) =>
        method === 'PUT' && status === 200 && key === `${PREFIX}${name}/run=${JANUARY}/_purge.json`,
    );
}

/** An application that writes into the other partition, and reads all, until it is told to stop. */
function startApplication(name: string): { stop: () => Promise<{ written: number[]; errors: unknown[] }> } {
  const written: number[] = [];
  const errors: unknown[] = [];
  let isStopped = false;
  const go = async (work: (client: Client, n: number) => Promise<unknown>): Promise<void> => {
    const client = await connect(site.database.url);
    for (let n = 10_000; !isStopped; n += 1) {
      await work(client, n).catch((error: unknown) => errors.push(error));
      await sleep(50);
    }
    await client.end();
  };
  const writing = go(async (client, n) => {
    await client.query(`INSERT INTO ${name} VALUES (${n}, '2026-02-10Z', 'new')`);
    written.push(n);
  });
  const reading = go((client) => client.query(`SELECT count(*) FROM ${name}`));
  return {
    stop: async () => {
      isStopped = true;
      await Promise.all([writing, reading]);
      return { written, errors };
    },
  };
}

async function purgeAgain(config: string, name: string): Promise<{ code: number; result: PurgeResult }> {
  proxy.onConnection = () => undefined;
  const { code, stdout } = await commandInProcess(site, config, (invocation) =>
    purgeCommand(invocation, name, { runs: [JANUARY], execute: true, yes: false }),
  );
  const [result] = JSON.parse(stdout) as PurgeResult[];
  assert.ok(result !== undefined);
  return { code, result };
}

interface Kill {
  at: string;
  name: string;
  besides?: string;
  /** Resolves when it is to be killed. */
  reached: (name: string) => Promise<unknown>;
  /** What is left behind. */
  left: string;
  /** How the next purge finds the rows. */
  then: 'deleted' | 'absent';
  isNoted: boolean;
}

const DEFAULT = (name: string): string => `CREATE TABLE ${name}_d PARTITION OF ${name} DEFAULT`;
const KILLS: readonly Kill[] = [
  {
    at: 'before the intent',
    name: 'k1',
    left: 'attached',
    then: 'deleted',
    isNoted: false,
    reached: (name) => holdFrom(name, answered('SELECT 1', 12)),
  },
  {
    at: 'after the intent',
    name: 'k2',
    left: 'attached',
    then: 'deleted',
    isNoted: true,
    reached: (name) => holdFrom(name, isIntended(name)),
  },
  {
    at: 'after the detach',
    name: 'k4',
    left: 'detached',
    then: 'deleted',
    isNoted: true,
    reached: (name) => holdFrom(name, answered('ALTER TABLE')),
  },
  {
    at: 'under the lock, before the rows are compared',
    name: 'k5',
    left: 'detached',
    then: 'deleted',
    isNoted: true,
    reached: (name) => holdFrom(name, answered('LOCK TABLE')),
  },
  {
    at: 'after the rows are compared',
    name: 'k5a',
    left: 'detached',
    then: 'deleted',
    isNoted: true,
    reached: (name) => holdFrom(name, answered('SAVEPOINT')),
  },
  {
    at: 'after the drop, before its commit',
    name: 'k6',
    left: 'detached',
    then: 'deleted',
    isNoted: true,
    reached: (name) => holdFrom(name, answered('DROP TABLE')),
  },
  {
    at: 'after the commit',
    name: 'k7',
    left: 'gone',
    then: 'absent',
    isNoted: true,
    reached: (name) => holdFrom(name, afterDrop()),
  },
  {
    at: 'beside a default partition, under the lock',
    name: 'd5',
    besides: DEFAULT('d5'),
    left: 'attached',
    then: 'deleted',
    isNoted: true,
    reached: (name) => holdFrom(name, answered('LOCK TABLE')),
  },
  {
    at: 'beside a default partition, after the detach',
    name: 'd5a',
    besides: DEFAULT('d5a'),
    left: 'attached',
    then: 'deleted',
    isNoted: true,
    reached: (name) => holdFrom(name, answered('ALTER TABLE')),
  },
  {
    at: 'beside a default partition, after the drop',
    name: 'd6',
    besides: DEFAULT('d6'),
    left: 'attached',
    then: 'deleted',
    isNoted: true,
    reached: (name) => holdFrom(name, answered('DROP TABLE')),
  },
  {
    at: 'beside a default partition, after the commit',
    name: 'd7',
    besides: DEFAULT('d7'),
    left: 'gone',
    then: 'absent',
    isNoted: true,
    reached: (name) => holdFrom(name, afterDrop()),
  },
];

function afterDrop(): (message: ServerMessage) => boolean {
  const [dropped, committed] = [answered('DROP TABLE'), answered('COMMIT')];
  return (message) => dropped(message) && committed(message);
}

describe('killed', () => {
  for (const { at, name, besides, reached, left, then, isNoted } of KILLS)
    test(`${at}: it is ${left}, and the next purge ends it`, async () => {
      const config = await createTable(name, besides);
      const application = startApplication(name);
      const isReached = reached(name);
      const cli = site.start(['purge', name, JANUARY, '--execute', '--json'], config);
      await withDeadline(isReached, () => 'it did not come so far');
      cli.kill('SIGKILL');
      await cli.ended();
      await site.waitForNoBackends();
      assert.deepEqual(
        [await stateOf(name), (await recordOf(name))?.partition?.state],
        [left, isNoted ? 'intended' : undefined],
      );
      const { code, result } = await purgeAgain(config, name);
      const { written, errors } = await application.stop();
      assert.deepEqual([code, result.status, result.totals[then], await stateOf(name)], [0, 'purged', ROWS, 'gone']);
      assert.deepEqual(errors, []);
      const there = (await sql(`SELECT id::int AS id FROM ${name} ORDER BY id`)).map(({ id }) => id);
      assert.deepEqual(there, written);
      assert.equal((await site.lines(name, JANUARY)).length, ROWS);
      assert.equal((await recordOf(name))?.state, 'done');
    });

  test('while it waits for a transaction that is open: its backend is ended, and the detach finished', async () => {
    const name = 'k3';
    const config = await createTable(name);
    const holder = await connect(site.database.url);
    await holder.query(`BEGIN; SELECT FROM ${name} LIMIT 1`);
    // As if its host were gone: the server does not hear of the kill.
    proxy.onConnection = () => undefined;
    proxy.passesHangUps = false;
    const cli = site.start(['purge', name, JANUARY, '--execute', '--json'], config);
    const waiting = async (): Promise<Record<string, unknown> | undefined> =>
      (
        await sql(
          `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'pgsluice purge ${name}/%' AND wait_event_type = 'Lock'`,
        )
      )[0];
    const former = await eventually('it waits', waiting);
    cli.kill('SIGKILL');
    await cli.ended();
    proxy.passesHangUps = true;
    assert.deepEqual([await stateOf(name), await waiting()], ['pending', former]);
    await site.terminateBackends(`pgsluice ${name} on %`);
    const again = purgeAgain(config, name);
    await eventually('another backend waits', async () => {
      const now = await waiting();
      return now !== undefined && now['pid'] !== former['pid'];
    });
    await holder.end();
    const { code, result } = await again;
    assert.deepEqual([code, result.totals.deleted, await stateOf(name)], [0, ROWS, 'gone']);
  });

  test('after a partition with other rows was attached again: it is left as it is', async () => {
    const name = 'k8';
    const config = await createTable(name);
    const isReached = holdFrom(name, answered('ALTER TABLE'));
    const first = site.start(['purge', name, JANUARY, '--execute', '--json'], config);
    await withDeadline(isReached, () => 'it was not detached');
    first.kill('SIGKILL');
    await first.ended();
    await sql(`INSERT INTO ${name}_1 VALUES (9999, '2026-01-15Z', 'late')`);
    const isAttached = holdFrom(name, answered('ALTER TABLE', 2));
    const second = site.start(['purge', name, JANUARY, '--execute', '--json'], config);
    await withDeadline(isAttached, () => 'it was not attached again');
    second.kill('SIGKILL');
    await second.ended();
    await site.waitForNoBackends();
    const { code, result } = await purgeAgain(config, name);
    assert.deepEqual([code, result.problems.map((problem) => problem.code as string)], [2, ['partition-changed']]);
    assert.deepEqual(
      [await stateOf(name), await sql(`SELECT count(*)::int AS n FROM ${name}`)],
      ['attached', [{ n: ROWS + 1 }]],
    );
    assert.deepEqual(
      await sql(`SELECT conname FROM pg_constraint WHERE conrelid = '${name}_1'::regclass AND contype = 'c'`),
      [],
    );
    assert.equal((await recordOf(name))?.partition?.state, 'attached');
  });
});
