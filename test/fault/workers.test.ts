import assert from 'node:assert/strict';
import { mkdir, rename } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { before, beforeEach, describe, test, type TestContext } from 'node:test';
import type { Failure } from '../../src/base/errors.ts';
import { verifyCommand } from '../../src/commands/verify.ts';
import { startPostgres } from '../../src/demo/embedded-postgres.ts';
import { type Cable, layCable } from '../support/cable.ts';
import { type CliProcess, type LogLine, startCli } from '../support/cli.ts';
import { HTTP, NEVER, startDaemon, type TestDaemon, TOKEN } from '../support/daemon.ts';
import { commandInProcess } from '../support/in-process.ts';
import { programOfVersion } from '../support/other-version.ts';
import { query, testDatabase, type TestDatabase } from '../support/postgres.ts';
import type { SeenRequest } from '../support/s3-proxy.ts';
import { assertEachOnce, assertOnlyTheRunIsLeft, createRows, idsOf, segmented } from '../support/segments.ts';
import { openSite, type Site } from '../support/site.ts';

const RUN = '20241123T021500Z';
const ROWS = 8000;
/** Where it does not matter how many segments a worker has at a time: each takes as long to start as it has work. */
const ONE_THREAD = { workers: { threads: 1 } };
let site: Site;
let queue: TestDatabase;

before(async () => {
  site = await openSite();
  await createRows(site, 'rows', ROWS);
});

async function configOf(archive: string, changes: object = {}, parts: object = {}): Promise<string> {
  return site.writeConfig({
    archives: {
      [archive]: segmented('rows', 'key', '64KiB', {
        segments: { by: 'key', targetSize: '64KiB', on: 'hosts', parallel: 8 },
        ...changes,
      }),
    },
    hosts: { url: queue.url, silence: '15s' },
    workers: { threads: 2 },
    drainTimeout: '5s',
    log: { level: 'debug' },
    ...parts,
  });
}

/** Segments that a worker says it has begun, in their order. */
function begunBy({ log }: CliProcess): number[] {
  return log.filter(({ msg }) => msg === 'a segment begins').map(({ segment }) => Number(segment));
}

/** Nothing of a run is in the queue any more. */
async function assertQueueEmpty(url = queue.url, names = '%'): Promise<void> {
  const rows = await query<{ name: string; state: string }>(
    url,
    `SELECT name, state FROM pgsluice.job WHERE name LIKE '${names}'`,
  );
  assert.deepEqual(rows, []);
}

async function startWorker(config: string, environment: Record<string, string> = {}): Promise<CliProcess> {
  const worker = site.start(['worker'], config, environment);
  await worker.waitForLog('worker is ready');
  return worker;
}

async function stopWorker(worker: CliProcess): Promise<void> {
  worker.kill('SIGTERM');
  const { code, stderr } = await worker.ended();
  assert.equal(code, 0, stderr);
}

async function verify(config: string, archive: string): Promise<{ code: number }> {
  return commandInProcess(site, config, (invocation) => verifyCommand(invocation, archive, { run: RUN }));
}

/** So that a run takes its time. */
function slowDown(t: TestContext): void {
  site.proxy.order('PutObject', { kind: 'delay', ms: 700 }, 10_000, '.jsonl.gz');
  t.after(() => site.proxy.reset());
}

