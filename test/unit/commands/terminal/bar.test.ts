import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatProgress, openProgressBar, type Progress } from '../../../../src/commands/terminal/bar.ts';
import {
  progressOfBytes,
  progressOfPurge,
  progressOfRows,
  progressOfWindows,
} from '../../../../src/commands/terminal/progress.ts';
import type { ProgressSnapshot } from '../../../../src/work/progress.ts';

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
  pause: null,
  ended: false,
};

function line(snapshot: ProgressSnapshot, columns = 200): string {
  return formatProgress(progressOfRows(snapshot), columns);
}

describe('the progress of a run', () => {
  test('shows the part that is done, what is left, and the rates', () => {
    assert.equal(
      line(half),
      'fetch_queue ██████████░░░░░░░░░░  50% 233,000 rows ETA 5.0 s 50.0 MB/s 46,600 rows/s heap 12.0 MiB',
    );
  });

  test('fits a narrow terminal: the least important figures are left out, and none is cut', () => {
    assert.equal(line(half, 80), 'fetch_queue ██████████░░░░░░░░░░  50% 233,000 rows ETA 5.0 s 50.0 MB/s');
    assert.equal(line(half, 60), 'fetch_queue █████░░░░░  50% 233,000 rows ETA 5.0 s');
    for (let columns = 1; columns < 120; columns += 1) assert.ok(line(half, columns).length < columns, String(columns));
  });

  test('never shows 100% before the end is known, however wrong the estimate', () => {
    assert.match(line({ ...half, rows: 999_999 }), / 99% 999,999 rows/);
    assert.match(line({ ...half, estimatedRows: 0 }), / {3}0% .*ETA -/);
    assert.match(line({ ...half, rows: 1, segmentsDone: 1, ended: true }), / 100% 1 row in 5\.0 s/);
  });

  test('stays below 100% for a run that failed', () => {
    assert.match(line({ ...half, ended: true }), / {2}50% .* in 5\.0 s/);
  });

  test('says how many segments are done when there are several', () => {
    assert.match(line({ ...half, segments: 4, segmentsDone: 2 }), / 2\/4 segments/);
  });

  test('has no figure that is not a number at its very beginning', () => {
    const first = line({ ...half, rows: 0, jsonBytes: 0, elapsedMs: 0, heapBytes: 0 });
    assert.ok(!/NaN|Infinity|undefined/.test(first), first);
  });
});

describe('the progress of a verification', () => {
  const third = { objects: 3, objectsDone: 1, bytes: 3 * 1024 ** 2, bytesDone: 1024 ** 2 };

  test('goes by the bytes that were read', () => {
    assert.equal(
      formatProgress(progressOfBytes('verify events', third, 2000), 80),
      'verify events ███████░░░░░░░░░░░░░  33% 1.0 MiB of 3.0 MiB ETA 4.0 s 0.5 MB/s',
    );
    assert.deepEqual(progressOfBytes('x', { ...third, objects: 1 }, 2000).figures.at(-1), '1/1 object');
  });

  test('has no figure that is not a number for an archive without bytes', () => {
    const nothing = { objects: 0, objectsDone: 0, bytes: 0, bytesDone: 0 };
    assert.ok(!/NaN|Infinity/.test(formatProgress(progressOfBytes('x', nothing, 0), 80)));
  });
});

describe('the progress of a purge', () => {
  const totals = { deleted: 25_659, absent: 0, changed: 130, locked: 5, referenced: 31, inexact: 0, kept: 0 };
  const purging = { lines: 120_000, linesDone: 25_825, totals };
  const since = { ms: 4000, lines: 20_000 };
  const line = (columns: number): string => formatProgress(progressOfPurge('purge queue', purging, since), columns);

  test('has rows, their rate, and what stays by its reason, the most first', () => {
    assert.equal(
      line(120),
      'purge queue ████░░░░░░░░░░░░░░░░  21% 25,659 rows 5,000 rows/s 130 changed 31 referenced 5 locked ETA 18.8 s',
    );
    assert.equal(line(80), 'purge queue ████░░░░░░░░░░░░░░░░  21% 25,659 rows 5,000 rows/s 130 changed');
    assert.equal(line(60), 'purge queue ██░░░░░░░░  21% 25,659 rows 5,000 rows/s');
  });

  test('has no rate before there is one, nor once all was gone through and what stayed is looked at again', () => {
    const { figures } = progressOfPurge('x', purging, { ms: 0, lines: 0 });
    assert.deepEqual(figures, ['25,659 rows', '130 changed', '31 referenced', '5 locked']);
    assert.deepEqual(progressOfPurge('x', { ...purging, linesDone: 200_000 }, since).figures, figures);
    assert.deepEqual(progressOfPurge('x', { ...purging, lines: 0 }, since).part, 1);
  });

  test('of a partition is what is done with it', () => {
    const { part, figures } = progressOfPurge('x', { ...purging, step: 'detaching' }, since);
    assert.deepEqual([part, figures], [0.2, ['120,000 rows', 'detaching']]);
  });
});

