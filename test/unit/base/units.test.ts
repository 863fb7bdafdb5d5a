import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatCount, parseDuration, parseSize, writeDuration, writeSize } from '../../../src/base/units.ts';

test('a count is grouped by thousands, as the system does it for English', () => {
  for (const count of [0, 7, 999, 1000, 12_345, 999_999, 1_000_000, 466_000.4, 1_234_567_890_123, -5, -1000, -123_456])
    assert.equal(formatCount(count), Math.round(count).toLocaleString('en-US'));
});

test('a duration and a size are written as they are read, in the largest unit that is exact', () => {
  for (const [ms, text] of [
    [0, '0ms'],
    [1500, '1500ms'],
    [90_000, '90s'],
    [5_400_000, '90m'],
    [90 * 86_400_000, '90d'],
  ] as const) {
    assert.equal(writeDuration(ms), text);
    assert.equal(parseDuration(text), ms);
  }
  for (const [bytes, text] of [
    [0, '0B'],
    [1000, '1000B'],
    [1536, '1536B'],
    [5 * 1024 ** 2, '5MiB'],
    [1024 ** 4, '1TiB'],
  ] as const) {
    assert.equal(writeSize(bytes), text);
    assert.equal(parseSize(text), bytes);
  }
});
