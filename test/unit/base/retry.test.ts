import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { pauseMs, retrying } from '../../../src/base/retry.ts';

const never = new AbortController().signal;
/** Pauses of these are too short to be noticed, and of these too long to be waited for. */
const AT_ONCE = { attempts: 3, backoffMs: 0 };
const IN_HOURS = { attempts: 3, backoffMs: 3_600_000 };

describe('the pause before another attempt', () => {
  test('lies between half and the whole of a backoff that doubles, and never above five minutes', () => {
    const backoff = fc.integer({ min: 1, max: 3_600_000 });
    fc.assert(
      fc.property(backoff, fc.integer({ min: 1, max: 100 }), (backoffMs, attempt) => {
        const full = Math.min(300_000, backoffMs * 2 ** (attempt - 1));
        const pause = pauseMs({ attempts: 100, backoffMs }, attempt);
        assert.ok(pause >= full / 2 && pause <= full, `${pause} of ${full}`);
      }),
    );
  });

  test('differs from time to time, so that many that failed at once do not come back at once', () => {
    const pauses = Array.from({ length: 20 }, () => pauseMs({ attempts: 5, backoffMs: 1000 }, 1));
    assert.ok(new Set(pauses).size > 1);
  });
});

describe('work that is tried again', () => {
  test('resolves to what the first attempt gives that does not fail', async () => {
    const told: unknown[] = [];
    const result = await retrying(AT_ONCE, never, failingUntil(3), (error, attempt, isLast) => {
      told.push([(error as Error).message, attempt, isLast]);
      return true;
    });
    assert.equal(result, 'attempt 3');
    assert.deepEqual(told, [
      ['attempt 1 failed', 1, false],
      ['attempt 2 failed', 2, false],
    ]);
  });

  test('throws the last error once all attempts are used up, and says which one is the last', async () => {
    const told: boolean[] = [];
    const trying = retrying(AT_ONCE, never, failingUntil(4), (_error, _attempt, isLast) => told.push(isLast) > 0);
    await assert.rejects(trying, /attempt 3 failed/);
    assert.deepEqual(told, [false, false, true]);
  });

  test('ends with the first error that another attempt cannot mend', async () => {
    await assert.rejects(
      retrying(AT_ONCE, never, failingUntil(3), (_error, attempt) => attempt < 2),
      /attempt 2 failed/,
    );
  });

  test('throws what it is told to throw instead', async () => {
    const trying = retrying(AT_ONCE, never, failingUntil(3), () => {
      throw new Error('another one');
    });
    await assert.rejects(trying, /another one/);
  });

  test('counts its attempts anew from one that brought the work forward', async () => {
    let done = 0;
    const policy = { ...AT_ONCE, progress: () => done };
    const told: number[] = [];
    const work = async (): Promise<never> => {
      if (told.length < 4) done += 1;
      throw new Error('failed');
    };
    await assert.rejects(
      retrying(policy, never, work, (_error, attempt) => told.push(attempt) > 0),
      /failed/,
    );
    assert.deepEqual(told, [1, 1, 1, 1, 2, 3]);
  });

  test('ends its pause at once, with the reason, when it is aborted', async () => {
    const abort = new AbortController();
    const trying = retrying(IN_HOURS, abort.signal, failingUntil(2), () => {
      setImmediate(() => {
        abort.abort(new Error('the daemon stops'));
      });
      return true;
    });
    await assert.rejects(trying, /the daemon stops/);
  });

  test('makes no further attempt once it is aborted, and gives the reason where there would have been one', async () => {
    const abort = new AbortController();
    const work = async (): Promise<never> => {
      abort.abort(new Error('the daemon stops'));
      throw new Error('failed');
    };
    const told: boolean[] = [];
    const trying = retrying(IN_HOURS, abort.signal, work, (_error, _attempt, isLast) => told.push(isLast) > 0);
    await assert.rejects(trying, /the daemon stops/);
    assert.deepEqual(told, [true]);
    await assert.rejects(
      retrying(IN_HOURS, abort.signal, work, () => false),
      /^Error: failed/,
    );
  });
});

/** Fails in all attempts before `success`. */
function failingUntil(success: number): (attempt: number) => Promise<string> {
  return async (attempt) => {
    if (attempt < success) throw new Error(`attempt ${attempt} failed`);
    return `attempt ${attempt}`;
  };
}
