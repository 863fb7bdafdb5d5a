import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FailureError } from '../../../src/base/errors.ts';
import { untilAborted } from '../../../src/base/signals.ts';
import type { Log } from '../../../src/base/log.ts';
import type { SegmentTask } from '../../../src/segment/task.ts';
import { dispatchTasks, type DispatchOptions, type DispatchSummary } from '../../../src/work/dispatch.ts';
import { FakePlace, settle } from '../../support/fake-place.ts';

const TRANSIENT = { code: 'connection-lost', transient: true, message: 'the connection was lost' } as const;
const FINAL = { code: 'row-too-wide', transient: false, message: 'row 7 is too wide' } as const;

interface Started {
  place: FakePlace;
  /** What dispatch told, in order. */
  told: string[];
  stop: AbortController;
  drain: AbortController;
  ended: Promise<DispatchSummary>;
}

/** Dispatches segments 0, 1, … to a place of its own. */
async function start(
  segments: number,
  changes: Partial<DispatchOptions<SegmentTask>> = {},
  room?: number,
): Promise<Started> {
  const place = new FakePlace(room);
  const told: string[] = [];
  const [stop, drain] = [new AbortController(), new AbortController()];
  const tasks = Array.from(
    { length: segments },
    (_, segment) => ({ archive: 'events', segment, attempt: 1 }) as SegmentTask,
  );
  const ended = dispatchTasks(tasks, {
    place,
    log: { warn: (_fields: object, message: string) => told.push(message) } as unknown as Log,
    retry: { attempts: 3, backoffMs: 0, forMs: 900_000 },
    parallel: 2,
    signal: stop.signal,
    drain: drain.signal,
    onAttempt: (segment, attempt) => told.push(`${segment} begun, attempt ${attempt}`),
    onProgress: (segment, { rows }) => told.push(`${segment} at row ${rows}`),
    onFailed: (segment, { code }, isLast) => told.push(`${segment} failed, ${code}${isLast ? ', for good' : ''}`),
    onFinished: async ({ segment }, { key }) => void told.push(`${segment} finished as ${key}`),
    ...changes,
  });
  // Looked at by the test in its time.
  ended.catch(() => undefined);
  await settle();
  return { place, told, stop, drain, ended };
}

describe('the segments of a run', () => {
  test('are begun in their order, no more at once than the run may, and each as soon as another has ended', async () => {
    const { place, ended } = await start(5);
    assert.deepEqual(place.running, [0, 1]);
    await place.succeed(1);
    assert.deepEqual(place.running, [0, 2]);
    await place.succeed(0);
    await place.succeed(2);
    assert.deepEqual(place.running, [3, 4]);
    await place.succeed(4);
    await place.succeed(3);
    assert.deepEqual(await ended, { peakHeapBytes: 0 });
    assert.deepEqual(place.begun, ['0.1', '1.1', '2.1', '3.1', '4.1']);
  });

  test('are told of as they go: begun, how far, finished with what the place said', async () => {
    const { place, told, ended } = await start(1);
    await place.progress(0, 12);
    await place.succeed(0, { key: 'part-00000' }, 4711);
    assert.deepEqual(told, ['0 begun, attempt 1', '0 at row 12', '0 finished as part-00000']);
    assert.deepEqual(await ended, { peakHeapBytes: 4711 });
  });

  test('give their place away only once it is recorded that they are finished', async () => {
    const { promise: recorded, resolve: record } = Promise.withResolvers<undefined>();
    const { place, ended } = await start(2, { parallel: 1, onFinished: () => recorded });
    await place.succeed(0);
    assert.deepEqual(place.running, []);
    record(undefined);
    await settle();
    assert.deepEqual(place.running, [1]);
    await place.succeed(1);
    await ended;
  });

  test('that cannot be recorded end the run, and the others are dropped', async () => {
    const onFinished = async (): Promise<never> => {
      throw new Error('no receipt');
    };
    const { place, ended } = await start(4, { onFinished });
    await place.succeed(0);
    await assert.rejects(ended, /no receipt/);
    assert.deepEqual(place.begun, ['0.1', '1.1']);
  });

  test('of which there are none are done', async () => {
    const { place, ended } = await start(0);
    assert.deepEqual(await ended, { peakHeapBytes: 0 });
    assert.deepEqual(place.begun, []);
  });
});

