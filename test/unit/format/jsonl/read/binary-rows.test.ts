import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { FailureError } from '../../../../../src/base/errors.ts';
import { measureRows, toBinaryRows } from '../../../../../src/format/jsonl/read/binary-rows.ts';
import { row, SIGNATURE, TRAILER } from '../../../../support/copy-stream.ts';

const COLUMNS = [{ isBytea: false }, { isBytea: true }];
const TEXT = String.raw`a\tb\\\b\f\n\r ü${'\t'}\\x00ff5c${'\n'}\N${'\t'}\N${'\n'}${'\t'}\\x${'\n'}\\N${'\t'}\\xab${'\n'}`;

async function* cut(text: string, bytes: number): AsyncGenerator<Buffer, void, undefined> {
  const whole = Buffer.from(text);
  for (let at = 0; at < whole.length; at += bytes) yield whole.subarray(at, at + bytes);
}

async function toBinary(text: string, pieceBytes: number, measured = text): Promise<Buffer> {
  const widths = measureRows(cut(measured, 7), COLUMNS);
  return buffer(toBinaryRows(cut(text, pieceBytes), COLUMNS, widths));
}

describe('rows of COPY become binary', () => {
  const expected = Buffer.concat([
    SIGNATURE,
    row(Buffer.from('a\tb\\\b\f\n\r ü'), Buffer.from('00ff5c', 'hex')),
    row(null, null),
    row(Buffer.alloc(0), Buffer.alloc(0)),
    row(Buffer.from('\\N'), Buffer.from('ab', 'hex')),
    TRAILER,
  ]);

  test('cut anywhere', async () => {
    for (const bytes of [1, 2, 3, 5, 1000]) assert.deepEqual(await toBinary(TEXT, bytes), expected, `${bytes}`);
  });

  test('and none is sent that the server cannot make a row of', async () => {
    const widths = measureRows(cut('abc\t\\\\x00\nabcd\t\\\\x00\n', 100), COLUMNS, 12);
    await assert.rejects(Readable.from(widths).toArray(), (error: unknown) => {
      assert.ok(error instanceof FailureError);
      assert.equal(error.failure.code, 'line-too-long');
      assert.match(error.failure.message, /^row 2 of the object has 13 bytes in its values, .* of 12 at most$/);
      return true;
    });
  });

  test('not what is no bytea, or not the same at the second reading', async () => {
    await assert.rejects(toBinary('a\t\\\\xzz\n', 100), /hex digits/);
    await assert.rejects(toBinary('ab\t\\N\n', 100, 'a\t\\N\n'), /the second reading/);
    await assert.rejects(toBinary('a\t\\N\na\t\\N\n', 100, 'a\t\\N\n'), /the second reading/);
  });
});
