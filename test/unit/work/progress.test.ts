import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RunProgress, type ProgressSnapshot } from '../../../src/work/progress.ts';

const FAILURE = { code: 'throttled', stage: 'upload', transient: true, message: '', hint: '' } as const;
const FACTS = { rows: 10, jsonBytes: 100, bytes: 20 };
const PLAN = { segments: [{ index: 0 }, { index: 1 }, { index: 2 }], estimate: { rows: 30 } };

function followed(): { progress: RunProgress; seen: ProgressSnapshot[] } {
  const seen: ProgressSnapshot[] = [];
  return { progress: new RunProgress('events', '20261123T021500Z', (snapshot) => seen.push(snapshot)), seen };
}

describe('the progress of a run', () => {
  test('is nothing before there is a plan, and says nothing of a run that never began', () => {
    const { progress, seen } = followed();
    progress.end();
    assert.equal(progress.snapshot(), undefined);
    assert.deepEqual(seen, []);
  });

  test('adds its segments up, and says so at each step', () => {
    const { progress, seen } = followed();
    progress.begin(PLAN, new Map());
    progress.attempt(1, 1);
    progress.update(1, { kind: 'progress', rows: 4, jsonBytes: 40, bytes: 8, heapBytes: 5000 });
    progress.finish(1, FACTS);
    progress.end();
    assert.deepEqual(
      seen.map(({ rows, segmentsDone, ended }) => [rows, segmentsDone, ended]),
      [
        [0, 0, false],
        [4, 0, false],
        [10, 1, false],
        [10, 1, true],
      ],
    );
    assert.equal(progress.counts.segmentsFinishedHere, 1);
    assert.equal(progress.counts.peakHeapBytes, 5000);
  });

  test('does not go back to what a segment said before it was done', () => {
    const { progress } = followed();
    progress.begin(PLAN, new Map());
    progress.attempt(0, 1);
    progress.finish(0, FACTS);
    progress.update(0, { kind: 'progress', rows: 4, jsonBytes: 40, bytes: 8, heapBytes: 1 });
    assert.equal(progress.snapshot()?.rows, 10);
  });

  test('forgets the rows of an attempt that failed, and counts the next one', () => {
    const { progress } = followed();
    progress.begin(PLAN, new Map());
    progress.attempt(0, 1);
    progress.update(0, { kind: 'progress', rows: 4, jsonBytes: 40, bytes: 8, heapBytes: 1 });
    progress.fail(0, FAILURE, false);
    assert.equal(progress.snapshot()?.rows, 0);
    assert.equal([...progress.segments.from(0)][0]?.state, 'waiting');
    progress.attempt(0, 2);
    assert.equal(progress.snapshot()?.rows, 0);
    progress.fail(0, FAILURE, true);
    assert.equal([...progress.segments.from(0)][0]?.state, 'failed');
    assert.deepEqual([...progress.counts.failures], [['throttled', 2]]);
    assert.equal(progress.counts.retries, 1);
  });

  test('goes on under a new session with what is done, and is then resumed', () => {
    const { progress } = followed();
    progress.tookSnapshot(new Date(1000));
    progress.begin(PLAN, new Map());
    progress.attempt(0, 1);
    progress.finish(0, FACTS);
    progress.attempt(1, 1);
    assert.equal(progress.resumed, false);
    progress.tookSnapshot(new Date(2000));
    progress.begin(PLAN, new Map([[0, FACTS]]));
    assert.equal(progress.resumed, true);
    assert.deepEqual(progress.snapshotAt, new Date(2000));
    assert.deepEqual(
      [...progress.segments.from(0)].map(({ state, attempts }) => [state, attempts]),
      [
        ['done', 1],
        ['waiting', 1],
        ['waiting', 0],
      ],
    );
    progress.begin(PLAN, new Map());
    assert.equal(progress.resumed, true, 'a session that starts over does not undo that the run was resumed');
    assert.equal(progress.segmentsDone, 0);
  });

  test('counts uploads of dead runs over all sessions', () => {
    const { progress } = followed();
    progress.swept(2);
    progress.swept(1);
    assert.equal(progress.counts.abortedUploads, 3);
  });
});
