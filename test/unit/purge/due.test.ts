/** Which runs the daemon purges by itself, and above all which it does not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail } from '../../../src/base/errors.ts';
import type { PurgeRecord, Totals } from '../../../src/ledger/purge.ts';
import { chooseDue, type KnownPurge, type PurgedArchive } from '../../../src/purge/due.ts';
import { noLines } from '../../../src/purge/tally.ts';
import type { CommittedRun } from '../../../src/windows/committed.ts';

const HOUR = 3_600_000;
const CHANGED = 'purge-window-changed';
const RESTORED = 'purge-restored';
const NOW = Date.parse('2026-11-10T12:00:00Z');
const ARCHIVE = {
  name: 'events',
  timezone: 'UTC',
  window: { column: 'at', every: 'day' },
  purge: { afterMs: 24 * HOUR },
} as unknown as PurgedArchive;

/** A committed run of a day of November. */
function runOf(day: number, changes: Partial<CommittedRun> & { generation?: number } = {}): CommittedRun {
  const date = `2026-11-0${day}`;
  const { generation = 1, ...others } = changes;
  return {
    run: `${date.replaceAll('-', '')}T000000Z${generation === 1 ? '' : `_${generation}`}`,
    window: { column: 'at', from: `${date}T00:00:00Z`, to: `2026-11-0${day + 1}T00:00:00Z` },
    ...{ rows: 1000, objects: 1, jsonBytes: 1, bytes: 1, filter: '' },
    finishedAt: `2026-11-0${day + 1}T01:00:00.000Z`,
    ...others,
  };
}

function purgeOf(run: string, state: 'running' | 'done' | 'none', totals: Partial<Totals> = {}): KnownPurge {
  if (state === 'none') return { run, record: undefined };
  return { run, record: { run, state, totals: { ...noLines(), ...totals } } as PurgeRecord };
}

const restored = new Set<string>();

function choose(committed: CommittedRun[], purges: KnownPurge[] = [], archive = ARCHIVE) {
  const known = new Map(purges.map((purge) => [purge.run, purge]));
  const { due, held, nextDueMs } = chooseDue(
    archive,
    { committed, damaged: [] },
    { purges: known, restored, nowMs: NOW },
  );
  return {
    due: due.map(({ run }) => run),
    held: held.map(({ run, failure }) => `${run} ${failure.code}`),
    nextDueMs,
  };
}

describe('what is due', () => {
  test('is what was committed long enough ago, oldest window first; and when the next one will be is told', () => {
    const young = runOf(3, { finishedAt: '2026-11-10T11:00:00.000Z' });
    const exactly = runOf(4, { finishedAt: '2026-11-09T12:00:00.000Z' });
    const almost = runOf(5, { finishedAt: '2026-11-09T12:00:00.001Z' });
    const chosen = choose([almost, exactly, young, runOf(2), runOf(1)]);
    assert.deepEqual(chosen.due, ['20261101T000000Z', '20261102T000000Z', '20261104T000000Z']);
    assert.deepEqual([chosen.held, chosen.nextDueMs], [[], NOW + 1]);
  });

  test('never is what was committed less than an hour ago, whatever the config says', () => {
    const archive = { ...ARCHIVE, purge: { ...ARCHIVE.purge, afterMs: 1 } };
    assert.deepEqual(choose([runOf(1, { finishedAt: '2026-11-10T11:00:01.000Z' })], [], archive).due, []);
    assert.deepEqual(choose([runOf(1, { finishedAt: '2026-11-10T11:00:00.000Z' })], [], archive).due.length, 1);
  });

  test('is not what was purged before; what was begun is', () => {
    const runs = [runOf(1), runOf(2)];
    const purges = [purgeOf(runs[0]!.run, 'done', { deleted: 1000 }), purgeOf(runs[1]!.run, 'running')];
    assert.deepEqual(choose(runs, purges), { due: [runs[1]!.run], held: [], nextDueMs: undefined });
  });

  test('is not a run without a window, or of one that the config does not have any more', () => {
    const { window: _none, ...without } = runOf(1);
    const other = runOf(2);
    const shorter = runOf(3);
    Object.assign(other, { window: { ...other.window, column: 'created_at' } });
    Object.assign(shorter, { window: { ...shorter.window, to: '2026-11-03T01:00:00Z' } });
    assert.deepEqual(choose([without, other, shorter]), {
      due: [],
      held: [1, 2, 3].map((day) => `2026110${day}T000000Z ${CHANGED}`),
      nextDueMs: undefined,
    });
  });

  test('is of partitions what was made of one, by the column of the config', () => {
    const archive = { ...ARCHIVE, window: { ...ARCHIVE.window, every: 'partition' as const } };
    const partition = { name: 'public.t_1', oid: 1, bound: '' };
    const other = runOf(2, { partition });
    Object.assign(other, { window: { ...other.window, column: 'created_at' } });
    assert.deepEqual(choose([runOf(1), other, runOf(3, { partition })], [], archive), {
      due: ['20261103T000000Z'],
      held: [1, 2].map((day) => `2026110${day}T000000Z ${CHANGED}`),
      nextDueMs: undefined,
    });
  });

  test('is not a run whose purge record cannot be read, and the others are', () => {
    const { failure } = fail('bad-purge-record', { stage: 'purge', message: 'it is no JSON' });
    const bad = { run: runOf(1).run, record: undefined, failure };
    assert.deepEqual(choose([runOf(1), runOf(2)], [bad]), {
      due: ['20261102T000000Z'],
      held: ['20261101T000000Z bad-purge-record'],
      nextDueMs: undefined,
    });
  });

  test('is told of damaged manifests as of what does not go', () => {
    const { failure } = fail('bad-manifest', { stage: 'verify', message: 'it is no JSON' });
    const damaged = [{ run: runOf(1).run, failure }];
    const { due, held } = chooseDue(
      ARCHIVE,
      { committed: [runOf(2)], damaged },
      { purges: new Map(), restored, nowMs: NOW },
    );
    assert.deepEqual([due.length, held[0]?.failure.code], [1, 'bad-manifest']);
  });
});

