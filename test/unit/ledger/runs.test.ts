import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { findUnfinished, listRuns } from '../../../src/ledger/runs.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { aManifest, aPlan, ARCHIVE, RUN, temporaryStore } from '../../support/ledger.ts';

test('a run whose manifest is a FIFO is listed with what is wrong, and hides no other', async () => {
  const store = temporaryStore();
  const odd = new RunFolder(store, ARCHIVE, '20261122T021500Z');
  await odd.own(aPlan({ run: odd.run }));
  execFileSync('mkfifo', [fileURLToPath(odd.manifestUrl)]);
  const committed = new RunFolder(store, ARCHIVE, RUN);
  await committed.commit(committed.seal(aManifest()));
  const runs = [];
  for await (const run of listRuns(store, ARCHIVE)) runs.push(run);
  assert.deepEqual(
    runs.map(({ run, isCommitted, problem }) => [run, isCommitted, problem?.code]),
    [
      [odd.run, false, 'key-refused'],
      [RUN, true, undefined],
    ],
  );
  assert.deepEqual(await findUnfinished(store, ARCHIVE), [odd.run]);
});
