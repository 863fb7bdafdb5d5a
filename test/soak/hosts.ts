/**
 * `npm run soak:hosts`: runs of 200 segments over three workers, with an application that writes into the table, and one thing that
 * goes wrong in the middle of each. Each must be committed, equal to the table as its snapshot shows it, and leave nothing behind;
 * printed is how soon it was noticed. `SEGMENTS=50` makes it shorter, and `ONLY='killed|frozen'` does some of it.
 */
import assert from 'node:assert/strict';
import { rename } from 'node:fs/promises';
import { before, beforeEach, describe, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPostgres } from '../../src/demo/embedded-postgres.ts';
import { layCable, type Cable } from '../support/cable.ts';
import type { CliProcess, LogLine } from '../support/cli.ts';
import { HTTP, NEVER, startDaemon, type TestDaemon, TOKEN } from '../support/daemon.ts';
import { connect, query, testDatabase } from '../support/postgres.ts';
import type { SeenRequest } from '../support/s3-proxy.ts';
import { assertOnlyTheRunIsLeft, segmented } from '../support/segments.ts';
import { openSite, PREFIX, type Site } from '../support/site.ts';

const SEGMENTS = Number(process.env['SEGMENTS'] ?? 200);
const ONLY = new RegExp(process.env['ONLY'] ?? '');
const RUN = '20241123T021500Z';
/** A segment of 64 KiB of the heap. */
const ROWS = SEGMENTS * 900;
const THREADS = 2;
/** What an upload takes, so that a run takes as long as things need to go wrong in it. */
const UPLOAD_MS = 1200;
/** A run that is not over by then hangs. */
const LONGEST_MS = 15 * 60_000;

let site: Site;
let queueUrl: string;

before(async () => {
  site = await openSite();
  await site.database.client.query(
    `CREATE TABLE rows (id bigint PRIMARY KEY, v text NOT NULL, balance int NOT NULL DEFAULT 0);
     INSERT INTO rows SELECT i, md5(i::text) FROM generate_series(1, ${ROWS}) AS i; ANALYZE rows`,
  );
});

beforeEach(async (t) => {
  queueUrl = (await testDatabase(t as TestContext)).url;
  // What was written in the run before, in as many segments as ever.
  await site.database.client.query('VACUUM (FULL, ANALYZE) rows');
});

/** What goes wrong with one of three workers, or with all. */
interface Trouble {
  /** Environment and config of the second worker. */
  prepare?: (t: TestContext) => Promise<{ environment?: Record<string, string>; queueUrl?: string }>;
  /** At this moment. */
  strike: (workers: readonly CliProcess[]) => unknown;
  /** Once the run is over, so that the worker can be stopped. */
  mend?: () => unknown;
  /** What says that it was noticed. */
  signs: RegExp;
  /** Who is gone by then. */
  isDead?: true;
}

const LOST = /a host is lost|is dropped/;
let cable: Cable;
let heldBack: { cancel: () => void } | undefined;

const TROUBLES: Record<string, Trouble> = {
  'a worker is killed': { strike: ([, one]) => one?.kill('SIGKILL'), signs: LOST, isDead: true },
  'a worker is frozen, and thaws': {
    strike: ([, one]) => one?.kill('SIGSTOP'),
    mend: async () => undefined,
    signs: LOST,
  },
  'a worker is cut off from the queue': {
    prepare: async (t) => {
      cable = await cableTo(t, queueUrl);
      return { queueUrl: throughCable(queueUrl) };
    },
    strike: () => cable.cut(),
    mend: () => cable.mend(),
    signs: LOST,
  },
  'a worker is cut off from S3, which does not answer it': {
    prepare: async () => ({ environment: { ACCESS_KEY: 'cut-off' } }),
    strike: () => (heldBack = site.proxy.order('*', { kind: 'stall' }, 1e6, '', 0, isOfCut)),
    mend: () => heldBack?.cancel(),
    signs: /was not done here|segment failed|is lost|takes long|sent again/,
  },
  'a worker is cut off from S3, which resets its connections': {
    prepare: async () => ({ environment: { ACCESS_KEY: 'cut-off' } }),
    strike: () => (heldBack = site.proxy.order('*', { kind: 'reset', afterBytes: 0 }, 1e6, '', 0, isOfCut)),
    mend: () => heldBack?.cancel(),
    signs: /was not done here|segment failed|is lost|sent again/,
  },
  'a worker is cut off from the source': {
    prepare: async (t) => {
      cable = await cableTo(t, site.database.url);
      return { environment: { DATABASE_URL: throughCable(site.database.url) } };
    },
    strike: () => cable.cut(),
    mend: () => cable.mend(),
    signs: /was not done here|segment failed|is lost/,
  },
};

