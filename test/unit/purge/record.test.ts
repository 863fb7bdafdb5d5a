import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailureError } from '../../../src/base/errors.ts';
import type { PurgeRecord } from '../../../src/ledger/purge.ts';
import type { RunFolder } from '../../../src/ledger/run-folder.ts';
import { PurgeNotes } from '../../../src/purge/record.ts';
import type { PurgeRequest } from '../../../src/purge/request.ts';
import { anewOf } from '../../../src/purge/run-state.ts';
import { noLines } from '../../../src/purge/tally.ts';

/** A folder that says what it was asked to write, and in whose place. */
function folderThat(outcomes: readonly string[]) {
  const written: [record: PurgeRecord, replaces: string][] = [];
  const writePurge = async (record: PurgeRecord, replaces: string) => {
    written.push([structuredClone(record), replaces]);
    return { outcome: outcomes[written.length - 1], etag: `e${written.length}` };
  };
  return { written, folder: { archive: 'a', run: '20261101T000000Z', writePurge } as unknown as RunFolder };
}

const SOURCE = { database: 'd', systemIdentifier: '7' };

test('is written over nothing first, then over itself, and seldom', async () => {
  const { written, folder } = folderThat(['written', 'written', 'written']);
  const notes = new PurgeNotes(folder, SOURCE, undefined);
  await notes.write();
  notes.add({ ...noLines(), deleted: 5, locked: 1 });
  await notes.writeSometimes();
  assert.equal(written.length, 1);
  await notes.write('done');
  assert.deepEqual(
    written.map(([{ state, next }, replaces]) => [state, next, replaces]),
    [
      ['running', 0, 'nothing'],
      ['done', 1, 'e1'],
    ],
  );
  assert.deepEqual(written[1]?.[0].stayed, [{ object: 0, ...noLines(), deleted: 5, locked: 1 }]);
  const next = new PurgeNotes(folder, SOURCE, { record: written[1][0], etag: 'e2' }, 0);
  next.addAgain(0, { ...noLines(), deleted: 1, absent: 5 });
  await next.writeSometimes();
  assert.deepEqual(
    [written[2]![0].totals, written[2]![0].stayed, written[2]![1]],
    [{ ...noLines(), deleted: 6 }, [], 'e2'],
  );
});

test('what became of the lines of an object that was left in the middle is known, however often that is', () => {
  const { folder } = folderThat([]);
  const notes = new PurgeNotes(folder, SOURCE, undefined);
  notes.add({ ...noLines(), deleted: 3 });
  notes.addPart(noLines());
  assert.deepEqual([notes.stayed.entries, notes.linesOfNext], [[], 0]);
  notes.addPart({ ...noLines(), deleted: 4, changed: 1 });
  assert.deepEqual([notes.next, notes.linesOfNext, notes.totals], [1, 5, { ...noLines(), deleted: 7, changed: 1 }]);
  assert.deepEqual(notes.totalsWith(1, { ...noLines(), absent: 2 }), {
    ...noLines(),
    ...{ deleted: 7, changed: 1, absent: 2 },
  });
  notes.addPart({ ...noLines(), absent: 2 });
  const part = { ...noLines(), deleted: 4, changed: 1, absent: 2 };
  assert.deepEqual([notes.linesOfNext, notes.stayed.entries], [7, [{ object: 1, ...part }]]);
  notes.add({ ...noLines(), deleted: 2 });
  assert.deepEqual([notes.next, notes.linesOfNext, notes.totals], [2, 0, { ...part, deleted: 9 }]);
  assert.deepEqual(notes.stayed.entries, [{ object: 1, ...part, deleted: 6 }]);
});

test('what somebody else has written stays, and ends the purge', async () => {
  for (const outcome of ['exists', 'changed']) {
    const notes = new PurgeNotes(folderThat([outcome]).folder, SOURCE, undefined);
    await assert.rejects(
      notes.write(),
      (error) => error instanceof FailureError && error.failure.code === 'purge-taken',
    );
  }
});

test('a purge that is told to purge again begins anew only where one is done, or a restore has come since', async () => {
  const begins = async (state: 'running' | 'done' | undefined, passedOver?: string, mark?: string) => {
    const folder = { restored: async () => (mark === undefined ? undefined : { id: mark }) } as unknown as RunFolder;
    const record = { state, ...(passedOver === undefined ? {} : { restored: passedOver }) } as PurgeRecord;
    const found = state === undefined ? undefined : { record, etag: 'e' };
    return anewOf({ again: true } as PurgeRequest, folder, found);
  };
  assert.equal(await begins(undefined), undefined);
  assert.equal(await begins('running'), undefined, 'it goes on with what was begun');
  assert.equal(await begins('running', 'm', 'm'), undefined);
  assert.deepEqual(await begins('running', 'm', 'n'), { restored: 'n' });
  assert.deepEqual(await begins('running', undefined, 'n'), { restored: 'n' });
  assert.deepEqual(await begins('done', 'm', 'm'), { restored: 'm' });
  assert.deepEqual(await begins('done'), { restored: undefined });
});
