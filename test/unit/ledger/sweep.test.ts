import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { sweepUploads } from '../../../src/ledger/sweep.ts';
import type { Log } from '../../../src/base/log.ts';
import type { PendingUpload, Store } from '../../../src/store/store.ts';
import { aManifest, aPlan, ARCHIVE, changed, RUN, temporaryStore } from '../../support/ledger.ts';

const OTHER = '20261122T021500Z';
const SILENT = { warn: () => undefined } as unknown as Log;
const DAY_MS = 24 * 3600 * 1000;

let store: Store;
let aborted: string[];

beforeEach(() => {
  store = temporaryStore();
  aborted = [];
});

/** An upload of that run which was begun so long ago. */
function uploadOf(run: string, ageMs = 0): PendingUpload {
  const key = `${ARCHIVE}/run=${run}/part-00000.jsonl.gz`;
  return { key, uploadId: `of ${run}`, startedAt: new Date(Date.now() - ageMs) };
}

/** Sweeps for our run, where the store has these uploads; says which were aborted. */
async function sweep(uploads: PendingUpload[] | 'unsupported', ours = RUN): Promise<string[]> {
  const listing = changed(store, {
    listUploads: async () => uploads,
    abortUpload: async (key, uploadId) => {
      aborted.push(`${key} ${uploadId}`);
    },
  });
  assert.equal(await sweepUploads(listing, ARCHIVE, SILENT, ours), aborted.length);
  return aborted.map((upload) => upload.replace(/^.* of /, ''));
}

describe('unfinished uploads', () => {
  test('of our own run are aborted, however new', async () => {
    assert.deepEqual(await sweep([uploadOf(RUN)]), [RUN]);
  });

  test('of a run that is committed are aborted', async () => {
    const folder = new RunFolder(store, ARCHIVE, OTHER);
    await folder.commit(folder.seal({ ...aManifest(), run: OTHER, objects: [], rows: 0 }));
    assert.deepEqual(await sweep([uploadOf(OTHER)]), [OTHER]);
  });

  test('of a run that another host may be at work on are left alone', async () => {
    await new RunFolder(store, ARCHIVE, OTHER).own({ ...aPlan(), run: OTHER }, 'nothing');
    assert.deepEqual(await sweep([uploadOf(OTHER, 2 * DAY_MS)]), []);
  });

  test('of a run without a plan are aborted after a day, as it may be about to be planned before', async () => {
    assert.deepEqual(await sweep([uploadOf(OTHER, DAY_MS / 2)]), []);
    assert.deepEqual(await sweep([uploadOf(OTHER, 2 * DAY_MS)]), [OTHER]);
  });

  test('of something that is no run of ours are left alone', async () => {
    const stranger = { ...uploadOf(RUN, 2 * DAY_MS), key: `${ARCHIVE}/notes.txt` };
    assert.deepEqual(await sweep([stranger]), []);
  });

  test('are none where the server cannot list them', async () => {
    assert.deepEqual(await sweep('unsupported'), []);
  });
});
