import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NEVER } from '../../../src/base/signals.ts';
import { TokenBucket } from '../../../src/pace/token-bucket.ts';
import { PacedClock } from '../../support/paced-clock.ts';

const KIB = 1024;

/** Takes as much as it gets, in pieces of that size, and counts it. */
function drink(bucket: TokenBucket, bytes: number, counted: { bytes: number }): void {
  void (async () => {
    for (;;) {
      await bucket.take(bytes, NEVER);
      counted.bytes += bytes;
    }
  })();
}

describe('a token bucket', () => {
  for (const segments of [1, 2, 7, 64])
    for (const [rate, piece] of [
      [10 * KIB, 1000],
      [1024 * KIB, 40_000],
      [50 * 1024 * KIB, 576 * KIB],
    ] as const)
      test(`gives ${rate} bytes a second to ${segments} segments, within 1 % over a minute`, async () => {
        const clock = new PacedClock();
        const bucket = new TokenBucket(rate, clock);
        const counted = { bytes: 0 };
        // Of different sizes, as segments have different lines.
        for (let at = 0; at < segments; at += 1) drink(bucket, Math.ceil(piece / (1 + (at % 3))), counted);
        for (let minute = 1; minute <= 2; minute += 1) {
          await clock.pass(60_000);
          const error = counted.bytes / (rate * 60 * minute) - 1;
          assert.ok(error <= 0 && error > -0.01, `${error}`);
        }
      });

  test('begins empty, so that the first bytes are waited for as well', async () => {
    const clock = new PacedClock();
    const bucket = new TokenBucket(1000, clock);
    let taken = false;
    void bucket.take(500, NEVER).then(() => (taken = true));
    await clock.pass(499);
    assert.equal(taken, false);
    await clock.pass(1);
    assert.equal(taken, true);
  });

  test('keeps no more than two seconds of what nobody asked for', async () => {
    const clock = new PacedClock();
    const bucket = new TokenBucket(1000, clock);
    await clock.pass(3_600_000);
    const counted = { bytes: 0 };
    drink(bucket, 100, counted);
    await clock.pass(0);
    assert.equal(counted.bytes, 2000);
  });

  test('serves whoever came first, though others need less', async () => {
    const clock = new PacedClock();
    const bucket = new TokenBucket(1000, clock);
    const served: string[] = [];
    void bucket.take(1000, NEVER).then(() => served.push('large'));
    void bucket.take(1, NEVER).then(() => served.push('small'));
    await clock.pass(999);
    assert.deepEqual(served, []);
    await clock.pass(2);
    assert.deepEqual(served, ['large', 'small']);
  });

  test('gives more at once than it keeps, and waits for it afterwards', async () => {
    const clock = new PacedClock();
    const bucket = new TokenBucket(1000, clock);
    const served: number[] = [];
    for (const bytes of [5000, 1000]) void bucket.take(bytes, NEVER).then(() => served.push(bytes));
    await clock.pass(2000);
    assert.deepEqual(served, [5000]);
    await clock.pass(3999);
    assert.deepEqual(served, [5000]);
    await clock.pass(1);
    assert.deepEqual(served, [5000, 1000]);
  });

  test('is left by who gives up, and those behind go on', async () => {
    const clock = new PacedClock();
    const bucket = new TokenBucket(1000, clock);
    const giveUp = new AbortController();
    const left = assert.rejects(bucket.take(2000, giveUp.signal), /dropped/);
    let taken = false;
    void bucket.take(100, NEVER).then(() => (taken = true));
    await clock.pass(200);
    assert.equal(taken, false);
    giveUp.abort(new Error('dropped'));
    await left;
    await clock.pass(0);
    assert.equal(taken, true);
  });

  test('lets what was spent without asking be waited for', async () => {
    const clock = new PacedClock();
    const bucket = new TokenBucket(1000, clock);
    bucket.spend(3000);
    let taken = false;
    void bucket.take(0, NEVER).then(() => (taken = true));
    await clock.pass(2999);
    assert.equal(taken, false);
    await clock.pass(1);
    assert.equal(taken, true);
  });
});
