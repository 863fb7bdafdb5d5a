import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { constants, crc32, createGunzip, createZstdCompress, gzipSync, zstdCompressSync } from 'node:zlib';
import type { Codec } from '../../../../src/format/compress/codec.ts';
import { isalProblem } from '../../../../src/format/compress/isal.ts';
import { createUnpacker, type Inflater } from '../../../../src/format/compress/unpack.ts';
import { freeChunk } from '../../../../src/format/compress/unpacking.ts';
import { skipWithout } from '../../../support/needs.ts';

const MIB = 1024 ** 2;
const CONTENT = Buffer.from(
  Array.from({ length: 20_000 }, (_, at) => `{"id":${at},"v":"${(at * 2_654_435_761) % 1e9}"}\n`).join(''),
);
const PACKED = {
  gzip: gzipSync(CONTENT),
  zstd: zstdCompressSync(CONTENT, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
  none: CONTENT,
};

async function unpack(
  codec: Codec,
  body: Buffer,
  step: number,
  windowBytes = 8 * MIB,
  inflater: Inflater = 'zlib',
): Promise<{ problem: string | undefined; content: Buffer; crc32: string }> {
  const pieces: Buffer[] = [];
  const limits = { contentBytes: 4 * MIB, windowBytes };
  const unpacker = createUnpacker(codec, limits, (piece) => pieces.push(Buffer.from(piece)), inflater);
  for (let at = 0; at < body.length; at += step) await unpacker.write(body.subarray(at, at + step));
  return { problem: await unpacker.end(), content: Buffer.concat(pieces), crc32: unpacker.content.crc32 };
}

async function checkByIsal(body: Buffer, step: number, expected: Awaited<ReturnType<typeof unpack>>): Promise<void> {
  const { problem, content, crc32: sum } = await unpack('gzip', body, step, 8 * MIB, 'isal');
  assert.deepEqual([problem, sum], [expected.problem, expected.crc32]);
  assert.ok(content.equals(expected.content));
}

function hexOf(sum: number): string {
  return sum.toString(16).padStart(8, '0');
}

const withoutIsal = skipWithout('libisal.so.2', isalProblem() ?? false);

const STEPS = [777, 64 * 1024, 1e9];

describe('an unpacker', () => {
  for (const codec of ['gzip', 'zstd', 'none'] as const) {
    test(`of ${codec} gives the content back, in pieces of any size`, async () => {
      // At the end of the compressed data a piece ends as well: the trailer of gzip comes alone.
      for (const step of [...STEPS, PACKED[codec].length - 8]) {
        const { problem, content } = await unpack(codec, PACKED[codec], step);
        assert.equal(problem, undefined);
        assert.ok(content.equals(CONTENT));
      }
    });
  }

  for (const codec of ['gzip', 'zstd'] as const) {
    const body = PACKED[codec];
    const flipped = Buffer.from(body);
    flipped.writeUInt8(flipped.readUInt8(body.length >> 1) ^ 4, body.length >> 1);
    const damages: [string, Buffer, RegExp][] = [
      ['cut in the middle', body.subarray(0, body.length >> 1), /unexpected end/],
      ['cut by one byte', body.subarray(0, -1), /cut off|unexpected end/],
      ['cut by nine bytes', body.subarray(0, -9), /unexpected end/],
      ['one byte too long', Buffer.concat([body, Buffer.alloc(1)]), /^1 bytes follow/],
      ['twice', Buffer.concat([body, body]), /bytes follow/],
      ['changed by a bit', flipped, /damaged/],
      ['nothing at all', Buffer.alloc(0), /does not begin|unexpected end/],
      ['another thing', CONTENT, /does not begin|damaged/],
    ];
    for (const [what, damaged, message] of damages) {
      test(`of ${codec} says of what is ${what}`, async () => {
        for (const step of STEPS) assert.match((await unpack(codec, damaged, step)).problem ?? 'nothing', message);
      });
    }
  }

  test('of gzip by ISA-L gives what zlib gives, whatever it was compressed by', { skip: withoutIsal }, async () => {
    const random = randomBytes(50_000);
    const words = Buffer.from(Array.from({ length: 9000 }, (_, at) => `${(at * 7919) % 1000} `).join(''));
    const contents = [Buffer.alloc(0), Buffer.from('x'), CONTENT, random, words, Buffer.alloc(MIB, 'abc')];
    const { Z_DEFAULT_STRATEGY, Z_FIXED, Z_HUFFMAN_ONLY } = constants;
    for (const content of contents)
      for (const strategy of [Z_DEFAULT_STRATEGY, Z_FIXED, Z_HUFFMAN_ONLY])
        for (const level of [0, 1, 6]) {
          const body = gzipSync(content, { level, strategy });
          for (const step of [...STEPS, body.length - 8])
            await checkByIsal(body, step, { problem: undefined, content, crc32: hexOf(crc32(content)) });
        }
  });

  test('of gzip by ISA-L refuses what is cut, and what follows', { skip: withoutIsal }, async () => {
    const body = gzipSync(CONTENT.subarray(0, 300));
    const flags = Buffer.from(body);
    const odd = [flags, Buffer.concat([body, body]), Buffer.concat([body, Buffer.from('more')])];
    flags[3] = 4;
    for (let at = 0; at < body.length; at += 1) odd.push(body.subarray(0, at));
    for (const packed of odd)
      for (const step of [13, 1e9]) {
        const byZlib = await unpack('gzip', packed, step);
        const { problem = '' } = await unpack('gzip', packed, step, 8 * MIB, 'isal');
        if (byZlib.problem?.includes('unexpected end')) assert.match(problem, /it ends too early$/);
        else assert.equal(problem, byZlib.problem);
      }
  });

  test('of gzip by ISA-L lets others have their turn, and stops where it should', { skip: withoutIsal }, async () => {
    const limits = { contentBytes: 48 * MIB, windowBytes: 0 };
    let bytes = 0;
    const unpacker = createUnpacker('gzip', limits, (piece) => (bytes += piece.length), 'isal');
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 0);
    await unpacker.write(gzipSync(Buffer.alloc(64 * MIB)));
    clearInterval(timer);
    assert.ok(turns > 0, 'nobody else had a turn');
    assert.equal(await unpacker.end(), undefined);
    assert.deepEqual([unpacker.isFull, bytes, unpacker.content.bytes], [true, 48 * MIB, 48 * MIB]);
  });

  test('of gzip compares the checksum and the length in the trailer', async () => {
    for (const at of [8, 4]) {
      const body = Buffer.from(PACKED.gzip);
      body.writeUInt8(body.readUInt8(body.length - at) ^ 1, body.length - at);
      assert.match((await unpack('gzip', body, 1e9)).problem ?? '', /checksum and its content differ/);
    }
  });

  test('of zstd gives no larger window than it may, whatever the object says that it wants', async () => {
    const params = { [constants.ZSTD_c_compressionLevel]: 20, [constants.ZSTD_c_windowLog]: 25 };
    // Of a content whose length is not said, the window is.
    const stream = createZstdCompress({ params });
    stream.end(CONTENT);
    const body = await buffer(stream);
    const refused = await unpack('zstd', body, 1e9);
    assert.match(refused.problem ?? '', /^its zstd looks back further than the 8\.0 MiB that this config allows for/);
    assert.equal(refused.content.length, 0);
    const { problem, content } = await unpack('zstd', body, 1e9, 32 * MIB);
    assert.deepEqual({ problem, content }, { problem: undefined, content: CONTENT });
  });

  for (const codec of ['gzip', 'zstd'] as const) {
    test(`of ${codec} stops in the middle of an object that holds far more than it should`, async () => {
      const bomb = { gzip: gzipSync, zstd: zstdCompressSync }[codec](Buffer.alloc(64 * MIB));
      const mostBytes = MIB;
      let bytes = 0;
      const unpacker = createUnpacker(
        codec,
        { contentBytes: mostBytes, windowBytes: 8 * MIB },
        (piece) => (bytes += piece.length),
      );
      await unpacker.write(bomb);
      assert.equal(await unpacker.end(), undefined);
      assert.equal(unpacker.isFull, true);
      assert.ok(bytes <= mostBytes, `${bytes} bytes came out`);
    });
  }
});

test('a chunk that fills its buffer is freed at once, and no other: the stream writes into its rest, or others share it', async () => {
  const content = Buffer.alloc(300 * 1024, 'abcdefg');
  const seen: Buffer[] = [];
  const states: boolean[] = [];
  for await (const chunk of Readable.from([gzipSync(content)]).pipe(createGunzip({ chunkSize: 128 * 1024 }))) {
    seen.push(Buffer.from(chunk as Buffer));
    freeChunk(chunk as Buffer);
    states.push((chunk as Buffer).buffer.byteLength === 0);
  }
  assert.deepEqual([states.at(0), states.at(-1)], [true, false]);
  assert.deepEqual(Buffer.concat(seen), content);
  const own = Buffer.alloc(10);
  freeChunk(own);
  assert.equal(own.length, 10);
});
