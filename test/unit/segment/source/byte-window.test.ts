import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ByteWindow } from '../../../../src/segment/source/byte-window.ts';
import { sliced } from '../../../support/copy-stream.ts';

const CAPACITY = 32;
const STREAM = Buffer.from(Array.from({ length: 200 }, (_, index) => index));

function open(sizes: readonly number[]): ByteWindow {
  return new ByteWindow(sliced(STREAM, sizes), new Uint8Array(CAPACITY));
}

describe('the window of a COPY', () => {
  test('gives back the stream, however it is cut and however it is used up', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 3 * CAPACITY }), { minLength: 1 });
    const needs = fc.array(fc.integer({ min: 1, max: CAPACITY }), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(sizes, needs, async (slices, steps) => {
        const window = open(slices);
        const seen: number[] = [];
        for (let turn = 0; seen.length < STREAM.length; turn += 1) {
          const step = Math.min(steps[turn % steps.length]!, STREAM.length - seen.length);
          await window.need(step);
          assert.ok(window.length >= step && window.end <= CAPACITY);
          seen.push(...window.bytes.subarray(window.start, window.start + step));
          window.start += step;
        }
        assert.deepEqual(Buffer.from(seen), STREAM);
      }),
    );
  });

  test('moves what is left to the front, and holds back what does not fit', async () => {
    const window = open([20]);
    await window.need(20);
    window.start = 15;
    await window.need(30);
    assert.deepEqual([window.start, window.end], [0, CAPACITY]);
    assert.deepEqual([...window.bytes.subarray(0, 7)], [15, 16, 17, 18, 19, 20, 21]);
    window.start = CAPACITY;
    await window.fill();
    assert.deepEqual(
      [...window.bytes.subarray(window.start, window.end)],
      Array.from({ length: 13 }, (_, at) => 47 + at),
    );
  });

  test('passes on the error of a stream that ends', async () => {
    const window = open([500]);
    await window.need(CAPACITY);
    for (let used = 0; used < STREAM.length; used += CAPACITY) {
      window.start = window.end;
      if (used + CAPACITY < STREAM.length) await window.fill();
    }
    await assert.rejects(window.need(1), /the stream has ended/);
  });
});
