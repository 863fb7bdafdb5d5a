import assert from 'node:assert/strict';
import { afterEach, before, describe, test } from 'node:test';
import type { CliProcess } from '../support/cli.ts';
import { eventually } from '../support/cli.ts';
import { runInProcess } from '../support/in-process.ts';
import {
  assertEachOnce,
  assertOnlyTheRunIsLeft,
  createRows,
  idsOf,
  RUN,
  segmented,
  uploadedInVain,
  uploadsBegun,
} from '../support/segments.ts';
import { openSite, type Site } from '../support/site.ts';

const ROWS = 20_000;
const EVERY_SECOND = '* * * * * *';
const NEVER = '0 0 1 1 *';

interface Listed {
  archive: string;
  run: string;
  status: string;
  rows: number | null;
  segmentsDone: number;
  segments: number | null;
  error: string | null;
}

describe('a daemon that is stopped while segments of a run are on', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
    await createRows(site, 'rows', ROWS);
  });
  afterEach(() => {
    site.proxy.reset();
  });

  async function configFor(archive: string, schedule: string, file?: string): Promise<string> {
    return site.writeConfig({ archives: { [archive]: segmented('rows', 'key', '64KiB', { schedule }) } }, file);
  }

  function receipts(archive: string): number {
    return site.proxy.requests.filter(
      ({ operation, key, status }) =>
        operation === 'PutObject' && key.includes(`${archive}/`) && key.includes('/_pgsluice/part-') && status === 200,
    ).length;
  }

  async function list(config: string, archive: string): Promise<Listed[]> {
    return JSON.parse((await site.here(['list', archive, '--json'], config)).stdout) as Listed[];
  }

  /** Stops a daemon with SIGTERM when some of its segments are done; returns the id of its run. */
  async function drainInMidRun(archive: string, config: string): Promise<{ run: string; cli: CliProcess }> {
    const slow = site.proxy.order('PutObject', { kind: 'delay', ms: 150 }, 10_000, '.jsonl.gz');
    const cli = site.start(['daemon'], config);
    await eventually('three segments are done', async () => receipts(archive) >= 3);
    cli.kill('SIGTERM');
    const { code, stderr } = await cli.ended();
    slow.cancel();
    assert.equal(code, 0, stderr);
    const run = cli.log.find(({ msg }) => msg === 'run planned')?.run;
    assert.ok(run !== undefined);
    return { run, cli };
  }

  test('lets them end, and the run is listed as unfinished, with its progress', async () => {
    const config = await configFor('drained', EVERY_SECOND);
    const { run, cli } = await drainInMidRun('drained', config);
    assert.deepEqual(site.pendingUploads('drained'), []);
    const listed = (await list(config, 'drained')).find((entry) => entry.run === run)!;
    assert.equal(listed.status, 'unfinished');
    // What was begun was also finished, and has its receipt: no upload was dropped.
    assert.equal(listed.segmentsDone, uploadsBegun(site.proxy.requests, 'drained').length);
    assert.ok(listed.segments! >= 20 && listed.segmentsDone < listed.segments!);
    assert.deepEqual([listed.rows, listed.error], [null, null]);
    const table = (await site.here(['list', 'drained'], config)).stdout;
    assert.match(table, new RegExp(`drained +${run} +unfinished +${listed.segmentsDone}/${listed.segments}`));
    assert.equal(await site.manifest('drained', run), undefined);
    const ends = cli.log.filter((line) => line.run === run && /^run (committed|failed|skipped|stopped)/.test(line.msg));
    assert.equal(ends.length, 1, 'the run ends with one line');
  });

  test('takes the run up at its next start, does what is left, and commits', async () => {
    const config = await configFor('taken_up', EVERY_SECOND);
    const { run } = await drainInMidRun('taken_up', config);
    const done = receipts('taken_up');
    // The history of this host says that it began the run, which is no slot any more.
    await configFor('taken_up', NEVER, config);
    const cli = site.start(['daemon'], config);
    const line = await cli.waitForLog((entry) => entry.msg === 'run committed' && entry.run === run);
    cli.kill('SIGTERM');
    assert.equal((await cli.ended()).code, 0);
    assert.equal(line['resumed'], true);
    const manifest = (await site.manifest('taken_up', run))!;
    assert.equal(manifest.consistency, 'resumed');
    assert.equal(manifest.snapshots?.length, 2);
    assert.deepEqual(uploadedInVain(site.proxy.requests, 'taken_up'), []);
    assert.equal(uploadsBegun(site.proxy.requests, 'taken_up').length, manifest.objects.length);
    assert.ok(done < manifest.objects.length);
    assertEachOnce(await idsOf(site, 'taken_up', run), ROWS);
    await assertOnlyTheRunIsLeft(site, 'taken_up', run);
    const [listed] = (await list(config, 'taken_up')).filter((entry) => entry.run === run);
    assert.deepEqual(
      [listed?.status, listed?.segmentsDone, listed?.rows],
      ['committed', manifest.objects.length, ROWS],
    );
  });

  test('leaves a run that `run --run-id` takes up by hand', async () => {
    const config = await configFor('by_hand', EVERY_SECOND);
    const { run } = await drainInMidRun('by_hand', config);
    const [result] = await site.archiveHere(['by_hand', '--run-id', run], config);
    assert.deepEqual([result?.status, result?.resumed], ['committed', true]);
    assert.deepEqual(uploadedInVain(site.proxy.requests, 'by_hand'), []);
    assertEachOnce(await idsOf(site, 'by_hand', run), ROWS);
    await assertOnlyTheRunIsLeft(site, 'by_hand', run);
  });

  test('drops what does not end in time, and the run goes on from what is done', async () => {
    const config = await site.writeConfig({
      archives: { in_time: segmented('rows', 'key', '64KiB', { schedule: EVERY_SECOND }) },
      drainTimeout: '200ms',
    });
    const slow = site.proxy.order('PutObject', { kind: 'stall' }, 1, 'part-00005.jsonl.gz');
    const cli = site.start(['daemon'], config);
    await eventually('the slow segment is in progress', async () => slow.hits > 0);
    cli.kill('SIGTERM');
    assert.equal((await cli.ended()).code, 0);
    slow.cancel();
    const run = cli.log.find(({ msg }) => msg === 'run planned')?.run ?? '';
    const [listed] = (await list(config, 'in_time')).filter((entry) => entry.run === run);
    assert.equal(listed?.status, 'unfinished', listed?.error ?? '');
    assert.ok(listed.segmentsDone >= 4);
    const [result] = await site.archiveHere(['in_time', '--run-id', run], config);
    assert.deepEqual([result?.status, result?.resumed], ['committed', true]);
    assertEachOnce(await idsOf(site, 'in_time', run), ROWS);
    await assertOnlyTheRunIsLeft(site, 'in_time', run);
  });
});

