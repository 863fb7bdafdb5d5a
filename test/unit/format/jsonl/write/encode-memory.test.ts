import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import {
  giveBuffersBack,
  isInMemory,
  lendBuffers,
  type EncodeBuffers,
} from '../../../../../src/format/jsonl/write/binary/encode-memory.ts';
import { copyJson, copyJsonb, encodeText, escapeText } from '../../../../../src/format/jsonl/write/binary/text.ts';
import { triesOf } from '../../../../support/thorough.ts';

describe('text by SIMD', () => {
  const simd = lendBuffers();
  after(() => {
    giveBuffersBack(simd);
  });

  it('is what this machine uses', () => {
    assert.equal(isInMemory(simd.window, linesOf(simd), 0, 1), true);
  });

  it('escapes every byte as the loops do, at every place of a value', () => {
    for (let byte = 0; byte < 256; byte += 1) {
      for (let place = 0; place < 35; place += 1) {
        const value = new Uint8Array(35).fill(0x61);
        value[place] = byte;
        assertSame(simd, value);
      }
    }
  });

  it('does any bytes at any place as the loops do', () => {
    const value = fc.uint8Array({ maxLength: 400 });
    const dense = fc.array(fc.constantFrom(0, 0x0a, 0x1f, 0x20, 0x22, 0x5c, 0x61, 0xc3), { maxLength: 300 });
    fc.assert(
      fc.property(
        fc.oneof(
          value,
          dense.map((bytes) => Uint8Array.from(bytes)),
        ),
        fc.nat(40),
        fc.nat(40),
        (bytes, at, to) => {
          assertSame(simd, bytes, at, to);
        },
      ),
      { numRuns: triesOf(1000, 3000) },
    );
  });

  it('does a value of many pieces, and one that the buffer has no room for', () => {
    for (const bytes of [4096, 4097, 100_000, 200_000]) {
      assertSame(simd, new Uint8Array(bytes).fill(0x61));
      assertSame(simd, new Uint8Array(bytes).fill(0x01));
    }
  });

  it('writes nothing outside of the value but a few bytes behind it, also at the end of the buffer', () => {
    const [first, second] = simd.lines;
    assert.ok(first !== undefined && second !== undefined);
    const untouched = Buffer.alloc(second.length, 0xee);
    for (let room = 0; room < 200; room += 1) {
      first.fill(0xee);
      second.fill(0xee);
      simd.window.fill(0x62, 0, 40);
      const to: number = first.length - room;
      assert.equal(escapeText(simd.window, 0, 40, first, to), to + 40);
      assert.equal(first[to - 1] ?? 0xee, 0xee);
      assert.equal(untouched.compare(second), 0, `with room for ${room} bytes`);
    }
  });

  it('is lent to one segment at a time', () => {
    const other = lendBuffers();
    assert.notEqual(other.window, simd.window);
    assert.equal(isInMemory(other.window, linesOf(other), 0, 1), false);
    giveBuffersBack(other);
    assert.notEqual(lendBuffers().window, simd.window);
  });
});

/** All encoders of text and JSON give the same bytes in the memory and outside of it. The text of a jsonb has no line breaks. */
function assertSame(simd: EncodeBuffers, anyValue: Uint8Array, at = 0, to = 0): void {
  const lines = linesOf(simd);
  for (const encode of [escapeText, encodeText, copyJson, copyJsonb]) {
    const value = encode === copyJsonb ? jsonbOf(anyValue) : anyValue;
    simd.window.set(value, at);
    plain.set(value, at);
    const end = encode(plain, at, at + value.length, expected, to);
    const found = encode(simd.window, at, at + value.length, lines, to);
    assert.equal(found, end);
    const stop = Math.min(end, lines.length);
    assert.ok(
      Buffer.from(lines.buffer, lines.byteOffset + to, stop - to).equals(expected.subarray(to, stop)),
      encode.name,
    );
  }
}

/** Outside of the memory; of the sizes of the buffers there. */
const plain = new Uint8Array(256 * 1024);
const expected = new Uint8Array(576 * 1024);

function jsonbOf(text: Uint8Array): Uint8Array {
  return Uint8Array.from([1, ...text].map((byte) => (byte === 0x0a || byte === 0x0d ? 0x20 : byte)));
}

function linesOf({ lines }: EncodeBuffers): Uint8Array {
  const [first] = lines;
  assert.ok(first !== undefined);
  return first;
}