describe('a segment that fails', () => {
  test('for a passing reason is tried again in its place, while the others go on', async () => {
    const { place, told, ended } = await start(2);
    await place.fail(0, TRANSIENT);
    assert.deepEqual(place.begun, ['0.1', '1.1', '0.2']);
    assert.deepEqual(told.slice(2), [
      '0 failed, connection-lost',
      'segment failed, it is tried again',
      '0 begun, attempt 2',
    ]);
    await place.succeed(1);
    await place.succeed(0);
    await ended;
  });

  test('at all attempts ends the run with its failure, which says how often it was tried', async () => {
    const { place, told, ended } = await start(1);
    for (let attempt = 1; attempt <= 3; attempt += 1) await place.fail(0, TRANSIENT);
    await assert.rejects(ended, { message: 'the connection was lost (after 3 attempts)' });
    assert.equal(told.at(-1), '0 failed, connection-lost, for good');
    assert.deepEqual(place.begun, ['0.1', '0.2', '0.3']);
  });

  test('for good is not tried again; nothing more is begun, and the run ends once nothing runs any more', async () => {
    const { place, told, ended } = await start(4);
    let over = false;
    void ended.catch(() => (over = true));
    place.keepDropped = true;
    await place.fail(1, FINAL);
    assert.deepEqual(place.begun, ['0.1', '1.1']);
    assert.deepEqual(told.slice(2), ['1 failed, row-too-wide, for good']);
    assert.equal(over, false, 'segment 0 still runs');
    await place.fail(0, { code: 'aborted' });
    await assert.rejects(ended, { message: 'row 7 is too wide' });
    assert.equal(told.length, 3, 'what follows from the failure of another is none of its own');
  });

  test('for a reason that only the caller can mend ends the retries', async () => {
    const { place, ended } = await start(1, { endsRetries: ({ code }) => code === 'connection-lost' });
    await place.fail(0, TRANSIENT);
    await assert.rejects(ended, { message: 'the connection was lost' });
  });
});

describe('a drain', () => {
  test('lets segments end that run, begins no other, and says how many are left', async () => {
    const { place, told, drain, ended } = await start(5);
    drain.abort(new Error('the daemon stops'));
    await settle();
    assert.deepEqual(place.running, [0, 1]);
    await place.succeed(0);
    await place.succeed(1);
    await assert.rejects(ended, (error: FailureError) => error.failure.code === 'drained');
    await assert.rejects(ended, /with 3 segments still to do/);
    assert.deepEqual(place.begun, ['0.1', '1.1']);
    assert.ok(told.includes('0 finished as undefined') && told.includes('1 finished as undefined'));
  });

  test('that comes when all segments run already changes nothing', async () => {
    const { place, drain, ended } = await start(2);
    drain.abort(new Error('the daemon stops'));
    await place.succeed(0);
    await place.succeed(1);
    await ended;
  });

  test('begins no segment that waits for its turn at the place', async () => {
    const { place, told, drain, ended } = await start(3, {}, 1);
    assert.deepEqual(place.load, { active: 1, waiting: 1 });
    drain.abort(new Error('the daemon stops'));
    await settle();
    assert.deepEqual(place.load, { active: 1, waiting: 0 });
    await place.succeed(0);
    await assert.rejects(ended, /with 2 segments still to do/);
    assert.deepEqual(told, ['0 begun, attempt 1', '0 finished as undefined']);
  });

  test('begins no further attempt: one that fails meanwhile, or waits for its next, ends the run', async () => {
    const failing = await start(1);
    failing.drain.abort(new Error('the daemon stops'));
    await failing.place.fail(0, TRANSIENT);
    await assert.rejects(failing.ended, { message: 'the connection was lost' });
    assert.equal(failing.told.at(-1), '0 failed, connection-lost, for good');

    const waiting = await start(1, { retry: { attempts: 3, backoffMs: 3_600_000, forMs: 900_000 } });
    await waiting.place.fail(0, TRANSIENT);
    waiting.drain.abort(new Error('the daemon stops'));
    await assert.rejects(waiting.ended, { message: 'the connection was lost' });
    assert.deepEqual(waiting.place.begun, ['0.1']);
  });
});

