import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { crc32, gzipSync } from 'node:zlib';
import { isalProblem } from '../../../../src/format/compress/isal.ts';
import type { Inflater } from '../../../../src/format/compress/unpack.ts';
import type { ManifestColumn, ManifestObject } from '../../../../src/ledger/manifest.ts';
import type { Store } from '../../../../src/store/store.ts';
import { verifyObject } from '../../../../src/segment/verify/object.ts';
import { Problems, type Problem } from '../../../../src/segment/verify/problems.ts';
import { skipWithout } from '../../../support/needs.ts';

const CONTENT = Buffer.from('{"id":1,"v":"aaaaaaaaaaaa"}\n{"id":2,"v":"aaaaaaaaaaab"}\n{"id":3,"v":null}\n');
const BODY = gzipSync(CONTENT);
const OBJECT = {
  key: 'part-00000.jsonl.gz',
  rows: 3,
  jsonBytes: CONTENT.length,
  bytes: BODY.length,
  sha256: createHash('sha256').update(BODY).digest('hex'),
  crc32: crc32(CONTENT).toString(16).padStart(8, '0'),
  firstKey: ['1'],
  lastKey: ['3'],
} as ManifestObject;
const COLUMNS = ['id', 'v'].map((name) => ({ name })) as ManifestColumn[];
const { signal } = new AbortController();

interface Told {
  problems: Problem[];
  /** As progress says in the end. */
  bytes: number;
  /** How often it was read. */
  reads: number;
}

async function verify(body: Buffer, inflater: Inflater, object = OBJECT, bodies: Buffer[] = []): Promise<Told> {
  let [bytes, reads] = [0, 0];
  const store = {
    async *read() {
      // Owned, as a store gives it.
      yield Buffer.from(Uint8Array.from(bodies[reads++] ?? body).buffer);
    },
  } as unknown as Store;
  const problems = new Problems();
  const common = { key: object.key, object, columns: COLUMNS, keyColumns: ['id'], windowBytes: 2 ** 23 };
  await verifyObject({ ...common, store, inflater }, problems, signal, (more) => (bytes += more));
  return { problems: problems.list, bytes, reads };
}

describe('an object that is inflated by ISA-L', { skip: skipWithout('libisal.so.2', isalProblem() ?? false) }, () => {
  test('is read once when all is well', async () => {
    assert.deepEqual(await verify(BODY, 'isal'), { problems: [], bytes: BODY.length, reads: 1 });
  });

  test('is said to be damaged in the words of zlib, whichever bit is flipped and wherever it is cut', async () => {
    const bodies = [BODY, Buffer.alloc(1)].map((more) => Buffer.concat([BODY, more]));
    for (let at = 0; at < BODY.length; at += 1) bodies.push(BODY.subarray(0, at));
    for (let bit = 0; bit < BODY.length * 8; bit += 1) {
      const flipped = Buffer.from(BODY);
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      bodies.push(flipped);
    }
    for (const body of bodies) {
      const byZlib = await verify(body, 'zlib');
      assert.ok(byZlib.problems.length > 0);
      assert.deepEqual(await verify(body, 'isal'), { ...byZlib, reads: 2 });
    }
  });

  test('is compared with its manifest as ever', async () => {
    const others = [{ rows: 4 }, { jsonBytes: 1 }, { crc32: '00000000' }, { firstKey: ['0'] }, { lastKey: ['4'] }];
    for (const other of others) {
      const object = { ...OBJECT, ...other };
      const { problems } = await verify(BODY, 'isal', object);
      assert.equal(problems.length, 1);
      assert.deepEqual(problems, (await verify(BODY, 'zlib', object)).problems);
    }
  });

  test('is as it was when it was read last, where it was damaged on the way', async () => {
    const { problems, reads } = await verify(BODY, 'isal', OBJECT, [BODY.subarray(1)]);
    assert.deepEqual([problems, reads], [[], 2]);
  });
});

test('what was read of an object goes back at once, where nobody looks at it any more', async () => {
  const leftBytes = async (inflater: Inflater): Promise<number> => {
    const slices = [...BODY].map((byte) => Buffer.from(Uint8Array.of(byte).buffer));
    const store = {
      async *read() {
        yield* slices;
      },
    } as unknown as Store;
    const common = { key: OBJECT.key, object: OBJECT, columns: COLUMNS, keyColumns: ['id'], windowBytes: 2 ** 23 };
    const problems = new Problems();
    await verifyObject({ ...common, store, inflater }, problems, signal, () => undefined);
    assert.deepEqual(problems.list, []);
    return slices.reduce((sum, { length }) => sum + length, 0);
  };
  // zlib works on in threads of its own.
  assert.equal(await leftBytes('zlib'), BODY.length);
  if (isalProblem() === undefined) assert.equal(await leftBytes('isal'), 0);
});
