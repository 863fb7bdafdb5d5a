import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailureError } from '../../../src/base/errors.ts';
import { noteLongLine } from '../../../src/format/jsonl/copy-line.ts';
import { checkRowCounts, ContentProof } from '../../../src/format/proof.ts';

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

test('the longest line is found, wherever the buffers are cut', () => {
  const content = Buffer.from('12\n\n12345678\n1234567\n');
  for (let cut = 0; cut <= content.length; cut += 1) {
    const proof = new ContentProof();
    proof.add(content.subarray(0, cut));
    proof.add(content.subarray(cut));
    assert.deepEqual([proof.lines, proof.bytes, proof.longestLine], [4, content.length, 8]);
  }
});

test('a line is noted only when COPY cannot bring it back', () => {
  assert.deepEqual([noteLongLine(9, 10), noteLongLine(10, 10), noteLongLine(11, 10)], [{}, {}, { longestLine: 11 }]);
  assert.deepEqual(noteLongLine(2 ** 29 - 1), {});
  assert.deepEqual(noteLongLine(2 ** 29), { longestLine: 2 ** 29 });
});
