import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { gunzipByIsal, gunzipByZlib } from '../../../../src/format/compress/gunzip.ts';
import { IsalInflate } from '../../../../src/format/compress/isal-inflate.ts';
import { crc32Of, isalProblem } from '../../../../src/format/compress/isal.ts';
import { skipWithout } from '../../../support/needs.ts';

type Gunzip = (...args: Parameters<typeof gunzipByIsal>) => AsyncIterable<Buffer>;

/** In slices of these lengths, again and again, each of which is overwritten once the next one is asked for. */
async function* cut(body: Buffer, lengths: readonly number[]): AsyncGenerator<Buffer, void, undefined> {
  for (let [at, turn] = [0, 0]; at < body.length; turn += 1) {
    const length = lengths[turn % lengths.length]!;
    yield Buffer.from(body.subarray(at, at + length));
    at += length;
  }
}

/** The content, or the code that it fails with. */
async function resultOf(gunzip: Gunzip, body: Buffer, lengths: readonly number[]): Promise<Buffer | string> {
  const found: Buffer[] = [];
  try {
    for await (const content of gunzip(cut(body, lengths), 4096)) found.push(Buffer.from(content));
    return Buffer.concat(found);
  } catch (error) {
    return String(Reflect.get(error as Error, 'code'));
  }
}

const content = fc
  .tuple(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 400 }))
  .map(([bytes, times]) => Buffer.concat(Array.from({ length: times }, () => bytes)));
const gzip = fc
  .tuple(content, fc.constantFrom(0, 1, 6, 9), fc.constantFrom(0, 4))
  .map(([bytes, level, strategy]) => gzipSync(bytes, { level, strategy }));
const ending = fc.constantFrom('none', 'zeros', 'garbage', 'member', 'short member');
const lengths = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 4 });

function withEnding(body: Buffer, kind: string): Buffer {
  const member = gzipSync('one more');
  const endings: Record<string, Buffer> = {
    none: Buffer.alloc(0),
    zeros: Buffer.alloc(20),
    garbage: Buffer.from('garbage'),
    member,
    'short member': member.subarray(0, -3),
  };
  return Buffer.concat([body, endings[kind]!]);
}

describe('a gzip by ISA-L', { skip: skipWithout('libisal.so.2', isalProblem() ?? false) }, () => {
  test('is what zlib makes of it, wherever its slices are cut and whatever follows', async () => {
    await fc.assert(
      fc.asyncProperty(gzip, ending, lengths, async (body, kind, cuts) => {
        const whole = withEnding(body, kind);
        assert.deepEqual(await resultOf(gunzipByIsal, whole, cuts), await resultOf(gunzipByZlib, whole, cuts));
      }),
      { numRuns: 200 },
    );
  });

  test('that is cut off anywhere is broken, as for zlib, and holds nothing more', async () => {
    const whole = gzipSync(Buffer.from('{"id":1,"text":"abc"}\n'.repeat(40)));
    for (let bytes = 0; bytes < whole.length; bytes += 1) {
      const short = whole.subarray(0, bytes);
      const [isal, zlib] = [await resultOf(gunzipByIsal, short, [7]), await resultOf(gunzipByZlib, short, [7])];
      assert.equal(typeof isal, typeof zlib, `${bytes} bytes`);
      if (typeof isal === 'string') assert.match(isal, /^Z_/);
    }
  });

  test('with a bit that flipped is never taken for what it was', async () => {
    const lines = Buffer.from(
      Array.from({ length: 60 }, (_, at) => `{"id":${at},"v":${(at * 7919) % 997}}\n`).join(''),
    );
    const whole = gzipSync(lines);
    for (let bit = 80; bit < whole.length * 8; bit += 3) {
      const damaged = Buffer.from(whole);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      const [isal, zlib] = [await resultOf(gunzipByIsal, damaged, [50]), await resultOf(gunzipByZlib, damaged, [50])];
      // Bits behind the last code of the stream mean nothing.
      if (typeof zlib === 'string') assert.equal(typeof isal, 'string', `bit ${bit}`);
      else assert.deepEqual(isal, zlib);
    }
  });

  test('larger than its buffers comes in several', async () => {
    const large = Buffer.alloc(3 * IsalInflate.outputBytes + 5, 'abc');
    const sizes: number[] = [];
    for await (const part of gunzipByIsal(cut(gzipSync(large), [1000]), 4096)) sizes.push(part.length);
    assert.ok(sizes.length >= 4 && Math.max(...sizes) <= IsalInflate.outputBytes);
    assert.equal(
      sizes.reduce((sum, size) => sum + size, 0),
      large.length,
    );
  });

  test('whose source fails says why, and a source that is left is told', async () => {
    const cause = new Error('gone');
    const whole = gzipSync(Buffer.alloc(10_000, 'x'));
    let isLeft = false;
    async function* failing(): AsyncGenerator<Buffer, void, undefined> {
      yield whole.subarray(0, 15);
      throw cause;
    }
    async function* watched(): AsyncGenerator<Buffer, void, undefined> {
      try {
        yield whole;
        yield whole;
      } finally {
        isLeft = true;
      }
    }
    await assert.rejects(Array.fromAsync(gunzipByIsal(failing(), 4096)), cause);
    const left = gunzipByIsal(watched(), 4096);
    await left.next();
    await left.return();
    assert.ok(isLeft);
  });
});

test('the CRC-32 of content in pieces is that of zlib, wherever they lie in memory', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 })), fc.integer({ min: 0, max: 20 }), (pieces, at) => {
      const memory = Buffer.alloc(200);
      let sum = 0;
      for (const piece of pieces) {
        memory.set(piece, at);
        sum = crc32Of(memory.subarray(at, at + piece.length), sum);
      }
      assert.equal(sum, crc32(Buffer.concat(pieces)));
    }),
  );
});
