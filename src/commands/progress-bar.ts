/** Draws the running archives on a terminal: one line each, redrawn in place. */
import { formatBytes, formatCount, formatDuration } from '../base/units.ts';
import type { ProgressSnapshot } from '../work/progress.ts';

const DRAW_INTERVAL_MS = 100;
const BAR_CELLS = 20;

export interface ProgressBar {
  update: (snapshot: ProgressSnapshot) => void;
  /** Draws the last state and leaves the lines standing. */
  close: () => void;
}

/** A bar on `stream` when it is a terminal; else one that does nothing, as the log says the same in lines. */
export function openProgressBar(stream: NodeJS.WriteStream): ProgressBar {
  if (!stream.isTTY) return { update: () => undefined, close: () => undefined };
  const running = new Map<string, ProgressSnapshot>();
  let drawnLines = 0;
  const draw = (): void => {
    const lines = [...running.values()].map((snapshot) => fit(formatProgress(snapshot), stream.columns));
    const up = drawnLines > 0 ? `\u001b[${drawnLines}A` : '';
    stream.write(`${up}${lines.map((line) => `\u001b[2K${line}\n`).join('')}`);
    drawnLines = lines.length;
  };
  const timer = setInterval(draw, DRAW_INTERVAL_MS);
  return {
    update: (snapshot) => {
      running.set(`${snapshot.archive}/${snapshot.run}`, snapshot);
    },
    close: () => {
      clearInterval(timer);
      draw();
    },
  };
}

/** `fetch_queue ████████░░░░ 61% 284,000 rows 52,310 rows/s 53.1 MB/s ETA 3.4 s heap 12.0 MiB`. */
export function formatProgress(snapshot: ProgressSnapshot): string {
  const seconds = Math.max(snapshot.elapsedMs, 1) / 1000;
  const part = donePart(snapshot);
  const fields = [
    snapshot.archive,
    bar(part),
    `${Math.floor(part * 100)}%`.padStart(4),
    `${formatCount(snapshot.rows)} rows`,
    `${formatCount(snapshot.rows / seconds)} rows/s`,
    `${(snapshot.jsonBytes / seconds / 1e6).toFixed(1)} MB/s`,
    remaining(snapshot, part, seconds),
    `heap ${formatBytes(snapshot.heapBytes)}`,
  ];
  if (snapshot.segments > 1) fields.push(`${snapshot.segmentsDone}/${snapshot.segments} segments`);
  return fields.join(' ');
}

/** Rows against the planner's estimate, which may be too low: less than all until the end is known. */
function donePart({ rows, estimatedRows, ended, segments, segmentsDone }: ProgressSnapshot): number {
  if (ended && segmentsDone === segments) return 1;
  return estimatedRows <= 0 ? 0 : Math.min(0.99, rows / estimatedRows);
}

function remaining({ ended }: ProgressSnapshot, part: number, seconds: number): string {
  if (ended) return `in ${formatDuration(seconds * 1000)}`;
  return part === 0 ? 'ETA -' : `ETA ${formatDuration((seconds / part - seconds) * 1000)}`;
}

function bar(part: number): string {
  const full = Math.round(part * BAR_CELLS);
  return '█'.repeat(full) + '░'.repeat(BAR_CELLS - full);
}

/** A line that wraps would be redrawn in the wrong place. */
function fit(line: string, columns: number): string {
  return line.length < columns ? line : line.slice(0, Math.max(0, columns - 1));
}