test('the progress over windows says how many there are, which one is made, and what is left', () => {
  const windows = { archive: 'events', run: '20260301T000000Z', done: 9, total: 36 };
  assert.equal(
    formatProgress(progressOfWindows(windows, 3000), 100),
    'events windows █████░░░░░░░░░░░░░░░  25% 9/36 windows ETA 9.0 s 20260301T000000Z',
  );
  const [begun, ended] = [
    { ...windows, done: 0 },
    { ...windows, run: undefined, done: 36 },
  ];
  assert.match(formatProgress(progressOfWindows(begun, 0), 100), / {3}0% 0\/36 windows ETA - /);
  assert.match(formatProgress(progressOfWindows(ended, 4000), 100), / 100% 36\/36 windows in 4\.0 s$/);
});

describe('the bar', () => {
  function openOn(stream: object): {
    bar: ReturnType<typeof openProgressBar>;
    written: string[];
    stop: AbortController;
  } {
    const written: string[] = [];
    const stop = new AbortController();
    const whole = { write: (text: string) => written.push(text), ...stream } as unknown as NodeJS.WriteStream;
    return { bar: openProgressBar(whole, stop.signal), written, stop };
  }

  const progress: Progress = { title: 'fetch_queue', part: 0.5, figures: ['233,000 rows'] };

  test('is not drawn where there is no terminal', () => {
    const { bar, written, stop } = openOn({ isTTY: false });
    bar.update(progress);
    stop.abort();
    bar.close();
    assert.deepEqual(written, []);
  });

  test('is drawn in place on a terminal, a line a run, and leaves the cursor below', () => {
    const { bar, written } = openOn({ isTTY: true, columns: 60, rows: 24 });
    bar.update(progress);
    bar.update({ ...progress, title: 'events' });
    bar.close();
    assert.deepEqual(written, [
      '\r\u001b[Jfetch_queue █████░░░░░  50% 233,000 rows\nevents █████░░░░░  50% 233,000 rows\n',
    ]);
  });

  test('says after the first Ctrl-C what the second one does, above the lines that go on', () => {
    const { bar, written, stop } = openOn({ isTTY: true, columns: 80, rows: 24 });
    bar.update(progress);
    stop.abort();
    bar.close();
    const [said, closed] = written;
    assert.match(said!, /^\r\u001b\[Jstopping cleanly; press Ctrl-C once more to stop at once\nfetch_queue .* rows\n$/);
    assert.match(closed!, /^\r\u001b\[1A\u001b\[Jfetch_queue .* rows\n$/);
  });

  test('has the lines of the log above it, where they are not drawn over', () => {
    const { bar, written } = openOn({ isTTY: true, columns: 60, rows: 24 });
    bar.update(progress);
    bar.above('WARN  first\n');
    bar.above('WARN  second\n');
    bar.close();
    bar.above('INFO  last\n');
    const drawn = 'fetch_queue █████░░░░░  50% 233,000 rows\n';
    assert.deepEqual(written, [
      `\r\u001b[JWARN  first\n${drawn}`,
      `\r\u001b[1A\u001b[JWARN  second\n${drawn}`,
      `\r\u001b[1A\u001b[J${drawn}`,
      'INFO  last\n',
    ]);
  });

  test('is no higher than the terminal, as what has left the screen cannot be drawn again', () => {
    const { bar, written } = openOn({ isTTY: true, columns: 40, rows: 5 });
    for (let run = 1; run <= 9; run += 1) bar.update({ ...progress, title: `run${run}` });
    bar.close();
    assert.deepEqual(written.join('').match(/… \d+ more|run\d/g), ['… 6 more', 'run7', 'run8', 'run9']);
  });

  test('shows what is in a name, and does not obey it', () => {
    const shown = formatProgress({ title: 'a\u001b[2J\n', part: 0, figures: ['x\r'] }, 120);
    assert.match(shown, /^a\\x1b\[2J\\n .* x\\r$/);
  });
});
