/** What the bar shows of a run, of a restore, of a verification and of a purge. */
import { countOf, formatBytes, formatCount, formatDuration } from '../../base/units.ts';
import { OUTCOMES } from '../../ledger/purge.ts';
import type { PartitionStep, PurgeProgress } from '../../purge/request.ts';
import type { VerifyProgress } from '../../verify/run.ts';
import type { WindowsProgress } from '../../windows/ahead.ts';
import type { ProgressSnapshot } from '../../work/progress.ts';
import type { Progress } from './bar.ts';

/** `fetch_queue … 61% 284,000 rows ETA 3.4 s 53.1 MB/s 52,310 rows/s 2/4 segments heap 12.0 MiB`. */
export function progressOfRows(snapshot: ProgressSnapshot): Progress {
  const { archive, rows, jsonBytes, elapsedMs, ended, segments, segmentsDone, heapBytes } = snapshot;
  const seconds = secondsOf(elapsedMs);
  const part = donePart(snapshot);
  return {
    title: archive,
    part,
    figures: [
      ...(snapshot.pause === null ? [] : [`paused: ${snapshot.pause}`]),
      countOf(rows, 'row'),
      remaining(part, seconds, ended),
      `${formatRate(jsonBytes / seconds)} MB/s`,
      `${formatCount(rows / seconds)} rows/s`,
      ...(segments > 1 ? [`${segmentsDone}/${segments} segments`] : []),
      `heap ${formatBytes(heapBytes)}`,
    ],
  };
}

/** `events windows … 34% 12/35 windows ETA 2m 07s 20260301T000000Z`. */
export function progressOfWindows({ archive, run, done, total }: WindowsProgress, elapsedMs: number): Progress {
  const part = total === 0 ? 1 : done / total;
  const ended = run === undefined;
  return {
    title: `${archive} windows`,
    part,
    figures: [
      `${formatCount(done)}/${countOf(total, 'window')}`,
      remaining(part, secondsOf(elapsedMs), ended),
      ...(ended ? [] : [run]),
    ],
  };
}

/** `verify fetch_queue … 61% 1.2 GiB of 2.0 GiB ETA 3.4 s 210.0 MB/s 3/7 objects`. */
export function progressOfBytes(title: string, progress: VerifyProgress, elapsedMs: number): Progress {
  const { bytes, bytesDone, objects, objectsDone } = progress;
  const seconds = secondsOf(elapsedMs);
  const part = bytes === 0 ? 1 : Math.min(1, bytesDone / bytes);
  return {
    title,
    part,
    figures: [
      `${formatBytes(bytesDone)} of ${formatBytes(bytes)}`,
      remaining(part, seconds, objectsDone === objects),
      `${formatRate(bytesDone / seconds)} MB/s`,
      `${objectsDone}/${countOf(objects, 'object')}`,
    ],
  };
}

/**
 * `purge fetch_queue … 61% 284,000 rows 9,310 rows/s 130 changed 5 locked ETA 22.1 s`: what stays comes with its reason, the most first.
 * `since` is the time since the first rows were done, and the lines since then.
 */
export function progressOfPurge(
  title: string,
  { lines, linesDone, totals, step }: PurgeProgress,
  since: { ms: number; lines: number },
): Progress {
  // How far the server is with a partition, it does not say.
  if (step !== undefined)
    return { title, part: STEPS.indexOf(step) / STEPS.length, figures: [countOf(lines, 'row'), step] };
  const seconds = secondsOf(since.ms);
  const left = Math.max(0, lines - linesDone);
  const rate = since.lines / seconds;
  const stayed = OUTCOMES.filter((outcome) => outcome !== 'deleted' && totals[outcome] > 0)
    .sort((one, other) => totals[other] - totals[one])
    .map((outcome) => `${formatCount(totals[outcome])} ${outcome}`);
  return {
    title,
    part: lines === 0 ? 1 : Math.min(1, linesDone / lines),
    figures: [
      countOf(totals.deleted, 'row'),
      // What stayed is gone through again at the end: that is no rate of rows.
      ...(since.lines === 0 || left === 0 ? [] : [`${formatCount(rate)} rows/s`]),
      ...stayed,
      ...(since.lines === 0 || left === 0 ? [] : [`ETA ${formatDuration((left / rate) * 1000)}`]),
    ],
  };
}

const STEPS: readonly PartitionStep[] = ['comparing', 'detaching', 'comparing again', 'dropping', 'attaching again'];

/** Rows against the planner's estimate, which may be too low: less than all until the end is known. */
function donePart({ rows, estimatedRows, ended, segments, segmentsDone }: ProgressSnapshot): number {
  if (ended && segmentsDone === segments) return 1;
  return estimatedRows <= 0 ? 0 : Math.min(0.99, rows / estimatedRows);
}

function remaining(part: number, seconds: number, ended: boolean): string {
  if (ended) return `in ${formatDuration(seconds * 1000)}`;
  return part === 0 ? 'ETA -' : `ETA ${formatDuration((seconds / part - seconds) * 1000)}`;
}

function formatRate(bytesPerSecond: number): string {
  return (bytesPerSecond / 1e6).toFixed(1);
}

/** Not zero, so that no rate is infinite at the very beginning. */
function secondsOf(ms: number): number {
  return Math.max(ms, 1) / 1000;
}