describe('a further generation', () => {
  const first = runOf(1);

  for (const [rows, isPurged] of [
    [20, true],
    [21, false],
  ] as const)
    test(`of ${rows} rows, where its purge left 10 and deleted 1,000, ${isPurged ? 'goes' : 'has come back, and stays'}`, () => {
      const before = purgeOf(first.run, 'done', { deleted: 1000, changed: 4, inexact: 3, referenced: 2, kept: 1 });
      const second = runOf(1, { generation: 2, rows });
      assert.deepEqual(choose([second, first], [before, purgeOf(second.run, 'none')]), {
        due: isPurged ? [second.run] : [],
        held: isPurged ? [] : [`${second.run} purge-came-back`],
        nextDueMs: undefined,
      });
    });

  test('of a window whose rows were restored does not go, whichever of its runs they are of', () => {
    const second = runOf(1, { generation: 2, rows: 5, finishedAt: '2026-11-10T11:59:00.000Z' });
    for (const { run } of [first, second]) {
      restored.add(run);
      const { due, held } = choose([first, second, runOf(2)], [purgeOf(first.run, 'none')]);
      restored.delete(run);
      assert.deepEqual([due, held], [[runOf(2).run], [`${first.run} ${RESTORED}`]]);
    }
  });

  test('of a window from which nothing was deleted cannot have come back', () => {
    const second = runOf(1, { generation: 2, rows: 5 });
    assert.deepEqual(choose([{ ...first, rows: 0 }, second], [purgeOf(first.run, 'done')]).due, [second.run]);
  });

  test('is judged by a purge by name as well, however young its run is, and by none that cannot be read', () => {
    const young = { ...first, finishedAt: '2026-11-10T11:59:00.000Z' };
    const second = runOf(1, { generation: 2, rows: 500 });
    const before = purgeOf(first.run, 'done', { deleted: 1000 });
    assert.deepEqual(choose([young, second], [before]).held, [`${second.run} purge-came-back`]);
    const { failure } = fail('bad-purge-record', { stage: 'purge', message: 'it is no JSON' });
    const bad = { run: first.run, record: undefined, failure };
    assert.deepEqual(choose([young, second], [bad]).held, [`${second.run} bad-purge-record`]);
  });

  test('is judged by the generation before it, in the order of numbers', () => {
    const runs = [2, 9, 10].map((generation) => runOf(1, { generation, rows: 5 }));
    const purges = [first, ...runs.slice(0, 2)].map(({ run }, at) =>
      purgeOf(run, 'done', { deleted: at === 2 ? 100 : 0, changed: 3 }),
    );
    assert.deepEqual(choose([...runs, first], purges).held, ['20261101T000000Z_10 purge-came-back']);
  });
});
