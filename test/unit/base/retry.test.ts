import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { pauseBefore, pauseMs } from '../../../src/base/retry.ts';

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

  test('ends at once, with the reason, when it is aborted', async () => {
    const abort = new AbortController();
    const waiting = pauseBefore({ attempts: 5, backoffMs: 3_600_000 }, 1, abort.signal);
    abort.abort(new Error('the daemon stops'));
    await assert.rejects(waiting, /the daemon stops/);
    await assert.rejects(pauseBefore({ attempts: 5, backoffMs: 3_600_000 }, 1, abort.signal), /the daemon stops/);
  });
});
