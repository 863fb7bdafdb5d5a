/**
 * Runs that are killed at any instant, and gone on with by the same command. Each run of the tests takes other instants.
 * PGSLUICE_TEST_KILLS says how many, about; `.ci/run` makes it thirty, which kill at every one of the early ones.
 */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { verifyCommand, type VerifyCommandOptions } from '../../src/commands/verify.ts';
import type { Manifest } from '../../src/ledger/manifest.ts';
import { type CliProcess, eventually, withDeadline } from '../support/cli.ts';
import { commandInProcess, runInProcess, type RunInProcess } from '../support/in-process.ts';
import { openRandom } from '../support/random.ts';
import {
  assertEachOnce,
  assertOnlyTheRunIsLeft,
  createRows,
  idsOf,
  segmented,
  uploadedInVain,
  uploadsBegun,
} from '../support/segments.ts';
import { startProxy, type S3Proxy } from '../support/s3-proxy.ts';
import { createWideTable, openSite, type Site } from '../support/site.ts';

const KILLS = Number(process.env['PGSLUICE_TEST_KILLS'] ?? 8);
const IS_LONG = KILLS >= 30;
/** Of runs by key: the early instants are shared out among three, of which the short loop makes one. */
const KEY_RUNS = IS_LONG ? 3 : 1;
const PART_KILLS = IS_LONG ? 7 : 2;
const PAGE_RUNS = IS_LONG ? 2 : 1;

const ROWS = 20_000;
/** So many that some are left at the last kill; of more than 5 MiB each, so that each has several parts. */
const WIDE_SEGMENTS = Math.max(5, 2 * PART_KILLS);
/** Of 10 kB each. */
const WIDE_ROWS = WIDE_SEGMENTS * 572;
const PARALLEL = 2;

const random = openRandom();
let site: Site;
let kills = 0;

/** A stall is noticed after more than a minute; the loop runs meanwhile, and this one through a proxy of its own. */
let stalled: Promise<RunInProcess>;
let stalling: S3Proxy;

/** When to kill: resolves at that instant; `over` aborts when the process has ended by itself. */
type Instant = (over: AbortSignal) => Promise<void>;

/** At the n-th request of that kind: as it comes in (and it is held up), or once its answer was sent. */
function atRequest(operation: string, keyPart: RegExp, count: number, phase: 'begun' | 'answered'): Instant {
  return async (over) => {
    const { length } = site.proxy.requests;
    const isReached = (): boolean => {
      const seen = site.proxy.requests
        .slice(length)
        .filter((request) => request.operation === operation && keyPart.test(request.key));
      return phase === 'begun' ? seen.length >= count : seen.filter(({ status }) => status === 200).length >= count;
    };
    await site.proxy.until(isReached, over);
  };
}

/** The request is done, and its answer gets lost: the killed process never knew. */
function atLostAnswer(operation: string, keyEnd: string): Instant {
  return async () => {
    await site.proxy.order(operation, { kind: 'lose-answer' }, 1, keyEnd).firstHit;
  };
}

function afterMs(ms: number): Instant {
  return async () => {
    await sleep(ms);
  };
}

const PART = /\/part-\d+\.jsonl/;
const RECEIPT = /\/_pgsluice\/part-\d+\.json$/;
const PLAN = /\/plan\.json$/;
const MANIFEST = /\/_manifest\.json$/;

/** Instants before the last segment is done; each lets a run come a little further, and some need the one before. */
const EARLY: (() => Instant)[][] = [
  [() => atRequest('ListMultipartUploads', /^$/, 1, 'begun')],
  [() => atRequest('PutObject', PLAN, 1, 'begun')],
  [() => atRequest('PutObject', PLAN, 1, 'answered'), () => atRequest('GetObject', PLAN, 1, 'answered')],
  [() => atRequest('PutObject', PART, random.integer(1, 3), 'begun')],
  [() => atRequest('PutObject', PART, random.integer(1, 3), 'answered')],
  [() => atRequest('PutObject', RECEIPT, random.integer(1, 3), 'begun')],
  [() => atRequest('PutObject', RECEIPT, random.integer(1, 3), 'answered')],
  [() => atLostAnswer('PutObject', '.jsonl.gz')],
  [() => afterMs(random.integer(100, 700))],
];
/** Instants from the last receipt to the end. */
const LATE: (() => Instant)[] = [
  () => atRequest('HeadObject', MANIFEST, 1, 'begun'),
  () => atRequest('PutObject', MANIFEST, 1, 'begun'),
  () => atLostAnswer('PutObject', '_manifest.json'),
  () => atRequest('PutObject', MANIFEST, 1, 'answered'),
  () => atRequest('DeleteObjects', /^$/, 1, 'begun'),
  () => atRequest('DeleteObjects', /^$/, 1, 'answered'),
];

