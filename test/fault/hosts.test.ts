import assert from 'node:assert/strict';
import { before, beforeEach, describe, test } from 'node:test';
import { verifyCommand } from '../../src/commands/verify.ts';
import type { RunEnding } from '../../src/daemon/run-ending.ts';
import { type Cable, layCable } from '../support/cable.ts';
import { HTTP, NEVER, startDaemon, type TestDaemon, TOKEN } from '../support/daemon.ts';
import { eventually } from '../support/cli.ts';
import { commandInProcess } from '../support/in-process.ts';
import { programWith } from '../support/program.ts';
import { assertEachOnce, assertOnlyTheRunIsLeft, createRows, idsOf, segmented } from '../support/segments.ts';
import { openSite, type Site } from '../support/site.ts';

/** A slot of the past, on whatever day this runs. */
const RUN = '20241123T021500Z';
const ROWS = 4000;
let site: Site;

before(async () => {
  site = await openSite();
  await createRows(site, 'rows', ROWS);
});
beforeEach(() => {
  site.proxy.reset();
  // So that a run takes its time.
  site.proxy.order('PutObject', { kind: 'delay', ms: 1000 }, 10_000, '.jsonl.gz');
});

async function startHost(
  host: string,
  archive: string,
  changes: object = {},
  parts: object = {},
  environment: Record<string, string> = {},
): Promise<TestDaemon> {
  const archives = { [archive]: segmented('rows', 'key', '64KiB', { schedule: NEVER, ...changes }) };
  const config = await site.writeConfig({
    archives,
    http: HTTP,
    workers: { threads: 1 },
    drainTimeout: '1s',
    ...parts,
  });
  return startDaemon(site, config, { PGSLUICE_TEST_HOST: host, ...environment }, programWith('as-host'));
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

function throughCable(url: string, { port }: Cable): string {
  const through = new URL(url);
  through.port = String(port);
  return through.href.replace(/\/$/, '');
}

async function order(daemon: TestDaemon, archive: string, what: 'run' | 'cancel'): Promise<void> {
  const headers = { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' };
  const body = what === 'run' ? JSON.stringify({ runId: RUN }) : undefined;
  const { status, body: said } = await daemon.post(`/api/archives/${archive}/${what}`, headers, body);
  assert.ok(status < 300, said);
}

/** Both want the same run; `db1` has it, and `db2` stands by. What is given beside is how `db1` reaches the others. */
async function startBoth(
  archive: string,
  parts: object = {},
  environment: Record<string, string> = {},
): Promise<{ first: TestDaemon; second: TestDaemon }> {
  const [first, second] = await Promise.all([
    startHost('db1', archive, {}, parts, environment),
    startHost('db2', archive),
  ]);
  await order(first, archive, 'run');
  await first.until(archive, ({ current }) => (current?.segmentsDone ?? 0) > 0);
  await order(second, archive, 'run');
  const { current } = await second.until(archive, ({ state }) => state === 'standby');
  assert.deepEqual([current?.run, current?.status, current?.holder], [RUN, 'standby', 'db1']);
  return { first, second };
}

/** The last attempt is that of `db2`, which has gone on with what `db1` had done. */
async function assertTakenUp(second: TestDaemon, archive: string): Promise<void> {
  site.proxy.reset();
  await second.until(archive, ({ current, lastSuccess }) => current === null && lastSuccess?.run === RUN);
  const { runs } = await second.json<{ runs: RunEnding[] }>(`/api/history?archive=${archive}`);
  assert.deepEqual(
    runs.map(({ status, reason, trigger, otherHost }) => [status, reason, trigger, otherHost]),
    [
      ['committed', 'ok', 'taken up', 'db1'],
      ['skipped', 'locked', 'by hand', 'db1'],
    ],
  );
  assert.ok(second.cli.log.some(({ msg }) => msg === 'the run is taken up from db1'));
  assertEachOnce(await idsOf(site, archive, RUN), ROWS);
}

/** The run of a host that comes back has ended there as somebody else's. */
async function assertGivenUp(first: TestDaemon, archive: string): Promise<void> {
  const { reason } = await eventually('the run has ended there', async () => {
    const { runs } = await first.json<{ runs: RunEnding[] }>(`/api/history?archive=${archive}`);
    return runs.at(-1);
  });
  // It is locked where the server has not yet ended the session of the one that took it over.
  assert.ok(['taken-over', 'already-committed', 'locked'].includes(reason), reason);
}

async function assertVerified(daemon: TestDaemon, archive: string): Promise<void> {
  const { code, stdout } = await commandInProcess(site, daemon.config, (invocation) =>
    verifyCommand(invocation, archive, { run: RUN }),
  );
  assert.equal(code, 0, stdout);
}

describe('a host that stands by for a run of another one', () => {
  test('takes it up when the other is killed, without a restart', async () => {
    const { first, second } = await startBoth('killed');
    first.cli.kill('SIGKILL');
    await assertTakenUp(second, 'killed');
    await assertOnlyTheRunIsLeft(site, 'killed', RUN);
  });

  test('takes it up when the other is cut off without a word, and what that sends late changes nothing', async (t) => {
    const cables = await Promise.all([layCable(portOf(site.database.url)), layCable(portOf(site.proxy.endpoint))]);
    t.after(async () => {
      for (const cable of cables) await cable.stop();
    });
    const [toPostgres, toS3] = cables;
    const destinations = { default: site.destination({ endpoint: throughCable(site.proxy.endpoint, toS3) }) };
    const environment = { DATABASE_URL: throughCable(site.database.url, toPostgres) };
    const { first, second } = await startBoth('vanished', { destinations }, environment);
    for (const cable of cables) cable.cut();
    await assertTakenUp(second, 'vanished');
    for (const cable of cables) cable.mend();
    await assertGivenUp(first, 'vanished');
    await assertVerified(second, 'vanished');
    await assertOnlyTheRunIsLeft(site, 'vanished', RUN);
  });

  test('takes it up when the other is frozen, which then ends it as taken over or committed', async () => {
    const { first, second } = await startBoth('frozen');
    first.cli.kill('SIGSTOP');
    await assertTakenUp(second, 'frozen');
    first.cli.kill('SIGCONT');
    await assertGivenUp(first, 'frozen');
    await assertVerified(second, 'frozen');
    await assertOnlyTheRunIsLeft(site, 'frozen', RUN);
  });

  test('takes it up when the other is stopped', async () => {
    const { first, second } = await startBoth('drained');
    await first.stop();
    await assertTakenUp(second, 'drained');
  });

  test('leaves it when it is cancelled there, now and later', async () => {
    const { first, second } = await startBoth('cancelled');
    const status = await site.run(['status'], second.config);
    assert.match(status.stdout, new RegExp(`cancelled +standby .* ${RUN} is in progress on db1`));
    const refused = await second.post('/api/archives/cancelled/cancel');
    assert.equal(refused.status, 409);
    assert.match(refused.body, /in progress on db1: cancel it there/);
    await order(first, 'cancelled', 'cancel');
    await second.until('cancelled', ({ current }) => current === null);
    const { runs } = await second.json<{ runs: RunEnding[] }>('/api/history?archive=cancelled');
    assert.deepEqual([runs[0]?.status, runs[0]?.reason, runs[0]?.otherHost], ['skipped', 'cancelled on db1', 'db1']);
    await second.stop();
    // Nor does a third one, which knows of it by the journal alone.
    const third = await startHost('db3', 'cancelled', { schedule: '15 2 23 11 *' });
    const skipped = await third.cli.waitForLog(({ status }) => status === 'failed' || status === 'skipped');
    assert.match(skipped.msg, /^run skipped: the run was cancelled on db1 at /);
    assert.equal(await site.manifest('cancelled', RUN), undefined);
  });
});