describe('segments that are left to whoever dispatched', () => {
  test('are those that were not begun; the others end, and nothing has failed', async () => {
    const leave = new AbortController();
    const { place, told, ended } = await start(5, { leave: leave.signal });
    leave.abort(new Error('the snapshot is old'));
    await place.succeed(0);
    await place.succeed(1);
    assert.deepEqual(await ended, { peakHeapBytes: 0, isLeft: true });
    assert.deepEqual(place.begun, ['0.1', '1.1']);
    assert.ok(!told.some((line) => line.includes('failed')));
  });

  test('are none when all run already', async () => {
    const leave = new AbortController();
    const { place, ended } = await start(2, { leave: leave.signal });
    leave.abort(new Error('the snapshot is old'));
    await place.succeed(0);
    await place.succeed(1);
    assert.deepEqual(await ended, { peakHeapBytes: 0 });
  });

  test('may have failed for a passing reason: before, or meanwhile', async () => {
    for (const isBefore of [true, false]) {
      const leave = new AbortController();
      const retry = { attempts: 3, backoffMs: 3_600_000, forMs: 900_000 };
      const { place, told, ended } = await start(1, { leave: leave.signal, retry });
      if (!isBefore) leave.abort(new Error('the snapshot is old'));
      await place.fail(0, TRANSIENT);
      leave.abort(new Error('the snapshot is old'));
      const { isLeft, leftFailure } = await ended;
      assert.deepEqual([isLeft, leftFailure?.code], [true, isBefore ? undefined : 'connection-lost']);
      assert.ok(!told.some((line) => line.includes('for good')), told.join());
    }
  });

  test('that have failed for good fail the run', async () => {
    const leave = new AbortController();
    const { place, ended } = await start(2, { leave: leave.signal });
    leave.abort(new Error('the snapshot is old'));
    await place.fail(0, FINAL);
    await assert.rejects(ended, { message: 'row 7 is too wide' });
  });

  test('fail the run as drained when the daemon stops as well', async () => {
    const leave = new AbortController();
    const { place, drain, ended } = await start(3, { leave: leave.signal });
    leave.abort(new Error('the snapshot is old'));
    drain.abort(new Error('the daemon stops'));
    await place.succeed(0);
    await place.succeed(1);
    await assert.rejects(ended, (error: FailureError) => error.failure.code === 'drained');
  });
});

describe('a turn', () => {
  test('is waited for before each segment is begun, and before it is tried again', async () => {
    const turns: PromiseWithResolvers<undefined>[] = [];
    const turn = async (): Promise<void> => {
      const next = Promise.withResolvers<undefined>();
      turns.push(next);
      await next.promise;
    };
    const { place, ended } = await start(2, { turn, parallel: 1 });
    assert.deepEqual(place.begun, []);
    turns[0]?.resolve(undefined);
    await settle();
    assert.deepEqual(place.begun, ['0.1']);
    await place.fail(0, TRANSIENT);
    assert.deepEqual(place.begun, ['0.1']);
    turns[1]?.resolve(undefined);
    await settle();
    await place.succeed(0);
    assert.deepEqual(place.begun, ['0.1', '0.2']);
    turns[2]?.resolve(undefined);
    await settle();
    await place.succeed(1);
    await ended;
    assert.equal(turns.length, 3, 'where nothing is left, nothing is waited for');
  });

  test('that is waited for ends with a drain, with what leaves the rest, and with the run', async () => {
    for (const how of ['drain', 'leave', 'stop'] as const) {
      const leave = new AbortController();
      const turn = (signal: AbortSignal): Promise<void> => untilAborted(new Promise(() => undefined), signal);
      const started = await start(3, { turn, leave: leave.signal });
      ({ ...started, leave })[how].abort(new Error(how));
      await settle();
      if (how === 'leave') assert.equal((await started.ended).isLeft, true);
      else await assert.rejects(started.ended, how === 'drain' ? /3 segments still to do/ : /stop/);
      assert.deepEqual(started.place.begun, []);
    }
  });
});

