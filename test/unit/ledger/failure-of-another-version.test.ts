import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { planKey } from '../../../src/ledger/names.ts';
import { listRuns } from '../../../src/ledger/runs.ts';
import { openFileStore } from '../../../src/store/file/file.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-ledger-'));
after(() => {
  rmSync(folder, { recursive: true });
});

const PLAN = {
  format: 'pgsluice/plan/1',
  archive: 'events',
  run: '20261123T021500Z',
  fingerprint: '0'.repeat(64),
  by: 'none',
  why: 'there is no key',
  segments: [{ index: 0 }],
  snapshot: { id: '00000003-0000001B-1', lsn: '0/1', takenAt: '2026-11-23T02:15:00.000Z' },
  estimatedRows: 1,
  startedAt: '2026-11-23T02:15:00.000Z',
  host: 'vm-1',
  owner: '1',
  failure: { code: 'of-tomorrow', stage: 'purge', message: 'no', hint: 'Wait.', at: '2026-11-23T02:16:00.000Z' },
};

test('a run that failed in another version is listed, with its code as text, and a plan of the first format is read', async () => {
  const store = openFileStore(folder);
  await store.put(planKey(PLAN.archive, PLAN.run), Buffer.from(JSON.stringify(PLAN)), {
    contentType: 'application/json',
  });
  const failures = [];
  for await (const { journal } of listRuns(store, PLAN.archive)) failures.push(journal?.ended);
  const { at, ...failure } = PLAN.failure;
  assert.deepEqual(failures, [{ how: 'failed', at, host: 'vm-1', failure }]);
  store.close();
});
