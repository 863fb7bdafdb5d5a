import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatCount } from '../../../src/base/units.ts';

test('a count is grouped by thousands, as the system does it for English', () => {
  for (const count of [0, 7, 999, 1000, 12_345, 999_999, 1_000_000, 466_000.4, 1_234_567_890_123, -5, -1000, -123_456])
    assert.equal(formatCount(count), Math.round(count).toLocaleString('en-US'));
});