/** Runs the same command again and again, killed at each of the instants, and then to its end. Returns the kills. */
async function runThroughKills(
  config: string,
  archive: string,
  run: string,
  instants: readonly Instant[],
): Promise<number> {
  let killed = 0;
  for (const instant of instants) {
    const cli = site.start(['run', archive, '--run-id', run, '--json'], config);
    if (!(await killAt(cli, instant))) {
      const { code, stderr } = await cli.ended();
      assert.equal(code, 0, stderr);
      return killed;
    }
    killed += 1;
  }
  await waitForNoBackends(archive);
  const { result } = await runInProcess(site, config, archive, run);
  assert.notEqual(result.status, 'failed', JSON.stringify(result.error));
  return killed;
}

/** Whether the process was killed; false when it had ended before. */
async function killAt(cli: CliProcess, instant: Instant): Promise<boolean> {
  const over = new AbortController();
  const ended = cli.ended().then(() => {
    over.abort();
  });
  await Promise.race([withDeadline(instant(over.signal), () => 'the instant did not come'), ended]);
  if (!over.signal.aborted) cli.kill('SIGKILL');
  const { signal } = await cli.ended();
  await ended;
  return signal === 'SIGKILL';
}

async function waitForNoBackends(archive: string): Promise<void> {
  await eventually('no backend is left', async () => (await site.backends(`pgsluice ${archive}%`)).length === 0);
}

async function assertVerified(config: string, archive: string, options: VerifyCommandOptions): Promise<string> {
  const { code, stdout } = await commandInProcess(site, config, (invocation) =>
    verifyCommand(invocation, archive, options),
  );
  assert.equal(code, 0, stdout);
  return stdout;
}

async function assertCommittedOnce(archive: string, run: string, rows: number, objects = 20): Promise<Manifest> {
  const manifest = await site.manifest(archive, run);
  assert.ok(manifest !== undefined && manifest.objects.length >= objects, `${manifest?.objects.length} objects`);
  assertEachOnce(await idsOf(site, archive, run), rows);
  await assertOnlyTheRunIsLeft(site, archive, run);
  return manifest;
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, order: random.integer(0, 1e6) }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
}

/** So many of them, in their order. */
function some<T>(items: readonly T[], count: number): T[] {
  const chosen = new Set(shuffled(items).slice(0, count));
  return items.filter((item) => chosen.has(item));
}

function nextRunId(at: number): string {
  return `202611${String(10 + at).padStart(2, '0')}T021500Z`;
}

before(async () => {
  site = await openSite();
  await createRows(site, 'rows', ROWS);
  await createWideTable(site, 'wide', WIDE_ROWS);
  await site.database.client.query('ANALYZE wide');
  stalling = await startProxy(site.s3);
  stalling.order('UploadPart', { kind: 'stall' }, 1, 'part-00001.jsonl');
  const destinations = { default: site.destination({ endpoint: stalling.endpoint }) };
  const config = await site.writeConfig({
    destinations,
    archives: { stalled: await inSegments('wide', WIDE_SEGMENTS) },
  });
  stalled = runInProcess(site, config, 'stalled', nextRunId(0), 'stalled');
});
after(async () => {
  await stalling.stop();
});

/** An archive that cuts a table of wide rows into about so many segments of several MiB each. */
async function inSegments(table: string, count: number): Promise<object> {
  const { rows } = await site.database.client.query<{ bytes: string }>(`SELECT pg_table_size('${table}') AS bytes`);
  const target = String(Math.floor(Number(rows[0]!.bytes) / (count + 0.4)));
  return segmented(table, 'key', target, { compression: { codec: 'none' } });
}

