import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { verifyCommand } from '../../src/commands/verify.ts';
import type { ArchiveConfig } from '../../src/config/schema.ts';
import { openPace } from '../../src/pace/open.ts';
import type { Pace, PaceParts } from '../../src/pace/pace.ts';
import { withConnection } from '../../src/postgres/connect.ts';
import { openWindowSource, whyOpen, type WindowedArchive } from '../../src/windows/window-source.ts';
// Hosts find out soon who is gone, also those in the process of this test.
import '../support/as-host.ts';
import { eventually, happened } from '../support/cli.ts';
import { commandInProcess, runInProcess } from '../support/in-process.ts';
import { query, withDatabase } from '../support/postgres.ts';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import { programWith } from '../support/program.ts';
import { recordTo, type LogLine } from '../support/record-log.ts';
import { assertEachOnce, assertOnlyTheRunIsLeft, createRows, idsOf, RUN, segmented } from '../support/segments.ts';
import { type ServerPair, startServerPair } from '../support/server-pair.ts';
import { openSite, type Site } from '../support/site.ts';

const ROWS = 4000;
let pair: ServerPair;
let site: Site;

before(async () => {
  pair = await startServerPair();
  site = await openSite(pair.primaryUrl);
  await createRows(site, 'rows', ROWS);
  await pair.inStep();
});
after(async () => pair.stop());
beforeEach(() => {
  site.proxy.reset();
});

async function configOf(archive: string, serverUrl: string): Promise<string> {
  const url = withDatabase(serverUrl, site.database.name);
  const archives = { [archive]: segmented('rows', 'key', '32KiB') };
  return site.writeConfig({ sources: { default: { url } }, archives });
}

async function assertWhole(archive: string, config: string): Promise<void> {
  assertEachOnce(await idsOf(site, archive, RUN), ROWS);
  const { code, stdout } = await commandInProcess(site, config, (invocation) =>
    verifyCommand(invocation, archive, { run: RUN }),
  );
  assert.equal(code, 0, stdout);
  await assertOnlyTheRunIsLeft(site, archive);
}

