import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Live } from '../../../../src/daemon/view/live.ts';
import type { BoardEntry } from '../../../../src/daemon/run-board.ts';

/** As much of a run as is looked at. */
function runOf(rows: number[]): BoardEntry {
  const segments = { in: () => [{ heapBytes: 5 }, { heapBytes: 7 }] };
  const progress = { segments, snapshot: () => ({ rows: rows.at(-1) ?? 0 }) };
  return { progress } as unknown as BoardEntry;
}

test('rows climb over all runs, those that begin again and those that end between two samples included', () => {
  const live = new Live();
  const rows = [100];
  const run = runOf(rows);
  live.sample([run], 1000);
  rows.push(300);
  live.sample([run], 2000);
  // A segment that failed has lost its rows, and does them again.
  rows.push(250);
  live.sample([run], 3000);
  rows.push(400);
  live.ended(run.progress);
  live.sample([], 8000);
  const other = runOf([50]);
  live.sample([other], 9000);
  assert.deepEqual(
    live.samples.map(([atMs, rss, heapBytes, , total]) => [atMs, rss > 0, heapBytes, total]),
    [
      [1000, true, 7, 100],
      [2000, true, 7, 300],
      [3000, true, 7, 300],
      [8000, true, 0, 400],
      [9000, true, 7, 450],
    ],
  );
});

test('of the samples, the last ten minutes of a run are kept', () => {
  const live = new Live();
  for (let second = 0; second < 700; second += 1) live.sample([], second * 1000);
  assert.equal(live.samples.length, 600);
  assert.equal(live.samples.at(-1)?.[0], 699_000);
});
