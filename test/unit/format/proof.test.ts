import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FailureError } from '../../../src/base/errors.ts';
import { noteLongLine } from '../../../src/format/jsonl/copy-line.ts';
import {
  giveBuffersBack,
  lendBuffers,
  lineEndsBySimd,
  memoryOf,
} from '../../../src/format/jsonl/write/binary/encode-memory.ts';
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

test('lines in the memory of WebAssembly are counted there, wherever they begin and end', (t) => {
  const buffers = lendBuffers();
  t.after(() => {
    giveBuffersBack(buffers);
  });
  const [lines] = buffers.lines;
  assert.ok(lines !== undefined);
  const memory = Buffer.from(lines.buffer, lines.byteOffset, lines.length);
  assert.ok(memoryOf(buffers) === undefined || lineEndsBySimd(memory) !== undefined);
  assert.equal(lineEndsBySimd(Buffer.alloc(8)), undefined);
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.constantFrom('', '1', '22', '7777777', 'x'.repeat(63), 'x'.repeat(64), 'x'.repeat(200)))),
      fc.nat(70),
      (pieces, at) => {
        const [proof, other] = [new ContentProof(lineEndsBySimd), new ContentProof()];
        memory.fill('\n', 0, 100);
        for (const piece of pieces) {
          const content = Buffer.from(piece.join('\n'));
          memory.fill('\n', at + content.length, at + content.length + 100);
          content.copy(memory, at);
          proof.add(memory.subarray(at, at + content.length));
          other.add(content);
        }
        assert.deepEqual(
          [proof.lines, proof.bytes, proof.longestLine, proof.crc32],
          [other.lines, other.bytes, other.longestLine, other.crc32],
        );
      },
    ),
  );
  // To the last byte of all buffers, which is that of the memory.
  const last = buffers.lines.at(-1);
  assert.ok(last !== undefined);
  last.fill(0x0a);
  const proof = new ContentProof(lineEndsBySimd);
  proof.add(Buffer.from(last.buffer, last.byteOffset, last.length));
  assert.deepEqual([proof.lines, proof.longestLine], [last.length, 0]);
});

test('a line is noted only when COPY cannot bring it back', () => {
  assert.deepEqual([noteLongLine(9, 10), noteLongLine(10, 10), noteLongLine(11, 10)], [{}, {}, { longestLine: 11 }]);
  assert.deepEqual(noteLongLine(2 ** 29 - 1), {});
  assert.deepEqual(noteLongLine(2 ** 29), { longestLine: 2 ** 29 });
});
