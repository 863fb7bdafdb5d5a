import assert from 'node:assert/strict';
import { once } from 'node:events';
import { beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { fail, FailureError } from '../../../src/base/errors.ts';
import { generatePrivateKey, keyId, publicKeyText, readPrivateKey, readPublicKey } from '../../../src/base/signing.ts';
import { manifestKey } from '../../../src/ledger/names.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import type { StoredManifest } from '../../../src/ledger/stored-manifest.ts';
import type { Store } from '../../../src/store/store.ts';
import { aManifest, ARCHIVE, changed, RUN, temporaryStore, wholeManifest } from '../../support/ledger.ts';
import type { FlatWork } from '../../support/read-flat.ts';

const JSON_OBJECT = { contentType: 'application/json' };
/** They have two parts. */
const MANY = aManifest(5000);

let store: Store;
let folder: RunFolder;

beforeEach(() => {
  store = temporaryStore();
  folder = new RunFolder(store, ARCHIVE, RUN);
});

async function commit(manifest = MANY): Promise<StoredManifest> {
  await folder.commit(folder.seal(manifest));
  const read = await folder.manifest();
  assert.ok(read !== undefined);
  return read;
}

function isFailure(code: string, says: RegExp) {
  return (error: unknown): boolean =>
    error instanceof FailureError && error.failure.code === code && says.test(error.failure.message);
}

describe('a manifest of many objects', () => {
  test('gives them as they were written, from any place on, and each by its place', async () => {
    const { objects, ...head } = await commit();
    const { objects: _all, ...expected } = MANY;
    assert.deepEqual(head, expected);
    assert.equal(objects.length, 5000);
    assert.deepEqual(await Array.fromAsync(objects), MANY.objects);
    for (const from of [0, 1, 1699, 2500, 4999, 5000, 9000])
      assert.deepEqual(await Array.fromAsync(objects.from(from)), MANY.objects.slice(from), `from ${from}`);
    for (const at of [4999, 0, 2500, 2499]) assert.deepEqual(await objects.at(at), MANY.objects[at]);
    assert.equal(await objects.at(5000), undefined);
  });

  test('is read in parts of a megabyte, and a small one once', async () => {
    await commit();
    const parts: number[] = [];
    const counted = changed(store, {
      getPart: (key, from, bytes) => {
        parts.push(bytes);
        return store.getPart(key, from, bytes);
      },
    });
    const { objects } = (await new RunFolder(counted, ARCHIVE, RUN).manifest())!;
    assert.deepEqual(parts, [], 'its head is read without them');
    await Array.fromAsync(objects);
    assert.equal(parts.length, 2);
    assert.ok(Math.max(...parts) <= 1024 ** 2, String(parts));
    const small = new RunFolder(counted, 'small', RUN);
    const few = { ...aManifest(3, { archive: 'small' }) };
    for (const object of few.objects) object.key = object.key.replace(ARCHIVE, 'small');
    await small.commit(small.seal(few));
    assert.deepEqual((await wholeManifest(small))?.objects, few.objects);
    assert.equal(parts.length, 2);
  });

  test('whose objects were changed since it was believed gives none of them', async () => {
    const { objects } = await commit();
    const changedOnes = MANY.objects.map((object) => ({ ...object, rows: object.rows + 1 }));
    const body = folder.seal({ ...MANY, objects: changedOnes });
    await store.put(manifestKey(ARCHIVE, RUN), body, JSON_OBJECT);
    await assert.rejects(Array.fromAsync(objects), isFailure('bad-manifest', /it is not any more what it was/));
    await store.remove([manifestKey(ARCHIVE, RUN)]);
    await assert.rejects(objects.at(0), isFailure('bad-manifest', /it is not any more what it was/));
  });

  test('is asked for again where the destination fails for a moment', async () => {
    await commit();
    let failures = 2;
    const busy = changed(store, {
      getPart: (key, from, bytes) => {
        failures -= 1;
        if (failures < 0) return store.getPart(key, from, bytes);
        throw fail('connection-lost', { stage: 'upload', message: 'the connection was lost' });
      },
    });
    const { objects } = (await new RunFolder(busy, ARCHIVE, RUN).manifest())!;
    assert.deepEqual(await objects.at(4000), MANY.objects[4000]);
    assert.equal(failures, -1);
  });

  test('that is signed is believed as a whole or not at all, and who signed it is said before what is wrong in it', async () => {
    const key = readPrivateKey(generatePrivateKey());
    const trusted = readPublicKey(publicKeyText(key));
    store.signing = { key, trust: new Map([[keyId(trusted), trusted]]), allowUnsigned: false };
    assert.equal((await commit()).objects.length, 5000);
    const { body } = (await store.get(manifestKey(ARCHIVE, RUN), 1e8))!;
    for (const at of [20, body.length >> 1, body.indexOf('"bytes"', body.length >> 1) + 1, body.length - 20]) {
      const forged = Buffer.from(body);
      forged[at]! ^= 1;
      await store.put(manifestKey(ARCHIVE, RUN), forged, JSON_OBJECT);
      await assert.rejects(folder.manifest(), isFailure('untrusted', /_manifest\.json /), `byte ${at}`);
    }
  });
});

test('of a manifest of any length no more is held than its head and a part: by list, verify, and the look before a restore', async () => {
  // Were they held, the heap would not do.
  const work: FlatWork = { folder: '', objects: 20_000, bytes: 4 };
  work.folder = fileURLToPath(store.url);
  const { objects, ...head } = aManifest(1, {
    rows: 100 * work.objects,
    jsonBytes: 1000 * work.objects,
    bytes: 4 * work.objects,
  });
  const [one] = objects;
  const items = Array.from({ length: work.objects }, (_, at) => {
    const key = one!.key.replace('part-00000', `part-${String(at).padStart(5, '0')}`);
    return JSON.stringify({ ...one, key, firstKey: [String(2 * at)], lastKey: [String(2 * at + 1)] });
  });
  const body = Buffer.from(`${JSON.stringify(head).slice(0, -1)},"objects":[${items.join(',\n')}]}`);
  await store.put(manifestKey(ARCHIVE, RUN), body, JSON_OBJECT);
  const worker = new Worker(new URL('../../support/read-flat.ts', import.meta.url), {
    workerData: work,
    resourceLimits: { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 4 },
  });
  try {
    assert.deepEqual(await once(worker, 'message'), ['done']);
  } finally {
    await worker.terminate();
  }
});
