import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  archivePrefix,
  dataKey,
  journalPrefix,
  manifestKey,
  planKey,
  receiptKey,
  runOfFolder,
  runPrefix,
} from '../../../src/ledger/names.ts';

const RUN = '20261123T021500Z';

describe('the keys of a run', () => {
  test('are those of the contract', () => {
    assert.equal(dataKey('event', RUN, 0, 'jsonl.gz'), `event/run=${RUN}/part-00000.jsonl.gz`);
    assert.equal(dataKey('event', RUN, 12345, 'jsonl'), `event/run=${RUN}/part-12345.jsonl`);
    assert.equal(manifestKey('event', RUN), `event/run=${RUN}/_manifest.json`);
    assert.equal(planKey('event', RUN), `event/run=${RUN}/_pgsluice/plan.json`);
    assert.equal(receiptKey('event', RUN, 7), `event/run=${RUN}/_pgsluice/part-00007.json`);
  });

  test('lie below the folder of the run, which lies below that of the archive', () => {
    for (const key of [dataKey('event', RUN, 1, 'jsonl.gz'), manifestKey('event', RUN), journalPrefix('event', RUN)]) {
      assert.ok(key.startsWith(runPrefix('event', RUN)));
      assert.ok(key.startsWith(archivePrefix('event')));
    }
  });

  test('of one archive never lie below another whose name it begins with', () => {
    assert.ok(!manifestKey('events', RUN).startsWith(archivePrefix('event')));
    assert.ok(!manifestKey('event.s', RUN).startsWith(archivePrefix('event')));
  });

  test('of parts sort in the order of their numbers', () => {
    const keys = [0, 9, 10, 99, 100, 9999].map((part) => dataKey('event', RUN, part, 'jsonl.gz'));
    assert.deepEqual(keys.toSorted(), keys);
  });

  test('tell the run of a folder, and that another folder is none', () => {
    assert.equal(runOfFolder(`run=${RUN}`), RUN);
    assert.equal(runOfFolder(`event/run=${RUN}`), RUN);
    assert.equal(runOfFolder('_pgsluice-probe'), undefined);
    assert.equal(runOfFolder(`overrun=${RUN}`), undefined);
    assert.equal(runOfFolder(`run=${RUN}/`), undefined);
  });
});
