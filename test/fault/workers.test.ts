import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Failure } from '../../src/base/errors.ts';
import type { CliProcess } from '../support/cli.ts';
import { testDatabase, type TestDatabase } from '../support/postgres.ts';
import { assertEachOnce, assertOnlyTheRunIsLeft, createRows, idsOf, segmented } from '../support/segments.ts';
import { openSite, type Site } from '../support/site.ts';

const RUN = '20241123T021500Z';
const ROWS = 8000;
let site: Site;
let queue: TestDatabase;

before(async () => {
  site = await openSite();
  queue = await testDatabase();
  await createRows(site, 'rows', ROWS);
});

async function configOf(archive: string, changes: object = {}, hosts: object = {}): Promise<string> {
  return site.writeConfig({
    archives: {
      [archive]: segmented('rows', 'key', '64KiB', {
        segments: { by: 'key', targetSize: '64KiB', on: 'hosts', parallel: 8 },
        ...changes,
      }),
    },
    hosts: { url: queue.url, silence: '15s', ...hosts },
    workers: { threads: 2 },
    drainTimeout: '5s',
    log: { level: 'debug' },
  });
}

/** Segments that a worker says it has begun, in their order. */
function begunBy({ log }: CliProcess): number[] {
  return log.filter(({ msg }) => msg === 'a segment begins').map(({ segment }) => Number(segment));
}

/** Nothing of a run is in the queue any more. */
async function assertQueueEmpty(): Promise<void> {
  const { rows } = await queue.client.query<{ name: string; state: string }>('SELECT name, state FROM pgsluice.job');
  assert.deepEqual(rows, []);
}

async function startWorker(config: string): Promise<CliProcess> {
  const worker = site.start(['worker'], config);
  await worker.waitForLog('worker is ready');
  return worker;
}

describe('segments on other hosts', () => {
  test('are done by a worker, and committed and verified as any others', async () => {
    const config = await configOf('plain');
    const worker = await startWorker(config);
    const [result] = await site.archive(['plain', '--run-id', RUN], config);
    assert.equal(result?.status, 'committed', JSON.stringify(result?.error));
    assertEachOnce(await idsOf(site, 'plain', RUN), ROWS);
    assert.equal((await site.run(['verify', 'plain', RUN], config)).code, 0);
    const manifest = await site.manifest('plain', RUN);
    assert.equal(manifest?.consistency, 'single-snapshot');
    assert.deepEqual(
      begunBy(worker).toSorted((a, b) => a - b),
      manifest.objects.map((_, at) => at),
    );
    await assertQueueEmpty();
    worker.kill('SIGTERM');
    assert.equal((await worker.ended()).code, 0);
    await assertOnlyTheRunIsLeft(site, 'plain', RUN);
  });

  test('go on when one worker is killed and one is frozen, under the same snapshot; what the frozen one still does counts for nothing', async (t) => {
    site.proxy.order('PutObject', { kind: 'delay', ms: 700 }, 10_000, '.jsonl.gz');
    t.after(() => site.proxy.reset());
    const config = await configOf('deaths');
    const [killed, frozen, living] = await Promise.all([startWorker(config), startWorker(config), startWorker(config)]);
    const run = site.start(['run', 'deaths', '--run-id', RUN, '--json'], config);
    for (const worker of [killed, frozen, living]) await worker.waitForLog('a segment begins', 2);
    killed.kill('SIGKILL');
    frozen.kill('SIGSTOP');
    const lost = await run.waitForLog('a host is lost');
    assert.ok((lost['failure'] as Failure).code === 'host-lost');
    const { code, stdout } = await run.ended();
    assert.equal(code, 0, stdout);
    frozen.kill('SIGCONT');
    await frozen.waitForLog('a segment is dropped');
    const manifest = await site.manifest('deaths', RUN);
    assert.equal(manifest?.consistency, 'single-snapshot');
    assertEachOnce(await idsOf(site, 'deaths', RUN), ROWS);
    for (const worker of [frozen, living]) worker.kill('SIGTERM');
    assert.deepEqual([(await frozen.ended()).code, (await living.ended()).code], [0, 0]);
    assert.equal((await site.run(['verify', 'deaths', RUN], config)).code, 0);
    await assertOnlyTheRunIsLeft(site, 'deaths', RUN);
    await assertQueueEmpty();
    await site.waitForNoBackends();
  });

  test('wait for a worker, and are in a queue that holds no secret; one of another version, or with another config, takes none', async (t) => {
    const role = `${site.database.name}_worker`;
    const secret = 'canary-4711';
    await site.database.client.query(`CREATE ROLE ${role} SUPERUSER LOGIN PASSWORD '${secret}'`);
    t.after(() => site.database.client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`));
    const url = new URL(site.database.url);
    Object.assign(url, { username: role, password: secret });
    const environment = { DATABASE_URL: url.href, SECRET_KEY: secret, ACCESS_KEY: `${secret}-key` };
    const config = await configOf('secrets', { where: "v <> 'canary-4711-filter'" });
    const run = site.start(['run', 'secrets', '--run-id', RUN], config, environment);
    await run.waitForLog('segments wait for a host');
    const dump = await dumpQueue();
    assert.match(dump, /pgsluice\/job\/1/);
    assert.doesNotMatch(dump, /canary/);
    for (const secretUrl of [url.href, queue.url]) assert.ok(!dump.includes(secretUrl));
    // It logs in by another role: the rows that it may see are others.
    const stranger = await startWorker(config);
    const refused = await stranger.waitForLog('a segment was not done here');
    assert.ok((refused['failure'] as Failure).code === 'host-differs');
    assert.match((refused['failure'] as Failure).message, /role of the source/);
    stranger.kill('SIGTERM');
    assert.equal((await stranger.ended()).code, 0);
    const worker = site.start(['worker'], config, environment);
    assert.equal((await run.ended()).code, 0);
    assertEachOnce(await idsOf(site, 'secrets', RUN), ROWS);
    assert.ok(begunBy(worker).length > 0);
    await assertQueueEmpty();
  });
});

/** All that the queue's schema holds, as text. */
async function dumpQueue(): Promise<string> {
  const { rows: tables } = await queue.client.query<{ name: string }>(
    `SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'pgsluice' AND c.relkind IN ('r', 'p')`,
  );
  const texts: string[] = [];
  for (const { name } of tables) {
    const { rows } = await queue.client.query<{ row: string }>(`SELECT to_json(t)::text AS row FROM ${name} AS t`);
    texts.push(...rows.map(({ row }) => row));
  }
  return texts.join('\n');
}