describe('a pace, by what the source says of its replicas', () => {
  const paces: Pace[] = [];
  afterEach(async () => {
    await query(pair.standbyUrl, 'SELECT pg_wal_replay_resume()');
    await Promise.all(paces.splice(0).map((pace) => pace.close()));
    await pair.inStep();
  });

  /** Waits for a turn; what has come of it is in `done`. */
  function waitForTurn(url: string, pace: PaceParts['pace'], lines: LogLine[] = []) {
    const archive = { name: 'paced', timezone: 'UTC', pace } as ArchiveConfig;
    const opened = openPace(archive, { name: 'default', url: withDatabase(url, site.database.name) }, recordTo(lines));
    paces.push(opened);
    const stop = new AbortController();
    const waiting = { done: false, stop, pause: () => opened.pauses.current };
    void opened.turn(stop.signal).then(
      () => (waiting.done = true),
      () => undefined,
    );
    return waiting;
  }

  type Waiting = ReturnType<typeof waitForTurn>;
  const isHeld = (waiting: Waiting, message: RegExp) =>
    eventually(`it is held: ${message.source}`, async () => message.test(waiting.pause()?.message ?? ''));
  const isLetGo = (waiting: Waiting) => eventually('it is let go', async () => waiting.done);

  /** The standby gets it, and does not replay it. */
  async function fallBehind(): Promise<void> {
    await query(pair.standbyUrl, 'SELECT pg_wal_replay_pause()');
    await query(site.database.url, 'CREATE TABLE IF NOT EXISTS written (v int); INSERT INTO written VALUES (1)');
  }

  test('waits while a standby does not replay, and goes on when it does; so does a run', async () => {
    await fallBehind();
    const waiting = waitForTurn(pair.primaryUrl, { maxLagMs: 1000 });
    const url = withDatabase(pair.primaryUrl, site.database.name);
    const archives = { paced: { table: 'rows', pace: { maxLag: '1s' } } };
    const config = await site.writeConfig({ sources: { default: { url } }, archives });
    const running = runInProcess(site, config, 'paced', RUN);
    await isHeld(waiting, /^replica \S+ at 127\.0\.0\.1 is .* behind, more than 1\.0 s$/);
    assert.equal(waiting.pause()?.reason, 'lag');
    assert.deepEqual(await site.keys('paced'), [], 'the run has not begun');
    await query(pair.standbyUrl, 'SELECT pg_wal_replay_resume()');
    await isLetGo(waiting);
    assert.equal((await running).result.status, 'committed');
  });

  test('read from a standby, goes by what that has replayed itself', async () => {
    await fallBehind();
    const waiting = waitForTurn(pair.standbyUrl, { maxLagMs: 100 });
    await isHeld(waiting, /^the standby that is read is .* behind/);
    await query(pair.standbyUrl, 'SELECT pg_wal_replay_resume()');
    await isLetGo(waiting);
  });

  test('waits where the role may not see a replica, says what to grant, and goes on once it is granted', async () => {
    await query(pair.primaryUrl, "CREATE ROLE blind LOGIN PASSWORD 'geheim'");
    await pair.inStep();
    const url = new URL(pair.primaryUrl);
    Object.assign(url, { username: 'blind', password: 'geheim' });
    const lines: LogLine[] = [];
    const waiting = waitForTurn(url.href, { maxLagMs: 60_000 }, lines);
    await isHeld(waiting, /^how far replica walreceiver is behind cannot be seen$/);
    assert.match(String(lines[0]?.fields['hint']), /GRANT pg_monitor/);
    const ignoring = waitForTurn(url.href, { maxLagMs: 60_000, ignoreReplicas: ['walreceiver'] });
    await isLetGo(ignoring);
    await query(pair.primaryUrl, 'GRANT pg_monitor TO blind');
    await isLetGo(waiting);
  });

  test('without a replica, waits for the one that a slot is kept for, else says once that there is none', async () => {
    await query(pair.primaryUrl, "SELECT pg_create_physical_replication_slot('away')");
    const waiting = waitForTurn(pair.primaryUrl, { maxLagMs: 1000, ignoreReplicas: ['walreceiver'] });
    await isHeld(waiting, /^no replica streams, and the slot away waits for one$/);
    const lines: LogLine[] = [];
    await isLetGo(waitForTurn(pair.primaryUrl, { maxLagMs: 1000, ignoreReplicas: ['walreceiver', 'away'] }, lines));
    assert.deepEqual(
      lines.map(({ message }) => message),
      ['the source has no streaming replica that could be behind: pace.maxLag holds nothing back'],
    );
    await query(pair.primaryUrl, "SELECT pg_drop_replication_slot('away')");
    await isLetGo(waiting);
  });

  test('asks pauseWhile, and waits while it is true, above 0, or cannot be asked', async () => {
    await query(site.database.url, 'CREATE TABLE busy (v int); CREATE SEQUENCE counted; INSERT INTO busy VALUES (3)');
    const counted = waitForTurn(pair.primaryUrl, { pauseWhile: 'SELECT v FROM busy' });
    const truth = waitForTurn(pair.primaryUrl, { pauseWhile: 'SELECT v > 2 FROM busy; -- how many wait' });
    const missing = waitForTurn(pair.primaryUrl, { pauseWhile: 'SELECT v FROM missing' });
    await isHeld(counted, /^pauseWhile gives 3$/);
    await isHeld(truth, /^pauseWhile gives true$/);
    await isHeld(missing, /^pauseWhile cannot be asked: relation "missing" does not exist$/);
    for (const [pauseWhile, problem] of [
      ["SELECT nextval('counted')", /read-only transaction/],
      ['SELECT pg_sleep(20) IS NULL', /statement timeout/],
      ['SELECT v, v FROM busy', /one value/],
      ['SELECT v FROM busy WHERE v > 100', /one value/],
      ["SELECT 'much'", /neither true or false nor a number/],
    ] as const) {
      const failing = waitForTurn(pair.primaryUrl, { pauseWhile });
      await isHeld(failing, problem);
      assert.match(failing.pause()?.hint ?? '', /Try the query as that role/);
      failing.stop.abort(new Error('enough'));
    }
    await query(site.database.url, 'UPDATE busy SET v = 0; ALTER TABLE busy RENAME TO missing');
    await isLetGo(missing);
    await query(site.database.url, 'ALTER TABLE missing RENAME TO busy');
    await Promise.all([counted, truth].map(isLetGo));
  });
});

