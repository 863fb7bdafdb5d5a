import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Manifest } from '../../src/ledger/manifest.ts';
import { type CliProcess, eventually, withDeadline } from '../support/cli.ts';
import { runInProcess, type RunInProcess } from '../support/in-process.ts';
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

const ROWS = 40_000;
/** Of 10 kB each. */
const WIDE_ROWS = 7_400;
const WIDE_SEGMENTS = 13;
/** Of these, in the run that is not killed: seven segments or so. */
const STALLED_ROWS = 4_000;
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

/** Runs the same command again and again, killed at each of the instants, until it ends by itself. Returns the kills. */
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
  const { code, stderr } = await site.run(['run', archive, '--run-id', run, '--json'], config);
  assert.equal(code, 0, stderr);
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
  const archive = { ...(await inSegments('wide', WIDE_SEGMENTS)), where: `id <= ${STALLED_ROWS}` };
  const config = await site.writeConfig({ destinations, archives: { stalled: archive } });
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
  // Each run of the tests takes other ones: all of them take a minute and a half.
  const first = random.integer(0, 1);
  // Between them, the three runs are killed at each of the early ones.
  const early = shuffled(EARLY);
  for (const [at, late] of LATE.filter((_, index) => index % 2 === first).entries()) {
    test(`by key, goes on from its receipts until it commits, and does only again what was in flight, ${at}`, async (t) => {
      t.diagnostic(`PGSLUICE_TEST_SEED=${random.seed}`);
      const config = await site.writeConfig({ archives: { by_key: segmented('rows', 'key', '128KiB') } });
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
    const config = await site.writeConfig({ archives: { by_key: segmented('rows', 'key', '128KiB') } });
    const verified = await site.run(['verify', 'by_key', nextRunId(0)], config);
    assert.equal(verified.code, 0, verified.stdout);
  });

  test('by key, in several parts each, leaves no unfinished upload', async (t) => {
    const config = await site.writeConfig({ archives: { parts: await inSegments('wide', WIDE_SEGMENTS) } });
    site.proxy.reset();
    const run = nextRunId(0);
    const killed = await runThroughKills(config, 'parts', run, [
      atRequest('CreateMultipartUpload', PART, 1, 'begun'),
      atRequest('CreateMultipartUpload', PART, 2, 'answered'),
      atRequest('UploadPart', PART, random.integer(1, 4), 'begun'),
      atRequest('UploadPart', PART, random.integer(1, 4), 'answered'),
      atRequest('CompleteMultipartUpload', PART, random.integer(1, 2), 'begun'),
      atLostAnswer('CompleteMultipartUpload', '.jsonl'),
      atRequest('CompleteMultipartUpload', PART, random.integer(1, 2), 'answered'),
    ]);
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
    const config = await site.writeConfig({ archives: { by_pages: segmented('rows', 'pages', '128KiB') } });
    for (const [at, late] of [LATE[1]!(), LATE[4]!()].entries()) {
      site.proxy.reset();
      const run = nextRunId(at);
      const early = [
        atRequest('PutObject', PART, random.integer(1, 9), 'answered'),
        atRequest('PutObject', RECEIPT, random.integer(1, 15), 'answered'),
      ];
      kills += await runThroughKills(config, 'by_pages', run, [...early, late]);
      assert.equal((await assertCommittedOnce('by_pages', run, ROWS)).consistency, 'single-snapshot');
    }
  });

  test('into a folder, leaves no temporary file', async (t: TestContext) => {
    const folder = path.join(site.folder, 'srv');
    const config = await site.writeConfig({
      destinations: { default: { url: `file://${folder}` } },
      archives: { folder: segmented('rows', 'key', '128KiB') },
    });
    const run = nextRunId(0);
    kills += await runThroughKills(
      config,
      'folder',
      run,
      Array.from({ length: Math.max(7, 32 - kills) }, () => afterMs(random.integer(150, 600))),
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
    const verified = await site.run(['verify', 'folder', '--json'], config);
    assert.equal(verified.code, 0, verified.stdout);
    assert.equal((JSON.parse(verified.stdout) as { rows: number }).rows, ROWS);
    const chain = await site.run(['verify', 'folder', '--chain'], config);
    assert.equal(chain.code, 0, chain.stdout);
    t.diagnostic(`${kills} kills in all`);
  });

  test('was killed at least thirty times, and left no backend behind', async () => {
    assert.ok(kills >= 30, `${kills} kills`);
    await eventually('no backend is left', async () => (await site.backends('pgsluice by_%')).length === 0);
  });
});

describe('a request that is never answered', () => {
  test('is given up after a while, and the run of many segments commits', { timeout: 150_000 }, async () => {
    const { result } = await stalled;
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    assert.equal(stalling.seen('UploadPart').length, 2 * result.objects + 1, 'one part was sent again');
    assert.deepEqual(stalling.pendingUploads(), []);
    await assertCommittedOnce('stalled', nextRunId(0), STALLED_ROWS, 5);
  });
});
