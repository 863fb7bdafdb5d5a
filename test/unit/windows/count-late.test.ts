import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { WindowCalendar, type Stretch } from '../../../src/calendar/windows.ts';
import { purgeKey } from '../../../src/ledger/names.ts';
import type { PurgeRecord } from '../../../src/ledger/purge.ts';
import { RESTORED_FORMAT } from '../../../src/ledger/restored.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import type { Store } from '../../../src/store/store.ts';
import { againWindows } from '../../../src/windows/again.ts';
import type { CommittedRun } from '../../../src/windows/committed.ts';
import { archivedWindows, countWindows } from '../../../src/windows/count-late.ts';
import { digestFilter } from '../../../src/windows/filter.ts';
import type { MissingInput } from '../../../src/windows/missing.ts';
import type { WindowedArchive, WindowSource } from '../../../src/windows/window-source.ts';
import { ARCHIVE, changed, temporaryStore } from '../../support/ledger.ts';
import { recordTo, type LogLine } from '../../support/record-log.ts';

const DAY_MS = 86_400_000;
const FILTER = digestFilter({ where: 'id > 1' });
const calendar = new WindowCalendar('timestamptz', 'day', 'UTC');
const ROWS = 10;

const pointOf = (day: number): number => Date.UTC(2026, 2, day);
const idOf = (day: number, generation = ''): string => `202603${String(day).padStart(2, '0')}T000000Z${generation}`;

function runOf(day: number, changes: Partial<CommittedRun> = {}): CommittedRun {
  const [from, to] = [calendar.format(pointOf(day)), calendar.format(pointOf(day + 1))];
  const figures = { rows: ROWS, objects: 1, jsonBytes: 1, bytes: 1, finishedAt: '', filter: FILTER };
  return { run: idOf(day), window: { column: 'at', from, to }, ...figures, ...changes };
}

/** A source with so many rows on the days of March. */
function inputOf(days: Record<number, number>, changes: Partial<MissingInput> & { purge?: object }): MissingInput {
  const { purge, ...others } = changes;
  const countOf = ({ fromMs }: Stretch): number => days[new Date(fromMs).getUTCDate()] ?? 0;
  const filled = Object.keys(days).map((day) => pointOf(Number(day)));
  const source = {
    ...{ kind: 'timestamptz', calendar, createIndex: undefined, outsideOf: '', clock: {} },
    firstRowFrom: (fromMs: number) => Promise.resolve(filled.find((point) => point >= fromMs)),
    countIn: (stretch: Stretch) => Promise.resolve(countOf(stretch)),
  } as unknown as WindowSource;
  const window = { column: 'at', every: 'day', olderThanMs: DAY_MS };
  const archive = { name: ARCHIVE, timezone: 'UTC', window, where: 'id > 1', ...(purge && { purge }) };
  return { archive: archive as unknown as WindowedArchive, source, committed: [], damaged: [], ...others };
}

function purgeOf(run: string, state: PurgeRecord['state'], left: number, partition?: object): PurgeRecord {
  const totals = { deleted: ROWS - left, absent: 0, changed: left, locked: 0, referenced: 0, inexact: 0, kept: 0 };
  return {
    ...{ format: 'pgsluice/purge/1', archive: ARCHIVE, run, state, owner: 'o', host: 'h', totals, stayed: [] },
    ...{ source: { database: 'd', systemIdentifier: '1' }, startedAt: new Date(0).toISOString(), finishedAt: null },
    ...{ tool: { name: 'pgsluice', version: '1' }, next: 1, rounds: 1, ...(partition && { partition }) },
  } as PurgeRecord;
}

async function notePurge(store: Store, ...purge: Parameters<typeof purgeOf>): Promise<void> {
  await new RunFolder(store, ARCHIVE, purge[0]).writePurge(purgeOf(...purge), 'nothing');
}

async function noteRestore(store: Store, run: string): Promise<void> {
  const mark = { format: RESTORED_FORMAT, archive: ARCHIVE, run, id: 'r', at: new Date(0).toISOString() } as const;
  const others = { into: 't', database: 'd', host: 'h', tool: { name: 'pgsluice', version: '1' } };
  await new RunFolder(store, ARCHIVE, run).markRestored({ ...mark, ...others });
}

/** A line for each window: how many rows are there of how many, or why that tells nothing. */
async function count(input: MissingInput, store = temporaryStore()): Promise<string[]> {
  const lines: string[] = [];
  for await (const window of countWindows(input, archivedWindows(input), store)) {
    const told =
      'incomparable' in window
        ? window.incomparable
        : `${window.rows} of ${window.expected}${window.isPurged ? ' left' : ''}`;
    lines.push(`${window.run} ${told}`);
  }
  return lines;
}

