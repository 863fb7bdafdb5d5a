import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, test } from 'node:test';
import { createZstdDecompress, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { codecOf, type CompressorChoice } from '../../../../src/format/compress/codec.ts';
import { compress } from '../../../../src/format/compress/compress.ts';
import { isalProblem } from '../../../../src/format/compress/isal.ts';
import { withoutZstdToken } from '../../../../src/format/compress/token.ts';
import { createUnpacker } from '../../../../src/format/compress/unpack.ts';
import { ContentProof } from '../../../../src/format/proof.ts';

const LINES = Buffer.from(Array.from({ length: 5000 }, (_, at) => `{"id":${at}}\n`).join(''));
const LIMITS = { contentBytes: LINES.length, windowBytes: 8 * 1024 ** 2 };

async function pack(content: Buffer, choice: CompressorChoice, token?: string): Promise<Buffer> {
  const proof = new ContentProof();
  async function* once(): AsyncGenerator<Buffer, void, undefined> {
    if (content.length === 0) return;
    proof.add(content);
    yield content;
  }
  const slices: Buffer[] = [];
  for await (const slice of compress(once(), choice, proof, token)) slices.push(Buffer.from(slice));
  return Buffer.concat(slices);
}

const ENGINES = [
  { key: 'x.jsonl.gz', choice: { engine: 'isal', level: 1 }, skip: isalProblem() ?? false },
  { key: 'x.jsonl.gz', choice: { engine: 'zlib', level: 6 }, skip: false },
  { key: 'x.jsonl.zst', choice: { engine: 'zstd', level: 3 }, skip: false },
] as const;

describe('the token of an attempt', () => {
  for (const { key, choice, skip } of ENGINES) {
    for (const [what, content] of [
      ['lines', LINES],
      ['nothing', Buffer.alloc(0)],
    ] as const) {
      test(`makes objects of ${what} by ${choice.engine} differ, and nobody reads it`, { skip }, async () => {
        const [plain, one, other] = [
          await pack(content, choice),
          await pack(content, choice, '01020304'),
          await pack(content, choice, 'deadbeef'),
        ];
        assert.ok(!one.equals(other) && !one.equals(plain));
        assert.ok(one.includes(Buffer.from('01020304', 'hex')));
        const read = key.endsWith('.gz') ? gunzipSync(one) : zstdDecompressSync(one);
        assert.ok(read.equals(content));
        for (const step of [1, 7, one.length - 5, one.length]) {
          const pieces: Buffer[] = [];
          const unpacker = createUnpacker(codecOf(key)!, LIMITS, (piece) => pieces.push(Buffer.from(piece)));
          for (let at = 0; at < one.length; at += step) await unpacker.write(one.subarray(at, at + step));
          assert.equal(await unpacker.end(), undefined, `in pieces of ${step}`);
          assert.ok(Buffer.concat(pieces).equals(content));
        }
      });
    }
  }

  test('of plain JSON Lines has no place', async () => {
    assert.ok((await pack(LINES, { engine: 'none', level: 0 }, '01020304')).equals(LINES));
  });

  test('of gzip is passed over by gzip itself', async () => {
    const { stdout, status } = spawnSync('gzip', ['-dc'], {
      input: await pack(LINES, { engine: 'zlib', level: 6 }, '01020304'),
    });
    assert.equal(status, 0);
    assert.ok(stdout.equals(LINES));
  });

  test('of zstd is taken out before a stream decompresses it, wherever a slice ends', async () => {
    const body = await pack(LINES, { engine: 'zstd', level: 3 }, '01020304');
    for (let end = body.length - 13; end <= body.length; end += 1) {
      const slices = Readable.from([body.subarray(0, end), body.subarray(end)]);
      const read: Buffer[] = [];
      await pipeline(slices, withoutZstdToken, createZstdDecompress(), async (content: AsyncIterable<Buffer>) => {
        for await (const piece of content) read.push(piece);
      });
      assert.ok(Buffer.concat(read).equals(LINES));
    }
  });

  test('of zstd may be missing, and what else follows the frame is damage', async () => {
    const plain = await pack(LINES, { engine: 'zstd', level: 3 });
    const token = Buffer.from('502a4d180400000001020304', 'hex');
    for (const [body, problem] of [
      [plain, undefined],
      [Buffer.concat([plain, token, token]), /^12 bytes follow/],
      [Buffer.concat([plain, token.fill(0, 0, 1)]), /damaged|follow/],
    ] as const) {
      const unpacker = createUnpacker('zstd', LIMITS, () => undefined);
      await unpacker.write(Buffer.from(body));
      const found = await unpacker.end();
      if (problem === undefined) assert.equal(found, undefined);
      else assert.match(found ?? 'nothing', problem);
    }
  });
});