/** For the report: how long after `sinceMs` a process said these lines. */
function tellTimes(t: TestContext, what: string, sinceMs: number, lines: readonly LogLine[]): void {
  const seconds = lines.map(({ time }) => ((Date.parse(String(time)) - sinceMs) / 1000).toFixed(1));
  t.diagnostic(`${what}: ${seconds.join(', ')} s`);
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

function throughCable(url: string, { port }: Cable): string {
  const through = new URL(url);
  through.port = String(port);
  return through.href;
}

async function orderRun(daemon: TestDaemon, archive: string): Promise<void> {
  const headers = { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' };
  const { status, body } = await daemon.post(`/api/archives/${archive}/run`, headers, JSON.stringify({ runId: RUN }));
  assert.ok(status < 300, body);
}

beforeEach(async (t) => {
  queue = await testDatabase(t as TestContext);
});

describe('segments on other hosts', () => {
  test('are done by workers, committed and verified as any others, also by what is left when one is cut off from the destination', async () => {
    const config = await configOf('plain', { retry: { attempts: 5, backoff: '100ms' } }, ONE_THREAD);
    // Its requests are told apart by its key.
    const isOfCut = ({ headers }: SeenRequest): boolean =>
      headers.authorization?.includes('Credential=cut-off/') === true;
    const held = Promise.withResolvers<undefined>();
    site.proxy.order(
      'PutObject',
      { kind: 'hold', until: held.promise },
      10_000,
      '.jsonl.gz',
      0,
      (seen) => !isOfCut(seen),
    );
    site.proxy.order('PutObject', { kind: 'reset', afterBytes: 1 }, 10_000, '.jsonl.gz', 0, isOfCut);
    const [worker, cut] = await Promise.all([startWorker(config), startWorker(config, { ACCESS_KEY: 'cut-off' })]);
    const run = site.start(['run', 'plain', '--run-id', RUN, '--json'], config);
    const failed = await cut.waitForLog('a segment was not done here');
    assert.equal((failed['failure'] as Failure).code, 'connection-lost');
    // So does who looks at the run see which host is in trouble.
    const told = await run.waitForLog('a request to the destination failed, and is sent again');
    assert.match((told['failure'] as Failure).message, new RegExp(`\\(on ${os.hostname()}\\)$`));
    held.resolve(undefined);
    const { code, stdout } = await run.ended();
    assert.equal(code, 0, stdout);
    site.proxy.reset();
    assertEachOnce(await idsOf(site, 'plain', RUN), ROWS);
    assert.equal((await verify(config, 'plain')).code, 0);
    const manifest = await site.manifest('plain', RUN);
    assert.equal(manifest?.consistency, 'single-snapshot');
    assert.deepEqual(
      begunBy(worker).toSorted((a, b) => a - b),
      manifest.objects.map((_, at) => at),
    );
    await assertQueueEmpty();
    for (const each of [worker, cut]) await stopWorker(each);
    await assertOnlyTheRunIsLeft(site, 'plain', RUN);
    await site.waitForNoBackends();
  });

  test('go on when one worker is killed and one is frozen, under the same snapshot; what the frozen one still does counts for nothing', async (t) => {
    slowDown(t);
    const config = await configOf('deaths');
    const [killed, frozen, living] = await Promise.all([startWorker(config), startWorker(config), startWorker(config)]);
    const run = site.start(['run', 'deaths', '--run-id', RUN, '--json'], config);
    for (const worker of [killed, frozen, living]) await worker.waitForLog('a segment begins', 2);
    const killedMs = Date.now();
    killed.kill('SIGKILL');
    frozen.kill('SIGSTOP');
    const lost = await run.waitForLog('a host is lost');
    assert.ok((lost['failure'] as Failure).code === 'host-lost');
    const { code, stdout } = await run.ended();
    assert.equal(code, 0, stdout);
    const noticed = run.log.filter(({ msg }) => msg.startsWith('a host is lost'));
    tellTimes(
      t,
      'from the end or the freeze of two workers until their segments were given to others',
      killedMs,
      noticed,
    );
    frozen.kill('SIGCONT');
    await frozen.waitForLog('a segment is dropped');
    const manifest = await site.manifest('deaths', RUN);
    assert.equal(manifest?.consistency, 'single-snapshot');
    assertEachOnce(await idsOf(site, 'deaths', RUN), ROWS);
    for (const worker of [frozen, living]) worker.kill('SIGTERM');
    assert.deepEqual([(await frozen.ended()).code, (await living.ended()).code], [0, 0]);
    assert.equal((await verify(config, 'deaths')).code, 0);
    await assertOnlyTheRunIsLeft(site, 'deaths', RUN);
    await assertQueueEmpty();
    await site.waitForNoBackends();
  });

  test('are dropped by the workers when their coordinator is killed, and a standby goes on with the run', async (t) => {
    const held = Promise.withResolvers<undefined>();
    site.proxy.order('PutObject', { kind: 'hold', until: held.promise }, 1, 'part-00000.jsonl.gz');
    slowDown(t);
    t.after(() => held.resolve(undefined));
    const daemon = { schedule: NEVER };
    const [first, second] = await Promise.all([
      startDaemon(site, await configOf('headless', daemon, { http: HTTP })),
      startDaemon(site, await configOf('headless', daemon, { http: HTTP })),
    ]);
    const worker = await startWorker(first.config);
    await orderRun(first, 'headless');
    await first.until('headless', ({ current }) => (current?.segmentsDone ?? 0) > 0);
    await orderRun(second, 'headless');
    await second.until('headless', ({ state }) => state === 'standby');
    const killedMs = Date.now();
    first.cli.kill('SIGKILL');
    const dropped = await worker.waitForLog('a segment is dropped: nobody leads its run any more');
    assert.equal(dropped['segment'], 0);
    tellTimes(t, 'from the end of the coordinator until the worker dropped its segment', killedMs, [dropped]);
    held.resolve(undefined);
    await second.until('headless', ({ current, lastSuccess }) => current === null && lastSuccess?.run === RUN);
    assertEachOnce(await idsOf(site, 'headless', RUN), ROWS);
    assert.equal((await verify(second.config, 'headless')).code, 0);
    await second.stop();
    await stopWorker(worker);
    await assertOnlyTheRunIsLeft(site, 'headless', RUN);
    // What was said to the dead one goes a minute later, with its inbox: see integration/work/hosts.test.ts.
    await assertQueueEmpty(queue.url, 'tasks/%');
    await site.waitForNoBackends();
  });

  test('go on when the queue restarts, and when workers are cut off from the queue and from the source', async (t) => {
    slowDown(t);
    const server = await startPostgres();
    t.after(() => server.stop());
    const cables = await Promise.all([layCable(server.port), layCable(portOf(site.database.url))]);
    t.after(() => Promise.all(cables.map((cable) => cable.stop())));
    const [toQueue, toSource] = cables;
    const config = await configOf('cut', {}, { hosts: { url: server.url, silence: '15s' } });
    const withoutQueue = await configOf(
      'cut',
      {},
      { hosts: { url: throughCable(server.url, toQueue), silence: '15s' } },
    );
    const workers = await Promise.all([
      startWorker(config),
      startWorker(withoutQueue),
      startWorker(config, { DATABASE_URL: throughCable(site.database.url, toSource) }),
    ]);
    const [living, noQueue, noSource] = workers;
    const run = site.start(['run', 'cut', '--run-id', RUN], config);
    for (const worker of workers) await worker.waitForLog('a segment begins', 2);
    server.kill();
    await server.restart();
    for (const worker of workers) await worker.waitForLog('the queue of hosts.url answers again');
    const cutMs = Date.now();
    toQueue.cut();
    toSource.cut();
    const dropped = await noQueue.waitForLog('the queue took no sign of this host for too long');
    tellTimes(t, 'from the cut to the queue until the worker dropped its segments', cutMs, [dropped]);
    const noticed = await run.waitForLog('a host is lost');
    tellTimes(t, 'from the cut to the queue until they were given to others', cutMs, [noticed]);
    toSource.mend();
    toQueue.mend();
    assert.equal((await run.ended()).code, 0);
    const manifest = await site.manifest('cut', RUN);
    assert.equal(manifest?.consistency, 'single-snapshot');
    assertEachOnce(await idsOf(site, 'cut', RUN), ROWS);
    for (const worker of [living, noQueue, noSource]) await stopWorker(worker);
    await assertOnlyTheRunIsLeft(site, 'cut', RUN);
    await assertQueueEmpty(server.url);
    await site.waitForNoBackends();
  });

  test('wait for a worker, and are in a queue that holds no secret; one of another version, or with another config, takes none; the latter does once it has reloaded', async (t) => {
    const role = `${site.database.name}_worker`;
    const secret = 'canary-4711';
    await site.database.client.query(`CREATE ROLE ${role} SUPERUSER LOGIN PASSWORD '${secret}'`);
    t.after(() => site.database.client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`));
    const url = new URL(site.database.url);
    Object.assign(url, { username: role, password: secret });
    const environment = { DATABASE_URL: url.href, SECRET_KEY: secret, ACCESS_KEY: `${secret}-key` };
    // What is refused is no attempt.
    const config = await configOf(
      'secrets',
      { where: "v <> 'canary-4711-filter'", retry: { attempts: 1 } },
      ONE_THREAD,
    );
    const folder = path.join(site.folder, 'older');
    await mkdir(folder);
    const older = startCli(
      ['worker', '--config', config],
      { ...site.environment, ...environment },
      await programOfVersion('0.0.1', folder),
    );
    await older.waitForLog('worker is ready');
    const run = site.start(['run', 'secrets', '--run-id', RUN], config, environment);
    const waits = await run.waitForLog('segments wait for a host');
    assert.deepEqual(waits['otherVersions'], [`${os.hostname()} (0.0.1)`]);
    const dump = await dumpQueue();
    assert.match(dump, /pgsluice\/job\/1/);
    assert.doesNotMatch(dump, /canary/);
    for (const secretUrl of [url.href, queue.url]) assert.ok(!dump.includes(secretUrl));
    // It logs in by another role: the rows that it may see are others.
    const strangerConfig = await configOf('secrets', { where: "v <> 'canary-4711-filter'" }, ONE_THREAD);
    const stranger = await startWorker(strangerConfig);
    const refused = await stranger.waitForLog('a segment was not done here');
    assert.ok((refused['failure'] as Failure).code === 'host-differs');
    assert.match((refused['failure'] as Failure).message, /role of the source/);
    await rename(await configOf('secrets', {}, { sources: { default: { url: url.href } } }), strangerConfig);
    stranger.kill('SIGHUP');
    await stranger.waitForLog('config reloaded');
    assert.equal((await run.ended()).code, 0);
    assertEachOnce(await idsOf(site, 'secrets', RUN), ROWS);
    assert.deepEqual(begunBy(older), []);
    for (const worker of [older, stranger]) await stopWorker(worker);
    await assertQueueEmpty();
  });

  test('wait for a worker that waits for the queue, and is reloaded and stopped meanwhile as any other', async () => {
    const config = await configOf('waiting', {}, { hosts: { url: 'postgres://nobody@127.0.0.1:1/none' } });
    const worker = site.start(['worker'], config);
    await worker.waitForLog('the queue of hosts.url cannot be used');
    worker.kill('SIGHUP');
    await worker.waitForLog('config reloaded');
    await stopWorker(worker);
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
