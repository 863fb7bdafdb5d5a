import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ReplacedBytes } from '../../../../src/segment/source/replaced-bytes.ts';

type Value = Buffer | null;

/** A row as the server sends it. */
function message(values: readonly Value[]): Buffer {
  const parts: Buffer[] = [Buffer.alloc(2)];
  parts[0]!.writeInt16BE(values.length);
  for (const value of values) {
    const length = Buffer.alloc(4);
    length.writeInt32BE(value?.length ?? -1);
    parts.push(length, value ?? Buffer.alloc(0));
  }
  const body = Buffer.concat(parts);
  const header = Buffer.from('D\0\0\0\0');
  header.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}

/** Which rows have bytes that were replaced, when the stream comes in pieces of these sizes, and then in one. */
function look(rows: readonly Value[][], sizes: readonly number[]): boolean[] {
  const replaced = new ReplacedBytes();
  const messages = rows.map(message);
  let rest = Buffer.concat(messages);
  let came = 0;
  let given = 0;
  let end = 0;
  const found: boolean[] = [];
  for (const size of [...sizes, rest.length]) {
    replaced.push(rest.subarray(0, size));
    came += Math.min(size, rest.length);
    rest = rest.subarray(size);
    // The driver gives out each row that is whole.
    for (; given < rows.length && end + messages[given]!.length <= came; given += 1) {
      end += messages[given]!.length;
      const texts = rows[given]!.map((value) => value?.toString() ?? null);
      found.push(replaced.areIn(texts, messages[given]!.length - 1));
    }
  }
  return found;
}

describe('rows in which the driver has replaced bytes', () => {
  const good = Buffer.from('\u{FFFD} is one, and \u{FFFD} another, behind 😀');
  const cases: [what: string, row: Value[], expected: boolean][] = [
    ['a mark in its own right is none', [good, null, good], false],
    ['one byte', [Buffer.from([0x76, 0xe9, 0x76])], true],
    ['as many bytes as a mark has', [Buffer.from([0xf0, 0x9f, 0x98, 0x41])], true],
    ['one byte beside marks', [good, Buffer.from([0xff]), good], true],
    // A length of 61,375 bytes ends in EF BF, and BD follows.
    ['bytes that make a mark with a length before them', [Buffer.concat([Buffer.of(0xbd), Buffer.alloc(61374)])], true],
  ];
  for (const [what, row, expected] of cases)
    test(`${what}, wherever the stream is cut`, () => {
      const { length } = message(row);
      for (let at = 0; at <= Math.min(length, 200); at += 1)
        assert.deepEqual(look([[good], row, [good]], [at, 1, 1, 1]), [false, expected, false], `cut at ${at}`);
    });

  test('are those with bytes that are no UTF-8, for any rows, cut anywhere', () => {
    const piece = fc.constantFrom('\u{FFFD}', 'é', '😀', 'a').map((text) => Buffer.from(text));
    const bytes = fc.constantFrom(0xef, 0xbf, 0xbd, 0xf0, 0x9f, 0xe9, 0x41).map((byte) => Buffer.of(byte));
    const value = fc
      .array(fc.oneof({ arbitrary: piece, weight: 4 }, bytes), { maxLength: 8 })
      .map((all) => Buffer.concat(all));
    const row = fc.array(fc.option(value), { maxLength: 4 });
    fc.assert(
      fc.property(fc.array(row), fc.array(fc.nat(9)), (rows, sizes) => {
        const expected = rows.map((values) => !values.every((one) => one === null || isUtf8(one)));
        assert.deepEqual(look(rows, sizes), expected);
      }),
      { numRuns: 500 },
    );
  });
});
