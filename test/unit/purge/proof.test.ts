import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { BUDGET } from '../../../src/base/memory-budget.ts';
import { FailureError } from '../../../src/base/errors.ts';
import { ContentProof, ObjectProof } from '../../../src/format/proof.ts';
import type { ManifestColumn, ManifestObject } from '../../../src/ledger/manifest.ts';
import { readStretch } from '../../../src/purge/proof.ts';
import type { Store } from '../../../src/store/store.ts';

const SIGNAL = new AbortController().signal;
const LINES = Array.from({ length: 500 }, (_, at) => `{"v":"${'x\\"é'.repeat(at)}","id":${at - 3},"k":"a\\n${at}"}`);

function column(name: string): ManifestColumn {
  return { name, type: 'text', typeOid: 25, nullable: false, encoding: 'string' };
}

function object(lines: readonly string[], body: Buffer): ManifestObject {
  const content = new ContentProof();
  content.add(Buffer.from(lines.map((line) => `${line}\n`).join('')));
  const stored = new ObjectProof();
  stored.add(body);
  const { lines: rows, bytes: jsonBytes, crc32 } = content;
  const proof = { rows, jsonBytes, crc32, bytes: stored.bytes, sha256: stored.digest() };
  return { key: 'a/run=r/part-00000.jsonl.gz', ...proof, firstKey: ['1'], lastKey: ['2'], snapshot: 's' };
}

const whole = gzipSync(LINES.map((line) => `${line}\n`).join(''));

function read(body: Buffer, from = 0, { lines = LINES, of = whole, key = ['k', 'id'], pieceBytes = 1000 } = {}) {
  const store = {
    read: async function* () {
      for (let at = 0; at < body.length; at += pieceBytes) yield Buffer.from(body.subarray(at, at + pieceBytes));
    },
  } as unknown as Store;
  const columns = ['v', 'id', 'k'].map(column);
  const described = object(lines, of);
  const toRead = { store, key: described.key, object: described, columns, keyColumns: [], windowBytes: 2 ** 23 };
  return readStretch(toRead, key, from, SIGNAL);
}

test('keys are taken whole, with their digests, from the line that each is asked for on', async () => {
  for (const from of [0, 1, 499]) {
    const { keys, digests, sizes } = await read(whole, from);
    const lines = LINES.slice(from);
    assert.deepEqual(
      keys.map((values) => values.slice(0, lines.length)),
      [
        `{${lines.map((_, at) => `"a\n${at + from}"`).join(',')}}`,
        `{${lines.map((_, at) => String(at + from - 3)).join(',')}}`,
      ],
      `from ${from}`,
    );
    assert.deepEqual(digests, Buffer.concat(lines.map((line) => createHash('sha256').update(line).digest())));
    assert.deepEqual(
      sizes,
      Uint32Array.from(lines, (line) => Buffer.byteLength(line) + 1),
    );
    assert.throws(() => keys[0]!.slice(0, lines.length + 1), RangeError);
  }
  assert.equal((await read(whole, 500)).sizes.length, 0);
});

test('an object of any length is gathered in stretches of lines and of keys whose memory is known', async () => {
  const { lines: most, keyBytes } = BUDGET.purge;
  const stretchesOf = async (lines: string[], key: string[]): Promise<number[]> => {
    const body = gzipSync(lines.map((line) => `${line}\n`).join(''));
    const sizes: number[] = [];
    for (let from = 0; from < lines.length; from += sizes.at(-1)!) {
      const stretch = await read(body, from, { lines, of: body, key, pieceBytes: 2 ** 20 });
      sizes.push(stretch.sizes.length);
      assert.ok(sizes.at(-1)! > 0);
    }
    return sizes;
  };
  const short = Array.from({ length: most + 1000 }, (_, at) => `{"v":1,"id":${at},"k":1}`);
  assert.deepEqual(await stretchesOf(short, ['id']), [most, 1000]);
  const wide = Array.from({ length: 5 }, (_, at) => `{"v":1,"id":"${at}${'x'.repeat(keyBytes / 4)}","k":1}`);
  assert.deepEqual(await stretchesOf(wide, ['id']), [3, 2]);
});

test('nothing is given of an object that changed after the run was proved', async () => {
  const other = gzipSync(LINES.map((line, at) => `${at === 7 ? line.replace('a\\n', 'b\\n') : line}\n`).join(''));
  const flipped = Buffer.from(whole);
  flipped.writeUInt8(flipped.readUInt8(flipped.length - 1) ^ 1, flipped.length - 1);
  for (const body of [other, flipped, whole.subarray(0, -1), Buffer.concat([whole, whole]), Buffer.alloc(0)])
    await assert.rejects(
      read(body),
      (error) => error instanceof FailureError && error.failure.code === 'purge-archive-damaged',
    );
});
