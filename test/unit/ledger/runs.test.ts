import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'node:test';
import { findBrokenOff, findLatestCommitted, listRuns } from '../../../src/ledger/runs.ts';
import { manifestKey } from '../../../src/ledger/names.ts';
import { formatRunId } from '../../../src/ledger/run-id.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import type { Store } from '../../../src/store/store.ts';
import { aManifest, aPlan, ARCHIVE, changed, RUN, temporaryStore } from '../../support/ledger.ts';

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
  assert.deepEqual((await findBrokenOff(store, ARCHIVE)).unfinished, [odd.run]);
});

test('a run whose manifest is gone, and whose data is there, is listed as that, and not as unfinished', async () => {
  const store = temporaryStore();
  const committed = new RunFolder(store, ARCHIVE, RUN);
  await committed.commit(committed.seal(aManifest()));
  await store.put(committed.dataKey(0, 'jsonl.gz'), Buffer.from('rows'), { contentType: 'application/gzip' });
  await store.remove([manifestKey(ARCHIVE, RUN)]);
  const runs = [];
  for await (const run of listRuns(store, ARCHIVE)) runs.push(run);
  assert.deepEqual(
    runs.map(({ run, isCommitted, problem }) => [run, isCommitted, problem?.code]),
    [[RUN, false, 'manifest-lost']],
  );
});

test('a folder in which no object lies, or none yet, is no run', async () => {
  const store = temporaryStore();
  const folder = (run: string): string => path.join(fileURLToPath(store.url), ARCHIVE, `run=${run}`);
  mkdirSync(folder('20261101T000000Z'), { recursive: true });
  mkdirSync(folder('20261102T000000Z'));
  const temporary = '.part-00000.jsonl.gz.lq1-01234567-89ab-cdef-0123-456789abcdef.tmp';
  writeFileSync(path.join(folder('20261102T000000Z'), temporary), 'half');
  await new RunFolder(store, ARCHIVE, RUN).own(aPlan());
  const runs = [];
  for await (const { run } of listRuns(store, ARCHIVE)) runs.push(run);
  assert.deepEqual(runs, [RUN]);
});

test('generations of a window stand behind its first run, in the order of their numbers', async () => {
  const store = temporaryStore();
  const runs = ['20261101T000000Z', '20261101T000000Z_2', '20261101T000000Z_10', '20261101T000001Z'];
  for (const run of runs.toReversed()) await new RunFolder(store, ARCHIVE, run).own(aPlan({ run }));
  assert.deepEqual((await findBrokenOff(store, ARCHIVE)).unfinished, runs);
});

describe('an archive with a folder for every minute of some days', () => {
  const COUNT = 20_000;
  const FIRST_MS = Date.UTC(2026, 0, 1);
  const idAt = (at: number): string => formatRunId(new Date(FIRST_MS + at * 60_000));
  let heads: string[];

  /** The folders in no order, none of which holds anything but that of the run `committed`. */
  function storeWith(committed: string): Store {
    heads = [];
    const stored = { bytes: 1, etag: '' };
    return changed(temporaryStore(), {
      async *listFolders() {
        for (let at = 0; at < COUNT; at += 1) yield `run=${idAt((at * 7919) % COUNT)}`;
        yield* ['run=x', 'run=20269999T999999Z', 'else'];
      },
      head: async (key) => {
        heads.push(key);
        return key.includes(`${committed}/_manifest`) ? { key, ...stored } : undefined;
      },
    });
  }

  test('is looked at from its latest run back, and no further than a thousand', async () => {
    const latest = await findLatestCommitted(storeWith(idAt(COUNT - 1000)), ARCHIVE);
    assert.equal(latest?.run, idAt(COUNT - 1000));
    assert.equal(heads.length, 1000);
    assert.equal(await findLatestCommitted(storeWith(idAt(COUNT - 1001)), ARCHIVE), undefined);
    assert.equal(heads.length, 1000);
  });

  test('has a hundred of them looked at for what is unfinished', async () => {
    assert.deepEqual((await findBrokenOff(storeWith(idAt(0)), ARCHIVE)).unfinished, []);
    assert.equal(heads.length, 200);
    assert.ok(heads[0]?.includes(idAt(COUNT - 100)), 'the oldest of them first');
  });
});
