/** Takes up and commits a run of many segments, as a thread whose heap is bounded. */
import assert from 'node:assert/strict';
import { parentPort, workerData } from 'node:worker_threads';
import { BUDGET } from '../../src/base/memory-budget.ts';
import { RunFolder } from '../../src/ledger/run-folder.ts';
import { commitAsItStands, commitRun } from '../../src/run/commit.ts';
import { heldBytes } from '../../src/run/held-bytes.ts';
import { takeUp } from '../../src/run/resume.ts';
import { openFileStore } from '../../src/store/file/file.ts';
import type { Store } from '../../src/store/store.ts';
import { FakeRuns, CUTS } from './fake-run.ts';
import { aReceipt, ARCHIVE, changed, keySegments, RUN } from './ledger.ts';

export interface CommitWork {
  folder: string;
  segments: number;
}

/** Receipts of one document. */
const TOGETHER = 250;
const ETAG = '0123456789abcdef0123456789abcdef';

async function commitFlat({ folder: root, segments }: CommitWork): Promise<void> {
  const store = seeming(openFileStore(root), segments);
  const folder = new RunFolder(store, ARCHIVE, RUN);
  const runs = new FakeRuns();
  runs.source.cut = { ...CUTS.key, segments: () => Promise.resolve(keySegments(segments)) };
  const first = runs.next({ folder });
  const { journal } = await takeUp(first, await first.openSession());
  for (let from = 0; from < segments; from += TOGETHER) {
    const { fingerprint, snapshot } = journal;
    const receipt = (_: unknown, at: number) =>
      aReceipt(from + at, { fingerprint, snapshot, etag: ETAG, key: folder.dataKey(from + at, 'jsonl') });
    await folder.record(Array.from({ length: TOGETHER }, receipt));
  }
  const killed = changed(store, {
    put: (key, body, options) =>
      key.endsWith('_manifest.json') ? Promise.reject(new Error('killed')) : store.put(key, body, options),
  });
  const second = runs.next({ folder: new RunFolder(killed, ARCHIVE, RUN) });
  const session = await second.openSession();
  const attempt = await takeUp(second, session);
  assert.ok('plan' in attempt && attempt.done.size === segments);
  // Nor was it put elsewhere only.
  const held = heldBytes(attempt) / segments;
  assert.ok(held > 200 && held < BUDGET.segments.bytes, `${held} bytes a segment`);
  await assert.rejects(commitRun(second, attempt), /killed/);
  const third = runs.next({ folder });
  const committing = await takeUp(third, session);
  assert.ok(!('plan' in committing));
  assert.equal((await commitAsItStands(third, session, committing)).objects.length, segments);
  assert.equal((await folder.manifest())?.rows, 100 * segments);
}

/** A store in which all objects seem to lie, though there is no more than the documents. */
function seeming(store: Store, segments: number): Store {
  const folder = new RunFolder(store, ARCHIVE, RUN);
  return changed(store, {
    async *list(prefix) {
      yield* store.list(prefix);
      if (prefix === folder.prefix)
        for (let at = 0; at < segments; at += 1) yield { key: folder.dataKey(at, 'jsonl'), bytes: 4, etag: ETAG };
    },
  });
}

if (parentPort !== null) {
  await commitFlat(workerData as CommitWork);
  parentPort.postMessage('done');
}
