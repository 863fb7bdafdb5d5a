import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { fail } from '../../../src/base/errors.ts';
import { pauseMs, retrying } from '../../../src/base/retry.ts';
import { resolveConfig } from '../../../src/config/resolve.ts';
import { configSchema } from '../../../src/config/schema.ts';

const never = new AbortController().signal;
/** Pauses of these are too short to be noticed, and of these too long to be waited for. */
const AT_ONCE = { attempts: 3, backoffMs: 0, forMs: 60_000 };
const IN_HOURS = { attempts: 3, backoffMs: 3_600_000, forMs: 86_400_000 };

describe('the pause before another attempt', () => {
  test('lies between half and the whole of a backoff that doubles, and never above a minute', () => {
    const backoff = fc.integer({ min: 1, max: 3_600_000 });
    fc.assert(
      fc.property(backoff, fc.integer({ min: 1, max: 100 }), (backoffMs, attempt) => {
        const full = Math.min(60_000, backoffMs * 2 ** (attempt - 1));
        const pause = pauseMs({ backoffMs }, attempt);
        assert.ok(pause >= full / 2 && pause <= full, `${pause} of ${full}`);
      }),
    );
  });

  test('differs from time to time, so that many that failed at once do not come back at once', () => {
    const pauses = Array.from({ length: 20 }, () => pauseMs({ backoffMs: 1000 }, 1));
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

/** The retries of a config that says nothing of them. */
const { retry } = resolveConfig(
  configSchema.parse({
    sources: { default: { url: 'postgres://localhost/app' } },
    destinations: { default: { url: 'file:///srv/archive' } },
    archives: { a: { table: 't' } },
  }),
  {},
).archives['a'] ?? { retry: undefined };

/** How often work is begun that takes `seconds` and fails with `code` until the time `upAfter`, and how long it takes. */
async function simulate(
  code: 'throttled' | 'connection-refused' | 'timeout' | 'credentials-expired',
  seconds: number,
  upAfter = Infinity,
): Promise<{ attempts: number; seconds: number; isDone: boolean }> {
  assert.ok(retry !== undefined);
  let nowMs = 0;
  let attempts = 0;
  const clock = {
    now: () => nowMs,
    pause: async (ms: number) => {
      nowMs += ms;
    },
  };
  const work = async (): Promise<void> => {
    attempts += 1;
    if (nowMs >= upAfter * 1000) return;
    nowMs += seconds * 1000;
    throw fail(code, { stage: 'upload', message: 'no' });
  };
  const isDone = await retrying({ ...retry, clock }, never, work, () => true).then(
    () => true,
    () => false,
  );
  return { attempts, seconds: nowMs / 1000, isDone };
}

describe('the retries that a config has by default', () => {
  test('get over a minute of SlowDown, and over the five minutes that a server takes to be there again', async () => {
    for (let round = 0; round < 20; round += 1) {
      assert.ok((await simulate('throttled', 3, 60)).isDone);
      assert.ok((await simulate('connection-refused', 1, 300)).isDone);
    }
  });

  test('end after a quarter of an hour, or after some minutes where a server never answers', async () => {
    for (let round = 0; round < 20; round += 1) {
      const down = await simulate('connection-refused', 1);
      assert.ok(!down.isDone && down.seconds > 400 && down.seconds < 960, String(down.seconds));
      // A request that is sent twice, and waits for a minute each time.
      const silent = await simulate('timeout', 120);
      assert.ok(!silent.isDone && silent.attempts >= 2 && silent.seconds < 500, String(silent.seconds));
    }
  });

  test('ask once more for credentials that are over', async () => {
    const { attempts, seconds } = await simulate('credentials-expired', 1);
    assert.equal(attempts, 2);
    assert.ok(seconds < 5);
  });
});
