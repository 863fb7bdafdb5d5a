/** A run that is held up by its pace: what the state, and all that is made of it, says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { statusCommand } from '../../../../src/commands/status.ts';
import { progressOfRows } from '../../../../src/commands/terminal/progress.ts';
import type { BoardEntry } from '../../../../src/daemon/run-board.ts';
import { Metrics } from '../../../../src/daemon/view/metrics.ts';
import { Pauses } from '../../../../src/pace/pauses.ts';
import { RunProgress, type ProgressSnapshot } from '../../../../src/work/progress.ts';
import { FakeDaemon } from '../../../support/fake-daemon.ts';
import { commandOfFile } from '../../../support/in-process.ts';
import { PacedClock } from '../../../support/paced-clock.ts';
import { archiveOf, runningRun } from '../../../support/page-facts.ts';
import { recordTo } from '../../../support/record-log.ts';

const MESSAGE = 'how far replica db2 is behind cannot be seen';
const HINT = 'Grant the role pg_monitor.';

/** A run of `archive` that has been held up for five minutes, after one minute for another reason. */
async function paused(archive: string): Promise<{ entry: BoardEntry; pauses: Pauses }> {
  const clock = new PacedClock();
  const pauses = new Pauses(recordTo([]), clock);
  const entry = runningRun(archive);
  entry.progress?.follow(pauses);
  const who = Symbol('segment');
  pauses.hold(who, { reason: 'between', message: 'outside of its hours' });
  await clock.pass(60_000);
  pauses.release(who);
  pauses.hold(who, { reason: 'lag', message: MESSAGE, hint: HINT });
  await clock.pass(300_000);
  return { entry, pauses };
}

test('the state says why, since when, and how long in all', async () => {
  const { entry } = await paused('events');
  const current = new FakeDaemon({ archives: [archiveOf('events', {}, { current: entry })] }).state().archives[0]
    ?.current;
  assert.deepEqual(current?.pause, {
    reason: 'lag',
    message: MESSAGE,
    hint: HINT,
    since: '2026-01-15T12:01:00.000Z',
    seconds: 300,
  });
  assert.equal(current.pausedSeconds, 360);
});

test('status prints it in the place of what is to come, and what is to be done about it', async (t) => {
  const daemon = new FakeDaemon({ archives: [archiveOf('events', {}, { current: (await paused('events')).entry })] });
  const url = await daemon.start();
  t.after(() => daemon.stop());
  const { stdout } = await commandOfFile('none', {}, (invocation) =>
    statusCommand({ ...invocation, json: false }, { url }),
  );
  assert.match(stdout, /%, paused for 5m 00s: how far replica db2 is behind cannot be seen/);
  assert.match(stdout, /events is paused: .*\n {2}Grant the role pg_monitor\./);
});

test('metrics have it by its reason, and count it when the run has ended', async () => {
  const { entry } = await paused('events');
  const daemon = new FakeDaemon({ archives: [archiveOf('events', {}, { current: entry })] });
  entry.progress?.tookSnapshot(new Date(Date.now() - 7_200_000));
  const metrics = new Metrics(() => daemon.parts);
  const text = async (): Promise<string> => (await metrics.text()).body;
  assert.match(await text(), /^pgsluice_paused_seconds\{archive="events",reason="lag"\} 300$/m);
  assert.match(await text(), /^pgsluice_paused_seconds\{archive="events",reason="between"\} 0$/m);
  assert.match(await text(), /^pgsluice_oldest_snapshot_age_seconds 7200(?:\.\d+)?$/m);
  metrics.ended({ archive: 'events', status: 'failed', reason: 'cancelled', retries: 0 } as never, entry);
  assert.match(await text(), /^pgsluice_pauses_seconds_total\{archive="events",reason="lag"\} 300$/m);
  assert.match(await text(), /^pgsluice_pauses_seconds_total\{archive="events",reason="between"\} 60$/m);
});

test('a run that is held up has not stalled, and its bar says why, also before there is a plan', async () => {
  const shown: ProgressSnapshot[] = [];
  const progress = new RunProgress('events', '20261123T021500Z', (snapshot) => shown.push(snapshot));
  const clock = new PacedClock();
  const pauses = new Pauses(recordTo([]), clock);
  progress.follow(pauses);
  pauses.hold(Symbol('run'), { reason: 'between', message: 'outside of its hours' });
  assert.deepEqual(progress.stall, { seconds: 0, waitsFor: [] });
  assert.deepEqual(
    shown.map((snapshot) => progressOfRows(snapshot).figures[0]),
    ['paused: outside of its hours'],
  );
});
