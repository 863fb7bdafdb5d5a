/** A run in which nothing moves: what the state, and all that is made of it, says. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { statusCommand } from '../../../../src/commands/status.ts';
import type { BoardEntry } from '../../../../src/daemon/run-board.ts';
import { FakeDaemon } from '../../../support/fake-daemon.ts';
import { commandOfFile } from '../../../support/in-process.ts';
import { archiveOf, runningRun } from '../../../support/page-facts.ts';

const REQUEST = 'UploadPart of pg/events/part-00003';

/** The run as it is after so many seconds without progress. */
function stalledFor(t: TestContext, seconds: number): BoardEntry {
  const begunMs = performance.now();
  t.mock.method(performance, 'now', () => begunMs);
  const entry = runningRun('events');
  entry.progress?.trouble({ what: 'slow', request: REQUEST }, 3);
  t.mock.method(performance, 'now', () => begunMs + seconds * 1000);
  return entry;
}

function daemonWith(current: BoardEntry): FakeDaemon {
  return new FakeDaemon({ archives: [archiveOf('events', {}, { current })] });
}

test('a run is stalled after a minute, and the state says what it waits for', (t) => {
  const stallOf = (entry: BoardEntry): unknown => daemonWith(entry).state().archives[0]?.current?.stalled;
  assert.equal(stallOf(stalledFor(t, 59)), null);
  const stalled = stalledFor(t, 340);
  assert.deepEqual(stallOf(stalled), { seconds: 340, waitsFor: [REQUEST] });
  assert.equal(stallOf({ ...stalled, state: 'standby' }), null, 'that of another host is none of ours');
});

test('status prints it in the place of what is to come', async (t) => {
  const daemon = daemonWith(stalledFor(t, 340));
  const url = await daemon.start();
  t.after(() => daemon.stop());
  const { code, stdout } = await commandOfFile('none', {}, (invocation) =>
    statusCommand({ ...invocation, json: false }, { url }),
  );
  assert.equal(code, 0);
  assert.match(stdout, /nothing moves for 5m 40s: waits for UploadPart of pg\/events\/part-00003/);
});