/** The proxy knows whose request it is by the key that it is signed with. */
function isOfCut({ headers }: SeenRequest): boolean {
  return headers.authorization?.includes('Credential=cut-off/') === true;
}

async function cableTo(t: TestContext, url: string): Promise<Cable> {
  const laid = await layCable(Number(new URL(url).port));
  t.after(() => laid.stop());
  return laid;
}

function throughCable(url: string): string {
  return Object.assign(new URL(url), { port: String(cable.port) }).href;
}

async function configOf(changes: object = {}, parts: object = {}): Promise<string> {
  return site.writeConfig({
    archives: {
      soaked: segmented('rows', 'key', '64KiB', {
        segments: { by: 'key', targetSize: '64KiB', on: 'hosts', parallel: 3 * 3 * THREADS },
        retry: { attempts: 20, backoff: '2s' },
        ...changes,
      }),
    },
    hosts: { url: queueUrl, silence: '15s' },
    workers: { threads: THREADS },
    drainTimeout: '10s',
    log: { level: 'debug' },
    ...parts,
  });
}

/** Moves amounts between rows and puts rows in the place of others, until it is stopped: any one snapshot has as many rows and a sum of 0. */
function writeAll(t: TestContext): { stop: () => Promise<number> } {
  const over = new AbortController();
  t.after(() => over.abort());
  const writing = (async () => {
    const client = await connect(site.database.url);
    let written = 0;
    for (let turn = 0; !over.signal.aborted; turn += 1) {
      const [from, to] = [1 + Math.floor(Math.random() * ROWS), 1 + Math.floor(Math.random() * ROWS)];
      await client.query(
        `WITH gone AS (DELETE FROM rows WHERE id = (SELECT id FROM rows WHERE id >= ${from} ORDER BY id LIMIT 1) RETURNING v, balance)
         INSERT INTO rows SELECT (SELECT max(id) + 1 FROM rows), v, balance FROM gone;
         UPDATE rows SET balance = balance + CASE id WHEN ends.low THEN 1 ELSE -1 END
         FROM (SELECT min(id) AS low, max(id) AS high FROM (SELECT id FROM rows WHERE id >= ${to} ORDER BY id LIMIT 2) AS two) AS ends
         WHERE id IN (ends.low, ends.high) AND ends.low < ends.high`,
      );
      written += 1;
      await sleep(2);
    }
    await client.end();
    return written;
  })();
  writing.catch(() => undefined);
  return {
    stop: async () => {
      over.abort();
      return writing;
    },
  };
}

function begunBy({ log }: CliProcess): number {
  return log.filter(({ msg }) => msg === 'a segment begins').length;
}

/** The run is in its middle, and each worker has something to lose. */
async function untilInMiddle(workers: readonly CliProcess[]): Promise<void> {
  const least = Math.ceil(SEGMENTS / 10);
  await until('all workers are at work', async () => workers.every((worker) => begunBy(worker) >= least));
}

async function until(what: string, fits: () => Promise<boolean>): Promise<void> {
  const latest = Date.now() + LONGEST_MS;
  while (!(await fits())) {
    if (Date.now() > latest) throw new Error(`it has not come to pass that ${what}`);
    await sleep(200);
  }
}

/** The first line of each kind that tells of the trouble, and how long after it. */
function tell(t: TestContext, who: string, { log }: CliProcess, sinceMs: number, signs: RegExp): void {
  const seen = new Map<string, { first: number; last: number; times: number }>();
  for (const line of log) {
    const at = timeOf(line) - sinceMs;
    if (at < 0 || !signs.test(line.msg)) continue;
    const { first = at, times = 0 } = seen.get(line.msg) ?? {};
    seen.set(line.msg, { first, last: at, times: times + 1 });
  }
  for (const [msg, { first, last, times }] of seen)
    t.diagnostic(`${who}, after ${inSeconds(first)} to ${inSeconds(last)} s, ${times} times: ${msg}`);
}

