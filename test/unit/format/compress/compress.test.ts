import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { crc32, gunzipSync, gzipSync, inflateRawSync, zstdDecompressSync } from 'node:zlib';
import { chooseCompressor, type CompressorChoice } from '../../../../src/format/compress/codec.ts';
import { compress } from '../../../../src/format/compress/compress.ts';
import { LINE_BUFFERS } from '../../../../src/format/jsonl/line-buffer.ts';
import { ContentProof } from '../../../../src/format/proof.ts';
import { isalProblem } from '../../../../src/format/compress/isal.ts';
import { skipWithout } from '../../../support/needs.ts';

/** Buffers as the readers give them: some in turn, each overwritten once as many after it were asked for. */
async function* inTurn(pieces: readonly Buffer[], proof: ContentProof): AsyncGenerator<Buffer, void, undefined> {
  const buffers = Array.from({ length: LINE_BUFFERS }, () => Buffer.alloc(1024 ** 2));
  for (const [index, piece] of pieces.entries()) {
    proof.add(piece);
    const buffer = buffers[index % LINE_BUFFERS]!;
    buffer.fill(0xee);
    piece.copy(buffer);
    yield buffer.subarray(0, piece.length);
  }
}

async function pack(pieces: readonly Buffer[], choice: CompressorChoice): Promise<Buffer> {
  const slices: Buffer[] = [];
  const proof = new ContentProof();
  for await (const slice of compress(inTurn(pieces, proof), choice, proof)) slices.push(Buffer.from(slice));
  return Buffer.concat(slices);
}

/** Lines that compress about as the article's do, cut into pieces of uneven size. */
function linesInPieces(bytes: number): Buffer[] {
  const pieces: Buffer[] = [];
  let seed = 1;
  for (let total = 0; total < bytes;) {
    let text = '';
    const wanted = 1 + ((seed * 7919) % 200_000);
    while (text.length < wanted) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      text += `{"id":${seed},"text":"the quick brown fox ${seed % 97} jumps over"}\n`;
    }
    pieces.push(Buffer.from(text));
    total += text.length;
  }
  return pieces;
}

const NO_ISAL = skipWithout('libisal.so.2', isalProblem() ?? false);
const ENGINES: { name: string; choice: CompressorChoice; unpack: (bytes: Buffer) => Buffer; skip: string | false }[] = [
  ...[1, 2, 3].map((level) => ({
    name: `isal, level ${level}`,
    choice: { engine: 'isal', level } as const,
    unpack: (bytes: Buffer) => gunzipSync(bytes),
    skip: NO_ISAL,
  })),
  { name: 'zlib', choice: { engine: 'zlib', level: 6 }, unpack: (bytes) => gunzipSync(bytes), skip: false },
  { name: 'zstd', choice: { engine: 'zstd', level: 3 }, unpack: (bytes) => zstdDecompressSync(bytes), skip: false },
  { name: 'none', choice: { engine: 'none', level: 0 }, unpack: (bytes) => bytes, skip: false },
];

describe('ISA-L, whose memory goes from one member to the next', { skip: NO_ISAL }, () => {
  test('makes a whole member where another one was broken off, and two at once', async () => {
    const choices = [1, 3].map((level) => ({ engine: 'isal', level }) as const);
    const content = Buffer.from('a line of some length\n'.repeat(20_000));
    const broken = compress(inTurn([content, content], new ContentProof()), choices[1]!, new ContentProof());
    for await (const slice of broken) {
      assert.ok(slice.length > 0);
      break;
    }
    for (let turn = 0; turn < 2; turn += 1)
      for (const packed of await Promise.all(choices.map((choice) => pack([content], choice))))
        assert.ok(gunzipSync(packed).equals(content));
  });
});

describe('zlib on more than one core', () => {
  const pieces = linesInPieces(6e6);

  test('makes one gzip member, hardly bigger than zlib does in one go', async () => {
    const packed = await pack(pieces, { engine: 'zlib', level: 6 });
    const alone = gzipSync(Buffer.concat(pieces), { level: 6, memLevel: 9 });
    assert.ok(packed.length < alone.length * 1.01, `${packed.length} bytes, not ${alone.length}`);
    // Of several members it would give back the first one only.
    const inflated = inflateRawSync(packed.subarray(10));
    assert.equal(inflated.length, Buffer.concat(pieces).length);
  });

  for (const program of ['gzip', 'pigz', 'igzip'] as const) {
    test(`is read by ${program}`, { skip: program !== 'gzip' && skipWithout(program) }, async () => {
      const packed = await pack(pieces, { engine: 'zlib', level: 6 });
      const { status, stdout } = spawnSync(program, ['-dc'], { input: packed, maxBuffer: 64e6 });
      assert.equal(status, 0);
      assert.ok(stdout.equals(Buffer.concat(pieces)));
    });
  }

  for (const level of [0, 1, 9]) {
    test(`takes level ${level}`, async () => {
      const unpacked = gunzipSync(await pack(pieces, { engine: 'zlib', level }));
      assert.ok(unpacked.equals(Buffer.concat(pieces)));
    });
  }
});

for (const { name, choice, unpack, skip } of ENGINES) {
  describe(`compressing by ${name}`, { skip }, () => {
    test('gives back what went in, whatever the pieces', async () => {
      const pieces = linesInPieces(6e6);
      const content = Buffer.concat(pieces);
      const unpacked = unpack(await pack(pieces, choice));
      assert.equal(unpacked.length, content.length);
      assert.equal(crc32(unpacked), crc32(content));
    });

    test('gives back nothing for nothing', async () => {
      assert.equal(unpack(await pack([], choice)).length, 0);
    });

    test('passes on the very error of what it reads', async () => {
      const cause = new Error('the source broke');
      const broken = (async function* () {
        yield Buffer.from('{}\n');
        throw cause;
      })();
      await assert.rejects(async () => {
        for await (const slice of compress(broken, choice, new ContentProof())) assert.ok(slice.length > 0);
      }, cause);
    });
  });
}

for (const { name, choice, skip } of ENGINES.filter(
  ({ unpack, choice }) => choice.engine !== 'none' && choice.engine !== 'zstd' && unpack.length >= 0,
)) {
  test(`${name} makes exactly one gzip member`, { skip }, async () => {
    const packed = await pack(linesInPieces(2e6), choice);
    assert.deepEqual([...packed.subarray(0, 3)], [0x1f, 0x8b, 8]);
    const content = Buffer.concat(linesInPieces(2e6));
    // The trailer at the very end is that of the whole content, so no second member follows.
    assert.equal(packed.readUInt32LE(packed.length - 8), crc32(content));
    assert.equal(packed.readUInt32LE(packed.length - 4), content.length);
  });
}

test('auto takes ISA-L up to its highest level, and zlib above it', { skip: NO_ISAL }, () => {
  assert.deepEqual(chooseCompressor({ codec: 'gzip', engine: 'auto' }), { engine: 'isal', level: 1 });
  assert.deepEqual(chooseCompressor({ codec: 'gzip', engine: 'auto', level: 3 }), { engine: 'isal', level: 3 });
  assert.deepEqual(chooseCompressor({ codec: 'gzip', engine: 'auto', level: 4 }), { engine: 'zlib', level: 4 });
});

test('zlib and zstd go by their own default levels', () => {
  assert.deepEqual(chooseCompressor({ codec: 'gzip', engine: 'zlib' }), { engine: 'zlib', level: 6 });
  assert.deepEqual(chooseCompressor({ codec: 'zstd', engine: 'auto' }), { engine: 'zstd', level: 1 });
});
