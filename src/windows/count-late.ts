/** Counts the rows of windows that are archived, to tell of those that came after their window was: for `plan --late`. */
import { toFailure } from '../base/errors.ts';
import type { Stretch } from '../calendar/windows.ts';
import { isBadRecord, rowsLeft } from '../ledger/purge.ts';
import { restoredSince } from '../ledger/restored-since.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import { compareRunIds } from '../ledger/run-id.ts';
import type { Store } from '../store/store.ts';
import type { CommittedRun } from './committed.ts';
import { filterOfNow } from './filter.ts';
import { filledWindows } from './late.ts';
import { lowerBound, standingRuns, type MissingInput, type StandingRun } from './missing.ts';

/** A window, and its latest run, which holds all rows that the window had then. */
export interface ArchivedWindow {
  stretch: Stretch;
  /** Oldest first. */
  runs: readonly StandingRun[];
  /** Undefined when its manifest cannot be believed. */
  latest: CommittedRun | undefined;
}

/** Why numbers of rows tell nothing of a window. */
export type Incomparable = 'damaged' | 'filter' | 'purging' | 'restored' | 'bad-purge-record';

/** A window as it was counted. */
export type CountedWindow = { stretch: Stretch; run: string } & (
  | {
      /** What the source is to hold: the rows of the run, or those that its purge left. */
      expected: number;
      rows: number;
      isPurged: boolean;
    }
  | { incomparable: Incomparable }
);

/** Windows of the range that are archived, oldest first. */
export function archivedWindows(input: MissingInput): ArchivedWindow[] {
  const { archive, source, range } = input;
  const { calendar } = source;
  const lowerMs = lowerBound(calendar, archive, range);
  const byRun = new Map(input.committed.map((run) => [run.run, run]));
  const windows: ArchivedWindow[] = [];
  for (const [startMs, unordered] of standingRuns(source, archive, input, Infinity)) {
    const stretch = calendar.startingAt(startMs);
    if (stretch === undefined || stretch.toMs <= lowerMs) continue;
    if (range?.toMs !== undefined && stretch.fromMs >= range.toMs) continue;
    const runs = [...unordered].sort((a, b) => compareRunIds(a.run, b.run));
    windows.push({ stretch, runs, latest: byRun.get(runs.at(-1)?.run ?? '') });
  }
  return windows.sort((a, b) => a.stretch.fromMs - b.stretch.fromMs);
}

/**
 * Counts them one by one, each by a statement of its own, so that no snapshot lasts longer than that; empty ones are passed over
 * by looks for the next row. `onWindow` is told how many are done. Throws FailureError.
 */
export async function* countWindows(
  input: MissingInput,
  windows: readonly ArchivedWindow[],
  store: Store,
  onWindow: (done: number) => void = () => undefined,
): AsyncGenerator<CountedWindow, void, undefined> {
  const filled = filledWindows(input);
  let next = await filled.next();
  for (const [at, window] of windows.entries()) {
    onWindow(at);
    while (next.done !== true && next.value.stretch.fromMs < window.stretch.fromMs) next = await filled.next();
    const isFilled = next.done !== true && next.value.stretch.fromMs === window.stretch.fromMs;
    yield await countWindow(input, window, store, isFilled);
  }
  onWindow(windows.length);
}

async function countWindow(
  { archive, source }: MissingInput,
  { stretch, runs, latest }: ArchivedWindow,
  store: Store,
  isFilled: boolean,
): Promise<CountedWindow> {
  const run = runs.at(-1)?.run ?? '';
  if (latest === undefined) return { stretch, run, incomparable: 'damaged' };
  if (latest.filter !== filterOfNow(archive, source, stretch)) return { stretch, run, incomparable: 'filter' };
  const rows = isFilled ? await source.countIn(stretch) : 0;
  const all = { stretch, run, rows, expected: latest.rows, isPurged: false };
  // Where nothing is purged, equal numbers need no look for a purge.
  if (rows === 0 || (archive.purge === undefined && rows === latest.rows)) return all;
  const left = await leftIn(store, archive.name, runs);
  if (left === 'nothing purged') return all;
  if (typeof left === 'number') return { ...all, expected: left, isPurged: true };
  return { stretch, run, incomparable: left };
}

/** The rows that the purge of a window's latest run left, of whatever kind. */
async function leftIn(
  store: Store,
  archive: string,
  runs: readonly StandingRun[],
): Promise<number | Incomparable | 'nothing purged'> {
  let left: number | Incomparable | 'nothing purged' = 'nothing purged';
  for (const { run } of runs) {
    const folder = new RunFolder(store, archive, run);
    try {
      const record = (await folder.purge())?.record;
      if ((await restoredSince(folder, record)) !== undefined) return 'restored';
      left =
        record === undefined || record.partition?.state === 'attached' ? 'nothing purged' : rowsLeft(record.totals);
      if (typeof left === 'number' && record?.state === 'running') left = 'purging';
    } catch (error) {
      if (!isBadRecord(toFailure(error, 'purge'))) throw error;
      return 'bad-purge-record';
    }
  }
  return left;
}
