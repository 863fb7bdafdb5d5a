import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { LineDigest } from '../../../src/format/digest.ts';

function digest(content: string, pieceBytes = Infinity): string {
  const lines = new LineDigest();
  const bytes = Buffer.from(content);
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const piece = Buffer.from(bytes.subarray(at, at + pieceBytes));
    lines.add(piece);
    piece.fill(0);
  }
  return lines.value;
}

const LINES = ['{"a":1}', '', '{"a":"😀"}', '{"a":1}'];

test('a digest of lines is the sum of the first half of their MD5s, modulo 2^64', () => {
  const sum = LINES.reduce((total, line) => total + createHash('md5').update(line).digest().readBigUInt64BE(0), 0n);
  assert.equal(digest(LINES.map((line) => `${line}\n`).join('')), (sum % 2n ** 64n).toString());
  assert.equal(digest(''), '0');
});

test('it depends neither on the order of lines nor on where the bytes are cut', () => {
  const whole = digest(LINES.map((line) => `${line}\n`).join(''));
  assert.equal(
    digest(
      LINES.toReversed()
        .map((line) => `${line}\n`)
        .join(''),
    ),
    whole,
  );
  for (let bytes = 1; bytes < 30; bytes += 1)
    assert.equal(digest(LINES.map((line) => `${line}\n`).join(''), bytes), whole);
});

test('it tells a row that is there twice, and one that has changed', () => {
  assert.notEqual(digest('x\nx\n'), digest('x\n'));
  assert.notEqual(digest('x\ny\n'), digest('x\nz\n'));
});
