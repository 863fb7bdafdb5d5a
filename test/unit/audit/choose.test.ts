/** Which runs are rehearsed, over a year, and which of their objects. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { chooseObjects, chooseRun, type Rehearsable } from '../../../src/audit/rehearsal/choose.ts';
import { formatRunId } from '../../../src/ledger/run-id.ts';
import type { ManifestObject } from '../../../src/ledger/manifest.ts';
import type { RehearsalResult } from '../../../src/ledger/rehearsals.ts';
import type { CommittedRun } from '../../../src/windows/committed.ts';

/** The same numbers each time; mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const DAY_MS = 86_400_000;
const NEW_YEAR_MS = Date.UTC(2026, 0, 1);

function runsOf(days: number): CommittedRun[] {
  return Array.from(
    { length: days },
    (_, day) => ({ run: formatRunId(new Date(NEW_YEAR_MS + day * DAY_MS)) }) as CommittedRun,
  );
}

/** Rehearses once a week for a year, while each archive gets a run a day. */
function rehearseForAYear(seed: number, isDifferent: (run: string) => boolean = () => false): [string, string][] {
  const random = randomOf(seed);
  const results = new Map(['a', 'b', 'c'].map((archive) => [archive, new Map<string, RehearsalResult>()]));
  return Array.from({ length: 52 }, (_, week): [string, string] => {
    const archives = [...results].map(([archive, known]): Rehearsable => ({
      ...{ archive, runs: runsOf(7 * (week + 1)), results: known },
    }));
    const { archive, run } = chooseRun(archives, random)!;
    const status = isDifferent(run.run) ? 'different' : 'equal';
    results.get(archive)?.set(run.run, { run: run.run, status } as RehearsalResult);
    return [archive, run.run];
  });
}

describe('the run that is rehearsed', () => {
  test('is of each archive within a year, and seldom one that was rehearsed before while others never were', () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const chosen = rehearseForAYear(seed);
      const counts = ['a', 'b', 'c'].map((name) => chosen.filter(([archive]) => archive === name).length);
      assert.ok(
        counts.every((count) => count >= 8),
        counts.join(),
      );
      assert.deepEqual(
        new Set(chosen.slice(0, 6).map(([archive]) => archive)).size,
        3,
        'none waits long for its first',
      );
      assert.ok(new Set(chosen.map(String)).size >= 48);
    }
  });

  test('comes soon again where it did not come back, and keeps others from none', () => {
    const chosen = rehearseForAYear(7, (run) => run.startsWith('20260103'));
    const archives = ['a', 'b', 'c'].map((archive): Rehearsable => ({
      ...{ archive, runs: runsOf(300), results: new Map() },
    }));
    assert.equal(chosen.length, 52);
    const different = { run: runsOf(3)[2]?.run ?? '', status: 'different' } as RehearsalResult;
    archives[1] = { ...archives[1]!, results: new Map([[different.run, different]]) };
    const random = randomOf(11);
    const again = Array.from({ length: 100 }, () => chooseRun(archives, random)?.run.run).filter(
      (run) => run === different.run,
    );
    assert.ok(again.length > 30 && again.length < 70, String(again.length));
  });

  test('is none where there are none', () => {
    assert.equal(chooseRun([], Math.random), undefined);
    assert.equal(chooseRun([{ archive: 'a', runs: [], results: new Map() }], Math.random), undefined);
  });
});

describe('the objects of a run that is too large', () => {
  const objectsOf = (...sizes: number[]) => ({
    length: sizes.length,
    async *from(index: number) {
      for (const size of sizes.slice(index)) yield { rows: size, jsonBytes: size } as ManifestObject;
    },
  });
  const chosen = async (sizes: number[], atMost: number, random: number) => {
    const found = await chooseObjects(objectsOf(...sizes), atMost, () => random);
    return found && { ...found, at: sizes.map((_, index) => index).filter((index) => !found.isOutside(index)) };
  };

  test('stand side by side, the first behind the last, and are as many as may be restored', async () => {
    assert.partialDeepStrictEqual(await chosen([4, 4, 4, 4], 9, 0), { at: [0, 1], objects: 2, rows: 8 });
    assert.partialDeepStrictEqual(await chosen([4, 4, 4, 4], 9, 0.99), { at: [0, 3], objects: 2, rows: 8 });
    assert.partialDeepStrictEqual(await chosen([4, 4, 4, 4], 4, 0.5), { at: [2], rows: 4 });
  });

  test('are others where the first ones are too large or have no rows, and none where all are too large', async () => {
    assert.partialDeepStrictEqual(await chosen([9, 9, 3, 2, 9], 5, 0), { at: [2, 3], rows: 5 });
    assert.partialDeepStrictEqual(await chosen([3, 0, 9], 5, 0.4), { at: [0], rows: 3 });
    assert.equal(await chosen([9, 9], 5, 0), undefined);
    assert.equal(await chosen([9, 0, 9], 5, 0), undefined);
  });
});