describe('a run that is killed at any instant, and started again with the same command', () => {
  const early = shuffled(EARLY);
  for (const [at, late] of shuffled(LATE).slice(0, KEY_RUNS).entries()) {
    test(`by key, goes on from its receipts until it commits, and does only again what was in flight, ${at}`, async (t) => {
      t.diagnostic(`PGSLUICE_TEST_SEED=${random.seed}`);
      const config = await site.writeConfig({ archives: { by_key: segmented('rows', 'key', '64KiB') } });
      const run = nextRunId(at);
      site.proxy.reset();
      const killed = await runThroughKills(
        config,
        'by_key',
        run,
        [...early.filter((_, index) => index % 3 === at).flat(), late].map((make) => make()),
      );
      const { objects, consistency, snapshots } = await assertCommittedOnce('by_key', run, ROWS);
      const begun = uploadsBegun(site.proxy.requests, 'by_key').length;
      assert.deepEqual(uploadedInVain(site.proxy.requests, 'by_key'), [], 'a segment with a receipt was done again');
      assert.ok(begun - objects.length <= killed * PARALLEL, `${begun} uploads of ${objects.length}, ${killed} kills`);
      assert.equal(consistency, snapshots === undefined ? 'single-snapshot' : 'resumed');
      kills += killed;
      t.diagnostic(`${killed} kills, ${begun - objects.length} of ${objects.length} segments done again`);
    });
  }

  test('by key, holds what verify proves', async () => {
    const config = await site.writeConfig({ archives: { by_key: segmented('rows', 'key', '64KiB') } });
    await assertVerified(config, 'by_key', { run: nextRunId(0) });
  });

  test('by key, in several parts each, leaves no unfinished upload', async (t) => {
    const config = await site.writeConfig({ archives: { parts: await inSegments('wide', WIDE_SEGMENTS) } });
    site.proxy.reset();
    const run = nextRunId(0);
    const instants = [
      atRequest('CreateMultipartUpload', PART, 1, 'begun'),
      atRequest('CreateMultipartUpload', PART, 2, 'answered'),
      atRequest('UploadPart', PART, random.integer(1, 4), 'begun'),
      atRequest('UploadPart', PART, random.integer(1, 4), 'answered'),
      atRequest('CompleteMultipartUpload', PART, random.integer(1, 2), 'begun'),
      atLostAnswer('CompleteMultipartUpload', '.jsonl'),
      atRequest('CompleteMultipartUpload', PART, random.integer(1, 2), 'answered'),
    ];
    const killed = await runThroughKills(config, 'parts', run, some(instants, PART_KILLS));
    const { objects } = await assertCommittedOnce('parts', run, WIDE_ROWS, WIDE_SEGMENTS);
    assert.ok(site.proxy.seen('UploadPart').length >= 2 * objects.length);
    const begun = uploadsBegun(site.proxy.requests, 'parts').length;
    assert.deepEqual(uploadedInVain(site.proxy.requests, 'parts'), []);
    assert.ok(begun - objects.length <= killed * PARALLEL, `${begun} uploads of ${objects.length}, ${killed} kills`);
    kills += killed;
    t.diagnostic(
      `${killed} kills, ${begun - objects.length} segments done again, ${site.proxy.seen('AbortMultipartUpload').length} uploads aborted`,
    );
  });

  test('by pages, is planned again each time, and commits under one snapshot', async () => {
    const config = await site.writeConfig({ archives: { by_pages: segmented('rows', 'pages', '64KiB') } });
    for (const [at, late] of some([LATE[1]!(), LATE[4]!()], PAGE_RUNS).entries()) {
      site.proxy.reset();
      const run = nextRunId(at);
      const early = [
        atRequest('PutObject', PART, random.integer(1, 9), 'answered'),
        atRequest('PutObject', RECEIPT, random.integer(1, 15), 'answered'),
      ];
      kills += await runThroughKills(config, 'by_pages', run, [...some(early, PAGE_RUNS), late]);
      assert.equal((await assertCommittedOnce('by_pages', run, ROWS)).consistency, 'single-snapshot');
    }
  });

  test('into a folder, leaves no temporary file', async (t: TestContext) => {
    const folder = path.join(site.folder, 'srv');
    const config = await site.writeConfig({
      destinations: { default: { url: `file://${folder}` } },
      archives: { folder: segmented('rows', 'key', '64KiB') },
    });
    const run = nextRunId(0);
    kills += await runThroughKills(
      config,
      'folder',
      run,
      Array.from({ length: Math.max(2, KILLS + 2 - kills) }, () => afterMs(random.integer(150, 600))),
    );
    const files = (await readdir(path.join(folder, 'folder'), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map(({ name }) => name)
      .sort();
    assert.ok(files.length > 20);
    assert.deepEqual(files, [
      '_head.json',
      '_manifest.json',
      ...Array.from({ length: files.length - 2 }, (_, at) => `part-${String(at).padStart(5, '0')}.jsonl.gz`),
    ]);
    const { rows } = JSON.parse(await assertVerified(config, 'folder', {})) as { rows: number };
    assert.equal(rows, ROWS);
    await assertVerified(config, 'folder', { chain: true });
    t.diagnostic(`${kills} kills in all`);
  });

  test('was killed as often as was asked for, and left no backend behind', async () => {
    assert.ok(kills >= KILLS, `${kills} kills`);
    await waitForNoBackends('by_');
  });
});

describe('a request that is never answered', () => {
  test('is given up after a while, and the run of many segments commits', { timeout: 150_000 }, async () => {
    const { result } = await stalled;
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    assert.equal(stalling.seen('UploadPart').length, 2 * result.objects + 1, 'one part was sent again');
    assert.deepEqual(stalling.pendingUploads(), []);
    await assertCommittedOnce('stalled', nextRunId(0), WIDE_ROWS, WIDE_SEGMENTS);
  });
});
