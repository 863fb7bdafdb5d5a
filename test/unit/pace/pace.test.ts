import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NEVER } from '../../../src/base/signals.ts';
import { Pace, type Gate, type PaceParts } from '../../../src/pace/pace.ts';
import type { Hold } from '../../../src/pace/pauses.ts';
import { PacedClock } from '../../support/paced-clock.ts';
import { recordTo, type LogLine } from '../../support/record-log.ts';

const HOUR_MS = 3_600_000;

function open(pace: PaceParts['pace'], gates: readonly Gate[] = [], start?: string) {
  const clock = new PacedClock(start);
  const lines: LogLine[] = [];
  const paced = new Pace({ pace, timezone: 'Europe/Berlin', log: recordTo(lines), gates, clock });
  return { clock, lines, pace: paced };
}

/** Says whether it has resolved. */
function watch(promise: Promise<unknown>): { done: boolean } {
  const watched = { done: false };
  void promise.then(() => {
    watched.done = true;
  });
  return watched;
}

/** Holds work up as long as it is told to. */
function gateOf(said: { hold: Hold | undefined }): Gate {
  return { look: () => Promise.resolve(said.hold) };
}

describe('a pace', () => {
  test('lets everything begin that nothing is said of', async () => {
    const { pace } = open({});
    pace.spent({ bytes: 1e12, workedMs: 1e9 });
    await pace.turn(NEVER);
    await pace.grant(1e12, NEVER);
  });

  test('by between, begins when the hours do, and says until when it waits', async () => {
    const { clock, pace, lines } = open({ between: '22:00-06:00' }, [], '2026-01-15T12:00:00Z');
    const turn = watch(pace.turn(NEVER));
    await clock.pass(9 * HOUR_MS - 1);
    assert.equal(turn.done, false);
    assert.deepEqual(pace.pauses.current, {
      reason: 'between',
      message: 'nothing begins outside of 22:00-06:00 (Europe/Berlin), before 2026-01-15T21:00:00.000Z',
      hint: null,
      since: '2026-01-15T12:00:00.000Z',
      seconds: (9 * HOUR_MS - 1) / 1000,
    });
    await clock.pass(1);
    assert.equal(turn.done, true);
    assert.equal(pace.pauses.current, undefined);
    assert.equal(pace.pauses.totalMs, 9 * HOUR_MS);
    assert.deepEqual(
      lines.map(({ message }) => message),
      ['pauses', 'the pause is over'],
    );
    // In its hours it does not wait.
    await pace.turn(NEVER);
  });

  test('by between, does not hold up a part of what must not be parted', async () => {
    const { pace } = open({ between: '22:00-06:00' });
    await pace.turn(NEVER, { isPart: true });
  });

  test('works a share of the time', async () => {
    const { clock, pace } = open({ share: 0.2 });
    pace.spent({ workedMs: 250 });
    const turn = watch(pace.turn(NEVER));
    await clock.pass(999);
    assert.equal(turn.done, false);
    await clock.pass(1);
    assert.equal(turn.done, true);
  });

  test('of share and bytes, goes by the slower one', async () => {
    for (const [bytes, untilMs] of [
      [100_000, 1000],
      [5_000_000, 5000],
    ] as const) {
      const { clock, pace } = open({ share: 0.5, bytesPerSecond: 1_000_000 });
      pace.spent({ bytes, workedMs: 1000 });
      const turn = watch(pace.turn(NEVER));
      await clock.pass(untilMs - 1);
      assert.equal(turn.done, false);
      await clock.pass(1);
      assert.equal(turn.done, true);
    }
  });

  test('waits as long as a gate says, and warns once of what somebody has to mend', async () => {
    const said: { hold: Hold | undefined } = { hold: { reason: 'lag', message: '31 s behind', hint: 'Grant it.' } };
    const { clock, pace, lines } = open({}, [gateOf(said)]);
    const turn = watch(pace.turn(NEVER));
    await clock.pass(10_000);
    said.hold = { reason: 'lag', message: '40 s behind', hint: 'Grant it.' };
    await clock.pass(10_000);
    assert.equal(turn.done, false);
    const { message, seconds } = pace.pauses.current ?? {};
    assert.deepEqual({ message, seconds }, { message: '40 s behind', seconds: 20 });
    assert.equal(lines.length, 1);
    said.hold = undefined;
    await clock.pass(2000);
    assert.equal(turn.done, true);
  });

  test('counts a pause of several segments once, and by its reasons', async () => {
    const said: { hold: Hold | undefined } = { hold: { reason: 'lag', message: 'behind' } };
    const { clock, pace } = open({}, [gateOf(said)]);
    const turns = [watch(pace.turn(NEVER)), watch(pace.turn(NEVER))];
    await clock.pass(10_000);
    said.hold = { reason: 'pause-while', message: 'it is true' };
    await clock.pass(6000);
    said.hold = undefined;
    await clock.pass(2000);
    assert.deepEqual(turns, [{ done: true }, { done: true }]);
    const { pauses } = pace;
    assert.equal(pauses.totalMs, 18_000);
    assert.equal(pauses.totalMsOf('lag') + pauses.totalMsOf('pause-while'), 18_000);
    assert.ok(pauses.totalMsOf('pause-while') >= 4000);
  });

  test('is given up with the signal, also in the middle of a pause', async () => {
    const { clock, pace } = open({ between: '22:00-06:00' });
    const stop = new AbortController();
    const turn = assert.rejects(pace.turn(stop.signal), /stopped/);
    await clock.pass(1000);
    stop.abort(new Error('stopped'));
    await turn;
    assert.equal(pace.pauses.current, undefined);
  });
});