test('windows that are read from a standby are closed by what it has replayed, and not by its clock', async () => {
  const window = { column: 'at', every: 'hour', olderThanMs: 0 };
  const archive = { name: 'timed', table: 'public.timed', timezone: 'UTC', window } as unknown as WindowedArchive;
  const target = { url: withDatabase(pair.standbyUrl, site.database.name), applicationName: 'standby windows' };
  /** Of one that has ended at this time. */
  const isClosed = (toMs: number) =>
    withConnection(target, async (client) => {
      const source = await openWindowSource(client, archive);
      return whyOpen(source, { fromMs: toMs - 3_600_000, toMs }, 0) === undefined;
    });
  const timeOf = async () => {
    const [row] = await query<{ now: Date }>(pair.primaryUrl, 'SELECT clock_timestamp() AS now');
    return row?.now.getTime() ?? 0;
  };
  await query(site.database.url, 'CREATE TABLE timed (at timestamptz)');
  await pair.inStep();
  const before = await timeOf();
  await eventually('what has ended before is closed', () => isClosed(before));
  await query(pair.standbyUrl, 'SELECT pg_wal_replay_pause()');
  try {
    await eventually('the replay is paused', async () => {
      const [row] = await query<{ state: string }>(pair.standbyUrl, 'SELECT pg_get_wal_replay_pause_state() AS state');
      return row?.state === 'paused';
    });
    const paused = await timeOf();
    await query(site.database.url, 'INSERT INTO timed VALUES (now())');
    await eventually('the standby has received what it does not replay', async () => {
      const [row] = await query<{ more: boolean }>(
        pair.standbyUrl,
        'SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn() AS more',
      );
      return row?.more;
    });
    assert.equal(await isClosed(paused), false);
  } finally {
    await query(pair.standbyUrl, 'SELECT pg_wal_replay_resume()');
  }
  await pair.inStep();
  const resumed = await timeOf();
  await eventually('it goes by its clock again', () => isClosed(resumed));
});

describe('one run on a primary and on its standby, whose locks know nothing of each other', () => {
  test('is committed once, and what the one that was frozen sends late changes nothing', async () => {
    const onPrimary = await configOf('both', pair.primaryUrl);
    const onStandby = await configOf('both', pair.standbyUrl);
    const { promise: released, resolve: letGo } = Promise.withResolvers<undefined>();
    const held = site.proxy.order('PutObject', { kind: 'hold', until: released }, 2, '.jsonl.gz', 2);
    const first = site.start(['run', 'both', '--run-id', RUN, '--json'], onPrimary, {}, programWith('as-host'));
    await happened(held);
    // As long as it lives, it is left alone.
    const refused = await runInProcess(site, onStandby, 'both', RUN);
    assert.equal(refused.result.error?.code, 'locked');
    assert.match(refused.result.error.message, /which is at work/);
    first.kill('SIGSTOP');
    const second = await runInProcess(site, onStandby, 'both', RUN);
    assert.equal(second.result.status, 'committed', JSON.stringify(second.result.error));
    const manifest = await site.manifest('both', RUN);
    letGo(undefined);
    first.kill('SIGCONT');
    const { stdout } = await first.ended();
    assert.match(stdout, /"(taken-over|already-committed)"/);
    const late = site.proxy.seen('PutObject').filter(({ key }) => key.endsWith('.jsonl.gz'));
    await eventually('what was held has come', async () => late.every(({ isOver }) => isOver));
    assert.equal(late.filter(({ status }) => status === 412).length, 2);
    assert.deepEqual(await site.manifest('both', RUN), manifest);
    await assertWhole('both', onStandby);
  });

  test('goes on by itself when the primary is killed and the standby promoted', async (t) => {
    const proxy = await startPostgresProxy(pair.primaryUrl);
    t.after(() => proxy.stop());
    const config = await configOf('promoted', proxy.url);
    const { promise: released, resolve: letGo } = Promise.withResolvers<undefined>();
    const held = site.proxy.order('PutObject', { kind: 'hold', until: released }, 1, '.jsonl.gz', 3);
    const running = runInProcess(site, config, 'promoted', RUN);
    await happened(held);
    proxy.serverOf = () => pair.standbyUrl;
    await pair.failOver();
    letGo(undefined);
    const { result, log } = await running;
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    assert.ok(log.some(({ message }) => message === 'session lost, the run goes on with a new one'));
    assert.equal((await site.manifest('promoted', RUN))?.consistency, 'resumed');
    await assertWhole('promoted', config);
  });
});
