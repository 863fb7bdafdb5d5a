import assert from 'node:assert/strict';
import { afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { verifyCommand } from '../../src/commands/verify.ts';
import { eventually } from '../support/cli.ts';
import { commandInProcess, type LiveRun, runInProcess, startInProcess } from '../support/in-process.ts';
import { openRandom } from '../support/random.ts';
import { oracleLines } from '../support/read-lines.ts';
import type { Fault } from '../support/s3-proxy.ts';
import { assertEachOnce, assertOnlyTheRunIsLeft, createRows, idsOf, RUN, segmented } from '../support/segments.ts';
import { createWideTable, failureOf, openSite, resultsOf, type Site } from '../support/site.ts';

const ROWS = 20_000;
/** Of 10 kB each. */
const WIDE_ROWS = 1680;

let site: Site;
/** Three segments of a bit more than a part each, so that each is a multipart upload. */
let wide: object;
/** What the server prints for each row of their table, sorted: of 17 MB, it is asked once. */
let wideLines: string;

before(async () => {
  site = await openSite();
  await createRows(site, 'rows', ROWS);
  await createWideTable(site, 'wide', WIDE_ROWS);
  await site.database.client.query('ANALYZE wide');
  const { rows } = await site.database.client.query<{ bytes: string }>("SELECT pg_table_size('wide') AS bytes");
  const third = Math.floor(Number(rows[0]!.bytes) / 3);
  wideLines = (await oracleLines(site.database.url, 'wide')).toSorted().join('\n');
  wide = segmented('wide', 'key', String(third), { compression: { codec: 'none' } });
});
afterEach(() => {
  site.proxy.reset();
});

async function assertWhole(archive: string): Promise<void> {
  const lines = await site.lines(archive, RUN);
  assert.ok(lines.toSorted().join('\n') === wideLines, 'the archive differs from the table');
  await assertOnlyTheRunIsLeft(site, archive);
}

async function assertVerified(config: string, archive: string): Promise<void> {
  const { code, stdout } = await commandInProcess(site, config, (invocation) =>
    verifyCommand(invocation, archive, { run: RUN }),
  );
  assert.equal(code, 0, stdout);
}

describe('a run of several segments, each in several parts,', () => {
  const isReceipt = ({ key }: { key: string }): boolean => key.includes('/_pgsluice/part-');
  const faults: [string, string, Fault, number, string, ((seen: { key: string }) => boolean)?][] = [
    ['is told to slow down by 503s', 'UploadPart', { kind: 'error', status: 503, code: 'SlowDown' }, 9, ''],
    ['is answered 500 by turns', '*', { kind: 'error', status: 500, code: 'InternalError' }, 6, ''],
    ['has connections reset in mid-body', 'UploadPart', { kind: 'reset', afterBytes: 2_000_000 }, 5, ''],
    ['loses the answers of CompleteMultipartUpload', 'CompleteMultipartUpload', { kind: 'lose-answer' }, 3, ''],
    ['gets errors inside of a 200', 'CompleteMultipartUpload', { kind: 'error-in-200', code: 'InternalError' }, 4, ''],
    ['loses the answers to its receipts', 'PutObject', { kind: 'lose-answer' }, 3, '.json'],
    [
      'is refused its receipts for a while',
      'PutObject',
      { kind: 'error', status: 503, code: 'SlowDown' },
      7,
      '.json',
      isReceipt,
    ],
  ];
  for (const [at, [situation, operation, fault, times, keyEnd, isWanted]] of faults.entries()) {
    test(`commits and verifies when it ${situation}`, async () => {
      const archive = `fault_${at}`;
      const config = await site.writeConfig({
        archives: { [archive]: { ...wide, retry: { attempts: 6, backoff: '20ms' } } },
      });
      const ordered = site.proxy.order(operation, fault, times, keyEnd, 0, isWanted);
      const { result } = await runInProcess(site, config, archive, RUN);
      assert.equal(result.status, 'committed', JSON.stringify(result.error));
      assert.ok(result.objects >= 3);
      assert.equal(ordered.hits, times, 'not all faults happened');
      await assertWhole(archive);
      await assertVerified(config, archive);
    });
  }
});

describe('a run that goes on', () => {
  const random = openRandom();
  type Action = (run: LiveRun) => Promise<unknown>;

  /** Starts a run that takes its time, and does something each time that some more of its segments are done. */
  async function runThrough(archive: string, by: 'key' | 'pages', actions: Action[]) {
    const config = await site.writeConfig({
      archives: { [archive]: segmented('rows', by, '64KiB', { retry: { attempts: 10, backoff: '20ms' } }) },
    });
    const slow = site.proxy.order('PutObject', { kind: 'delay', ms: 150 }, 10_000, '.jsonl.gz');
    const run = startInProcess(site, config, archive, RUN);
    const receipts = (): number =>
      site.proxy.requests.filter(({ operation, key }) => operation === 'PutObject' && key.includes('/_pgsluice/part-'))
        .length;
    for (const action of actions) {
      const before = receipts();
      await eventually('a segment is done', async () => run.isOver() || receipts() > before);
      await action(run);
    }
    const { result, log } = await run.ended;
    slow.cancel();
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    const manifest = (await site.manifest(archive, RUN))!;
    assert.ok(manifest.objects.length >= 20, `${manifest.objects.length} objects`);
    assertEachOnce(await idsOf(site, archive), ROWS);
    await assertOnlyTheRunIsLeft(site, archive);
    await eventually('no backend is left', async () => (await site.backends(`pgsluice ${archive}%`)).length === 0);
    return { result, manifest, log, config };
  }

  /** Ends a reader in its next segment: before its COPY it is replaced, and after the question for the lock it is done. */
  const killReader = (archive: string) => async (): Promise<void> => {
    await site.database.client.query(
      `DO $$ DECLARE
         since timestamptz := clock_timestamp();
       BEGIN
         WHILE clock_timestamp() < since + interval '3 s' LOOP
           PERFORM pg_stat_clear_snapshot();
           PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name LIKE 'pgsluice ${archive}/${RUN}/%' AND xact_start > since
               AND query LIKE 'COPY %';
           EXIT WHEN FOUND;
         END LOOP;
       END $$`,
    );
  };
  let holdersEnded = 0;
  const killHolder =
    (archive: string): Action =>
    async ({ isOver }) => {
      const ended = await eventually('a holder is terminated', async () => {
        const count = await site.terminateBackends(`pgsluice ${archive} on %`);
        return count > 0 || isOver() ? { count } : undefined;
      });
      holdersEnded += ended.count;
    };
  const restartS3 = async (): Promise<void> => {
    await site.proxy.down();
    await sleep(random.integer(20, 200));
    await site.proxy.up();
  };

  for (const by of ['key', 'pages'] as const) {
    test(`whose readers are terminated repeats their segments under the same snapshot, by ${by}`, async () => {
      const archive = `readers_${by}`;
      const { result, manifest, log } = await runThrough(
        archive,
        by,
        Array.from({ length: 4 }, () => killReader(archive)),
      );
      assert.ok(
        log.some(({ message }) => message.includes('tried again')),
        'no segment was repeated',
      );
      assert.equal(manifest.consistency, 'single-snapshot');
      assert.equal(new Set(manifest.objects.map(({ snapshot }) => snapshot)).size, 1);
      assert.equal(result.resumed, false);
      assert.equal(log.filter(({ message }) => message === 'run planned').length, 1);
    });
  }

  test('whose holder is terminated goes on by key under a new snapshot, and the manifest names them all', async () => {
    const { result, manifest, log, config } = await runThrough('holder', 'key', [
      killHolder('holder'),
      killHolder('holder'),
    ]);
    assert.equal(log.filter(({ message }) => message.startsWith('session lost')).length, 2);
    assert.equal(result.resumed, true);
    assert.equal(manifest.consistency, 'resumed');
    const named = (manifest.snapshots ?? []).map(({ id }) => id);
    // A session that was ended before one of its segments was done leaves no snapshot to name.
    assert.ok(named.length === 2 || named.length === 3, named.join());
    assert.deepEqual([...new Set(manifest.objects.map(({ snapshot }) => snapshot))].sort(), [...new Set(named)].sort());
    assert.deepEqual(manifest.snapshot, manifest.snapshots?.at(-1));
    await assertVerified(config, 'holder');
  });

  test('whose holder is terminated plans again by pages, and commits under one snapshot', async () => {
    const { manifest, log } = await runThrough('holder_pages', 'pages', [killHolder('holder_pages')]);
    assert.equal(log.filter(({ message }) => message === 'run planned').length, 2);
    assert.equal(manifest.consistency, 'single-snapshot');
    assert.equal(new Set(manifest.objects.map(({ snapshot }) => snapshot)).size, 1);
  });

  test('recovers from whatever goes away, in any order', async (t) => {
    t.diagnostic(`PGSLUICE_TEST_SEED=${random.seed}`);
    const kinds = [killReader('chaos'), killHolder('chaos'), restartS3];
    const actions = Array.from({ length: 10 }, () => random.pick(kinds));
    holdersEnded = 0;
    const { manifest, config } = await runThrough('chaos', 'key', actions);
    if (holdersEnded > 0) assert.equal(manifest.consistency, 'resumed');
    await assertVerified(config, 'chaos');
  });
});

describe('two processes that start at once on one archive', () => {
  test('do not both run: one commits, and the other exits with 1 and says who holds the lock', async () => {
    const config = await site.writeConfig({ archives: { at_once: segmented('rows', 'key', '64KiB') } });
    // Long enough for the slower one to be there while the faster one runs.
    site.proxy.order('PutObject', { kind: 'delay', ms: 300 }, 10_000, '.jsonl.gz');
    const both = [1, 2].map(() => site.start(['run', 'at_once', '--run-id', RUN, '--json'], config));
    const endings = await Promise.all(both.map((cli) => cli.ended()));
    assert.deepEqual(endings.map(({ code }) => code).sort(), [0, 1]);
    const winner = endings.findIndex(({ code }) => code === 0);
    assert.equal(resultsOf(endings[winner]!)[0]?.status, 'committed');
    const failure = failureOf(resultsOf(endings[1 - winner]!));
    assert.equal(failure.code, 'locked');
    assert.match(failure.message, new RegExp(`"pgsluice at_once on .+:${both[winner]!.pid}"`));
    assertEachOnce(await idsOf(site, 'at_once'), ROWS);
    await assertOnlyTheRunIsLeft(site, 'at_once');
  });
});
