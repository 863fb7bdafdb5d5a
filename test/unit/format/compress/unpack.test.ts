import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { constants, createGunzip, createZstdCompress, gzipSync, zstdCompressSync } from 'node:zlib';
import type { Codec } from '../../../../src/format/compress/codec.ts';
import { createUnpacker, freeChunk } from '../../../../src/format/compress/unpack.ts';

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
): Promise<{ problem: string | undefined; content: Buffer }> {
  const pieces: Buffer[] = [];
  const unpacker = createUnpacker(codec, { contentBytes: CONTENT.length * 2, windowBytes }, (piece) =>
    pieces.push(Buffer.from(piece)),
  );
  for (let at = 0; at < body.length; at += step) await unpacker.write(body.subarray(at, at + step));
  return { problem: await unpacker.end(), content: Buffer.concat(pieces) };
}

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
    assert.deepEqual(await unpack('zstd', body, 1e9, 32 * MIB), { problem: undefined, content: CONTENT });
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