describe('a run that is aborted', () => {
  test('drops its segments, begins no other, and ends with the reason once nothing runs any more', async () => {
    const { place, told, stop, ended } = await start(4);
    stop.abort(new Error('cancelled by hand'));
    await assert.rejects(ended, { message: 'cancelled by hand' });
    assert.deepEqual(place.begun, ['0.1', '1.1']);
    assert.equal(told.length, 2, 'a segment that is dropped has not failed');
  });

  test('while a segment waits for its next attempt ends at once, with the reason', async () => {
    const { place, stop, ended } = await start(1, { retry: { attempts: 3, backoffMs: 3_600_000, forMs: 900_000 } });
    await place.fail(0, TRANSIENT);
    stop.abort(new Error('cancelled by hand'));
    await assert.rejects(ended, { message: 'cancelled by hand' });
    assert.deepEqual(place.begun, ['0.1']);
  });

  test('before it began begins nothing', async () => {
    const stopped = AbortSignal.abort(new Error('cancelled by hand'));
    const { place, ended } = await start(2, { signal: stopped });
    await assert.rejects(ended, { message: 'cancelled by hand' });
    assert.deepEqual(place.begun, []);
  });
});

describe('a segment that is lost with its host', () => {
  const LOST = { code: 'host-lost', transient: true, message: 'the host was not heard of any more' } as const;

  test('is given to others three times without counting, each time looked at anew, and then counts', async () => {
    const looked: number[] = [];
    const prepare = async (task: SegmentTask, attempt: number): Promise<SegmentTask> => {
      looked.push(attempt);
      return task;
    };
    const { place, ended } = await start(1, { prepare, retry: { attempts: 1, backoffMs: 0, forMs: 900_000 } });
    for (let lost = 0; lost < 3; lost += 1) await place.fail(0, LOST);
    assert.deepEqual(place.begun, ['0.1', '0.1', '0.1', '0.1']);
    assert.deepEqual(looked, [1, 2, 3, 4]);
    await place.fail(0, LOST);
    await assert.rejects(ended, ({ failure }: FailureError) => failure.code === 'host-lost');
    assert.equal(place.begun.length, 4);
  });

  test('is not begun again in a run that is drained', async () => {
    const { place, drain, ended } = await start(1);
    drain.abort(new Error('the daemon stops'));
    await place.fail(0, LOST);
    await assert.rejects(ended);
    assert.deepEqual(place.begun, ['0.1']);
  });
});

describe('a segment that a host refuses after it has begun', () => {
  const REFUSED = { code: 'host-differs', transient: true, message: 'its source is another server' } as const;
  const now = (): number => 0;

  test('waits for another host without counting, and is looked at anew', async () => {
    const looked: number[] = [];
    const prepare = async (task: SegmentTask, attempt: number): Promise<SegmentTask> => {
      looked.push(attempt);
      return task;
    };
    const clock = { now, pause: async () => undefined };
    const retry = { attempts: 1, backoffMs: 0, forMs: 0, clock };
    const { place, ended } = await start(1, { prepare, retry });
    for (let refused = 0; refused < 6; refused += 1) await place.fail(0, REFUSED);
    assert.deepEqual(looked, [1, 2, 3, 4, 5, 6, 7]);
    assert.equal(place.begun.at(-1), '0.1');
    await place.succeed(0);
    await ended;
  });

  test('keeps no run waiting that is drained', async () => {
    const clock = {
      now,
      pause: async (_ms: number, signal: AbortSignal) => {
        await untilAborted(new Promise(() => undefined), signal).catch(() => undefined);
      },
    };
    const { place, drain, ended } = await start(1, { retry: { attempts: 3, backoffMs: 0, forMs: 900_000, clock } });
    await place.fail(0, REFUSED);
    drain.abort(new Error('the daemon stops'));
    await assert.rejects(ended, ({ failure }: FailureError) => failure.code === 'host-differs');
    assert.deepEqual(place.begun, ['0.1']);
  });
});