describe('rows of archived windows', () => {
  test('are counted against the latest run of each; empty windows are passed over, and nothing is asked of the bucket', async () => {
    const input = inputOf({ 1: 10, 3: 12, 4: 9 }, { committed: [4, 2, 1, 3].map((day) => runOf(day)) });
    const latest = runOf(3, { run: idOf(3, '_2'), rows: 11 });
    let counts = 0;
    const source = {
      ...input.source,
      countIn: (stretch: Stretch) => {
        counts += 1;
        return input.source.countIn(stretch);
      },
    };
    const lines = await count({ ...input, source, committed: [...input.committed, latest] });
    const counted = [`${idOf(1)} 10 of 10`, `${idOf(2)} 0 of 10`, `${idOf(3)}_2 12 of 11`, `${idOf(4)} 9 of 10`];
    assert.deepEqual(lines, counted);
    assert.equal(counts, 3);
  });

  test('are those of the range alone', async () => {
    const range = { fromMs: pointOf(2), toMs: pointOf(3) };
    const input = inputOf({ 1: 11, 2: 11, 3: 11 }, { committed: [1, 2, 3].map((day) => runOf(day)), range });
    assert.deepEqual(await count(input), [`${idOf(2)} 11 of 10`]);
  });

  test('of a purged window are those that its purge left; of one that is being purged, or was restored, they tell nothing', async () => {
    const store = temporaryStore();
    await notePurge(store, idOf(1), 'done', 2);
    await notePurge(store, idOf(2), 'running', 5);
    await notePurge(store, idOf(3), 'done', 0);
    await noteRestore(store, idOf(3));
    await notePurge(store, idOf(4), 'done', 0, {
      ...{ name: 'p', oid: 1, then: 'drop', state: 'attached', checks: [], backend: { pid: 1, since: '1' } },
    });
    await store.put(purgeKey(ARCHIVE, idOf(5)), Buffer.from('{'), { contentType: 'application/json' });
    const days = { 1: 3, 2: 6, 3: 12, 4: 12, 5: 12 };
    const input = inputOf(days, { committed: [1, 2, 3, 4, 5].map((day) => runOf(day)) });
    assert.deepEqual(await count(input, store), [
      `${idOf(1)} 3 of 2 left`,
      `${idOf(2)} purging`,
      `${idOf(3)} restored`,
      `${idOf(4)} 12 of 10`,
      `${idOf(5)} bad-purge-record`,
    ]);
  });

  test('that are as many as were archived are looked at all the same where the archive is purged', async () => {
    const store = temporaryStore();
    await notePurge(store, idOf(1), 'done', 0);
    const committed = [runOf(1)];
    assert.deepEqual(await count(inputOf({ 1: 10 }, { committed, purge: {} }), store), [`${idOf(1)} 10 of 0 left`]);
  });

  test('tell nothing where the manifest is damaged, or was made by another filter', async () => {
    const committed = [runOf(1, { filter: digestFilter({ where: 'id > 2' }) })];
    const damaged = [{ run: idOf(2) }] as unknown as MissingInput['damaged'];
    const lines = await count(inputOf({ 1: 12, 2: 12 }, { committed, damaged }));
    assert.deepEqual(lines, [`${idOf(1)} filter`, `${idOf(2)} damaged`]);
  });

  test('are counted no further where the bucket does not answer', async () => {
    const store = changed(temporaryStore(), { get: () => Promise.reject(new Error('gone')) });
    await assert.rejects(count(inputOf({ 1: 12 }, { committed: [runOf(1)] }), store), /gone/);
  });
});

test('a window whose latest run was purged is not made again, and is named; others are', async () => {
  const store = temporaryStore();
  await notePurge(store, idOf(2), 'done', 0);
  await notePurge(store, idOf(3), 'running', 0);
  await notePurge(store, idOf(4), 'done', 0);
  const committed = [...[1, 2, 3, 4].map((day) => runOf(day)), runOf(4, { run: idOf(4, '_2') })];
  const log: LogLine[] = [];
  const made: string[] = [];
  for await (const { run } of againWindows(inputOf({}, { committed }), store, recordTo(log))) made.push(run);
  assert.deepEqual(made, [idOf(1, '_2'), idOf(3, '_2'), idOf(4, '_3')]);
  assert.deepEqual(
    log.map((line) => line.fields['run']),
    [idOf(2)],
  );
});
