import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailureError } from '../../../src/base/errors.ts';
import { checkRowCounts } from '../../../src/format/proof.ts';

test('rows that got lost between two stages fail for good, with all three counts', () => {
  checkRowCounts('events', { read: 3, encoded: 3, lines: 3 });
  for (const counts of [
    { read: 4, encoded: 3, lines: 3 },
    { read: 3, encoded: 4, lines: 3 },
    { read: 3, encoded: 3, lines: 4 },
  ]) {
    assert.throws(
      () => checkRowCounts('events', counts),
      (error) => {
        assert.ok(error instanceof FailureError);
        assert.deepEqual([error.failure.code, error.failure.transient], ['row-count-mismatch', false]);
        const { read, encoded, lines } = counts;
        assert.match(error.message, new RegExp(`${read} rows were read, ${encoded} encoded, .* ${lines} lines`));
        return true;
      },
    );
  }
});