test('a run lets its snapshot go by its age, while rows come and go, and each object is of the snapshot that it names', async () => {
  const site = await openSite();
  await createRows(site, 'rows', ROWS);
  const pace = { maxSnapshotAge: '1s', bytesPerSecond: 400_000 };
  const config = await site.writeConfig({ archives: { paced: segmented('rows', 'key', '64KiB', { pace }) } });
  const running = runInProcess(site, config, 'paced', RUN);
  // How old the oldest transaction is that VACUUM has to heed.
  const snapshots = new Set<string>();
  const ended = new AbortController();
  void running.then(() => {
    ended.abort();
  });
  while (!ended.signal.aborted) {
    const held = await site.database.client.query<{ xmin: string }>(
      "SELECT backend_xmin::text AS xmin FROM pg_stat_activity WHERE application_name LIKE 'pgsluice paced%' AND backend_xmin IS NOT NULL",
    );
    for (const { xmin } of held.rows) snapshots.add(xmin);
    await site.database.client.query("UPDATE rows SET v = v || '!' WHERE id % 1000 = 7");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { result, log } = await running;
  assert.equal(result.status, 'committed', JSON.stringify(result.error));
  assert.ok(result.resumed);
  const manifest = await site.manifest('paced', RUN);
  assert.equal(manifest?.consistency, 'resumed');
  const named = new Set(manifest.objects.map(({ snapshot }) => snapshot));
  assert.ok(named.size > 1 && named.size === manifest.snapshots?.length, `${named.size} snapshots`);
  assert.ok(snapshots.size > 1, 'the horizon of the source moves on while the run goes on');
  assertEachOnce(await idsOf(site, 'paced', RUN), ROWS);
  await assertOnlyTheRunIsLeft(site, 'paced', RUN);
  assert.ok(log.some(({ fields }) => String(fields['why']).includes('pace.maxSnapshotAge')));
  assert.ok(!log.some(({ message }) => message.includes('session lost')), 'it is no failure');
});
