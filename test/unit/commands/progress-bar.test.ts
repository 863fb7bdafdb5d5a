import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatProgress, openProgressBar } from '../../../src/commands/progress-bar.ts';
import { formatTable } from '../../../src/commands/table.ts';
import type { ProgressSnapshot } from '../../../src/work/progress.ts';

const half: ProgressSnapshot = {
  archive: 'fetch_queue',
  run: '20261123T021500Z',
  segments: 1,
  segmentsDone: 0,
  rows: 233_000,
  jsonBytes: 250_000_000,
  bytes: 50_000_000,
  estimatedRows: 466_000,
  heapBytes: 12 * 1024 ** 2,
  elapsedMs: 5000,
  ended: false,
};

describe('the progress of a run', () => {
  test('shows the part that is done, the rates and what is left', () => {
    assert.equal(
      formatProgress(half),
      'fetch_queue ██████████░░░░░░░░░░  50% 233,000 rows 46,600 rows/s 50.0 MB/s ETA 5.0 s heap 12.0 MiB',
    );
  });

  test('never shows 100% before the end is known, however wrong the estimate', () => {
    assert.match(formatProgress({ ...half, rows: 999_999 }), / 99% 999,999 rows/);
    assert.match(formatProgress({ ...half, estimatedRows: 0 }), / {3}0% .*ETA -/);
    assert.match(formatProgress({ ...half, rows: 1, segmentsDone: 1, ended: true }), / 100% 1 rows .*in 5\.0 s/);
  });

  test('stays below 100% for a run that failed', () => {
    assert.match(formatProgress({ ...half, ended: true }), / {2}50% .* in 5\.0 s/);
  });

  test('says how many segments are done when there are several', () => {
    assert.match(formatProgress({ ...half, segments: 4, segmentsDone: 2 }), / 2\/4 segments/);
  });

  test('has no figure that is not a number at its very beginning', () => {
    const line = formatProgress({ ...half, rows: 0, jsonBytes: 0, elapsedMs: 0, heapBytes: 0 });
    assert.ok(!/NaN|Infinity|undefined/.test(line), line);
  });

  test('is not drawn where there is no terminal', () => {
    const written: string[] = [];
    const stream = { isTTY: false, write: (text: string) => written.push(text) };
    const bar = openProgressBar(stream as unknown as NodeJS.WriteStream);
    bar.update(half);
    bar.close();
    assert.deepEqual(written, []);
  });

  test('is drawn in place on a terminal, a line a run, cut to its width', () => {
    const written: string[] = [];
    const stream = { isTTY: true, columns: 40, write: (text: string) => written.push(text) };
    const bar = openProgressBar(stream as unknown as NodeJS.WriteStream);
    bar.update(half);
    bar.update({ ...half, archive: 'events' });
    bar.close();
    const lines = written
      .join('')
      .split('\n')
      .slice(0, -1)
      .map((line) => line.replace('\u001b[2K', ''));
    assert.deepEqual(
      lines.map((line) => line.length),
      [39, 39],
    );
    assert.ok(lines[0]?.startsWith('fetch_queue ') && lines[1]?.startsWith('events '));
  });
});

describe('a table on a terminal', () => {
  test('has its columns below each other, numbers to the right', () => {
    assert.deepEqual(
      formatTable(
        ['name', 'rows'],
        [
          ['events', '1'],
          ['a', '1,000,000'],
        ],
        [1],
      ),
      ['name         rows', 'events          1', 'a       1,000,000'],
    );
  });
});