function timeOf({ time }: LogLine): number {
  return Date.parse(String(time));
}

function inSeconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}

async function proveRun(t: TestContext, config: string, consistency: 'single-snapshot' | 'resumed'): Promise<void> {
  const manifest = await site.manifest('soaked', RUN);
  assert.equal(manifest?.consistency, consistency);
  assert.ok(manifest.objects.length >= SEGMENTS, `${manifest.objects.length} segments`);
  const lines = (await site.lines('soaked', RUN)).map((line) => JSON.parse(line) as { id: number; balance: number });
  if (consistency === 'single-snapshot') {
    assert.equal(new Set(lines.map(({ id }) => id)).size, ROWS);
    assert.equal(lines.length, ROWS);
    assert.equal(
      lines.reduce((sum, { balance }) => sum + balance, 0),
      0,
    );
    assert.ok(lines.some(({ balance }) => balance !== 0));
  }
  const verified = await site.run(['verify', 'soaked', RUN], config);
  assert.equal(verified.code, 0, verified.stderr);
  await assertOnlyTheRunIsLeft(site, 'soaked', RUN);
  t.diagnostic(`${manifest.objects.length} segments, ${consistency}`);
}

async function assertNothingLeft(url = queueUrl): Promise<void> {
  await until('nothing is in the queue', async () => (await query(url, 'SELECT FROM pgsluice.job')).length === 0);
  await site.waitForNoBackends();
}

async function stopAll(workers: readonly CliProcess[]): Promise<void> {
  for (const worker of workers) worker.kill('SIGTERM');
  for (const worker of workers) assert.equal((await worker.ended()).code, 0, worker.stderr);
}

async function startWorker(config: string, environment: Record<string, string> = {}): Promise<CliProcess> {
  const worker = site.start(['worker'], config, environment);
  await worker.waitForLog('worker is ready');
  return worker;
}

function slowDown(t: TestContext): void {
  site.proxy.order(
    'PutObject',
    { kind: 'delay', ms: UPLOAD_MS },
    1e6,
    '.jsonl.gz',
    0,
    (seen) => heldBack === undefined || !isOfCut(seen),
  );
  t.after(async () => {
    site.proxy.reset();
    await site.removeRun('soaked', RUN);
  });
}

