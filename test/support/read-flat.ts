/** Reads a run of many objects, as a thread whose heap is bounded: all that looks at a manifest without reading the objects. */
import assert from 'node:assert/strict';
import { parentPort, workerData } from 'node:worker_threads';
import { RunFolder } from '../../src/ledger/run-folder.ts';
import { listRuns } from '../../src/ledger/runs.ts';
import { lookAtObjects } from '../../src/restore/objects.ts';
import { openFileStore } from '../../src/store/file/file.ts';
import type { Store } from '../../src/store/store.ts';
import { verifyRun } from '../../src/verify/run.ts';
import { ARCHIVE, changed, RUN } from './ledger.ts';

export interface FlatWork {
  folder: string;
  objects: number;
  /** The size that each of them is to have. */
  bytes: number;
}

const VERIFY = {
  keyPrefix: '',
  sample: 2,
  windowBytes: 8 * 1024 ** 2,
  retry: { attempts: 1, backoffMs: 1, forMs: 1000 },
  signal: new AbortController().signal,
  onProgress: () => undefined,
};

async function readFlat({ folder, objects, bytes }: FlatWork): Promise<void> {
  const store = seeming(openFileStore(folder), objects, bytes);
  for await (const { manifest, receipts } of listRuns(store, ARCHIVE))
    assert.deepEqual([manifest?.objects.length, receipts], [objects, objects]);
  const run = new RunFolder(store, ARCHIVE, RUN);
  const manifest = await run.manifest();
  assert.ok(manifest !== undefined);
  const facts = await lookAtObjects(run, manifest, new Set());
  assert.deepEqual([facts.count, facts.problems, facts.contradictions], [objects, [], []]);
  const { objectsRead, problems, objects: all } = await verifyRun(run, manifest, VERIFY);
  // The first and the last one are read, and are none.
  assert.deepEqual([objectsRead, problems], [0, []]);
  let told = 0;
  for await (const { ok } of all('all')) told += ok ? 1 : 0;
  assert.equal(told, objects - 2);
}

/** A store in which all objects seem to lie, though there is no more than the manifest. */
function seeming(store: Store, objects: number, bytes: number): Store {
  const folder = new RunFolder(store, ARCHIVE, RUN);
  return changed(store, {
    head: async (key) => ({ key, bytes, etag: '' }),
    async *list(prefix) {
      yield* store.list(prefix);
      for (let at = 0; at < objects; at += 1) yield { key: folder.dataKey(at, 'jsonl.gz'), bytes, etag: '' };
    },
  });
}

if (parentPort !== null) {
  await readFlat(workerData as FlatWork);
  parentPort.postMessage('done');
}