describe(`runs of ${SEGMENTS} segments over three workers`, () => {
  for (const [name, trouble] of Object.entries(TROUBLES).filter(([each]) => ONLY.test(each)))
    test(`are committed when ${name}`, async (t) => {
      const { environment = {}, queueUrl: url = queueUrl } = (await trouble.prepare?.(t)) ?? {};
      const config = await configOf();
      const other = await configOf({}, { hosts: { url, silence: '15s' } });
      const workers = await Promise.all([startWorker(config), startWorker(other, environment), startWorker(config)]);
      slowDown(t);
      const application = writeAll(t);
      const run = site.start(['run', 'soaked', '--run-id', RUN, '--verify-source', '--json'], config);
      await untilInMiddle(workers);
      const strickenMs = Date.now();
      await trouble.strike(workers);
      await until('it was noticed', async () =>
        [run, ...workers].some(({ log }) =>
          log.some((line) => timeOf(line) > strickenMs && trouble.signs.test(line.msg)),
        ),
      );
      await until('the run is over', async () => run.hasEnded);
      const endedMs = Date.now();
      await trouble.mend?.();
      const { code, stdout, stderr } = await run.ended();
      assert.equal(code, 0, `${stdout}\n${stderr.slice(-4000)}`);
      tell(t, 'the run', run, strickenMs, trouble.signs);
      tell(t, 'the worker', workers[1], strickenMs, trouble.signs);
      t.diagnostic(
        `the run was over ${inSeconds(endedMs - strickenMs)} s after it, and the application wrote ${await application.stop()} times`,
      );
      if (name.includes('frozen')) {
        workers[1].kill('SIGCONT');
        await workers[1].waitForLog('a segment is dropped');
      }
      await proveRun(t, config, 'single-snapshot');
      await stopAll(trouble.isDead ? [workers[0], workers[2]] : workers);
      await assertNothingLeft();
    });

  test("are committed when the queue's server restarts", { skip: skipOf('the queue restarts') }, async (t) => {
    const server = await startPostgres();
    t.after(() => server.stop());
    queueUrl = server.url;
    const config = await configOf();
    const workers = await Promise.all([startWorker(config), startWorker(config), startWorker(config)]);
    slowDown(t);
    const application = writeAll(t);
    const run = site.start(['run', 'soaked', '--run-id', RUN, '--verify-source', '--json'], config);
    await untilInMiddle(workers);
    const strickenMs = Date.now();
    server.kill();
    await sleep(3000);
    await server.restart();
    await until('the run is over', async () => run.hasEnded);
    assert.equal((await run.ended()).code, 0);
    for (const [at, each] of [run, ...workers].entries())
      tell(t, at === 0 ? 'the run' : `worker ${at}`, each, strickenMs, /queue|is lost|is dropped/);
    await application.stop();
    await proveRun(t, config, 'single-snapshot');
    await stopAll(workers);
    await assertNothingLeft();
  });

  test(
    'are taken up by a standby when the coordinator is killed',
    { skip: skipOf('the coordinator is killed') },
    async (t) => {
      const parts = { http: HTTP };
      const daemons = await Promise.all(
        [0, 1].map(async () => startDaemon(site, await configOf({ schedule: NEVER }, parts))),
      );
      const [first, second] = daemons as [TestDaemon, TestDaemon];
      const workers = await Promise.all([
        startWorker(first.config),
        startWorker(first.config),
        startWorker(first.config),
      ]);
      slowDown(t);
      const application = writeAll(t);
      await orderRun(first);
      await first.until('soaked', ({ current }) => (current?.segmentsDone ?? 0) > 0);
      await orderRun(second);
      await second.until('soaked', ({ state }) => state === 'standby');
      await untilInMiddle(workers);
      const strickenMs = Date.now();
      first.cli.kill('SIGKILL');
      await until('the run is committed', async () => (await second.archive('soaked')).lastSuccess?.run === RUN);
      for (const [at, worker] of workers.entries())
        tell(t, `worker ${at + 1}`, worker, strickenMs, /is dropped|is left/);
      tell(t, 'the standby', second.cli, strickenMs, /taken up|run committed/);
      await application.stop();
      await proveRun(t, second.config, 'resumed');
      await second.stop();
      await stopAll(workers);
      await until(
        'nothing is in the queue',
        async () => (await query(queueUrl, "SELECT FROM pgsluice.job WHERE name LIKE 'tasks/%'")).length === 0,
      );
      await site.waitForNoBackends();
      await site.removeRun('soaked', RUN);
    },
  );

  test(
    'stay where they began when all hosts are reloaded with another place, and one is killed then',
    { skip: skipOf('all hosts are reloaded') },
    async (t) => {
      const daemon = await startDaemon(site, await configOf({ schedule: NEVER }, { http: HTTP }));
      const configs = await Promise.all([configOf(), configOf(), configOf()]);
      const [one, two, three] = configs;
      const workers = await Promise.all([startWorker(one), startWorker(two), startWorker(three)]);
      slowDown(t);
      const application = writeAll(t);
      await orderRun(daemon);
      await untilInMiddle(workers);
      const destinations = { default: site.destination({ url: 's3://archive/other' }) };
      await rename(await configOf({ schedule: NEVER }, { http: HTTP, destinations }), daemon.config);
      for (const config of configs) await rename(await configOf({}, { destinations }), config);
      for (const each of [daemon.cli, ...workers]) {
        each.kill('SIGHUP');
        await each.waitForLog('config reloaded');
      }
      workers[1].kill('SIGKILL');
      await until('the run is committed', async () => (await daemon.archive('soaked')).lastSuccess?.run === RUN);
      await application.stop();
      assert.deepEqual(
        (await site.keys()).filter((key) => !key.startsWith(PREFIX)),
        [],
      );
      await proveRun(t, await configOf(), 'single-snapshot');
      await daemon.stop();
      await stopAll([workers[0], workers[2]]);
      await assertNothingLeft();
    },
  );
});

function skipOf(name: string): string | false {
  return ONLY.test(name) ? false : 'ONLY leaves it out';
}

async function orderRun(daemon: TestDaemon): Promise<void> {
  const headers = { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' };
  const { status, body } = await daemon.post('/api/archives/soaked/run', headers, JSON.stringify({ runId: RUN }));
  assert.ok(status < 300, body);
}
