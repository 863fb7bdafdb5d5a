/** Windows that were purged and hold rows again, which stayed or came late: each gets a further run. */
import { toFailure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Stretch } from '../calendar/windows.ts';
import { isBadRecord, type PurgeRecord } from '../ledger/purge.ts';
import { restoredSince } from '../ledger/restored-since.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import { compareRunIds } from '../ledger/run-id.ts';
import type { Store } from '../store/store.ts';
import {
  lowerBound,
  nextGeneration,
  standingRuns,
  takenIds,
  type FoundWindow,
  type MissingInput,
  type StandingRun,
} from './missing.ts';

/** A window that has rows now, and its runs, oldest first. */
export interface Filled {
  stretch: Stretch;
  runs: readonly StandingRun[];
}

/** Windows whose records are asked for at once. */
const READ_AT_ONCE = 8;

/**
 * The further runs of windows, oldest first. None before the latest run of its window is purged, none where its rows were
 * restored, and none where the window holds as many rows as that purge has left for good. Throws FailureError.
 */
export async function* lateWindows(
  input: MissingInput,
  store: Store,
  log: Log,
): AsyncGenerator<FoundWindow, void, undefined> {
  const { archive, source } = input;
  const taken = takenIds(input);
  const filled = filledWindows(input);
  for (;;) {
    const some = await take(filled, READ_AT_ONCE);
    const left = await Promise.all(some.map(({ runs }) => leftForGood(store, archive.name, runs, log)));
    for (const [at, { stretch }] of some.entries()) {
      const expected = left[at];
      if (expected === undefined || (await source.countIn(stretch)) === expected) continue;
      yield { stretch, run: nextGeneration(stretch, taken.get(stretch.fromMs) ?? []), isLate: true };
    }
    if (some.length < READ_AT_ONCE) return;
  }
}

/** By jumps from the end of one window that has rows to the next row. */
export async function* filledWindows(input: MissingInput): AsyncGenerator<Filled, void, undefined> {
  const { archive, source, range } = input;
  const { calendar } = source;
  const lowerMs = lowerBound(calendar, archive, range);
  const standing = [...standingRuns(source, archive, input, Infinity)].sort(([a], [b]) => a - b);
  let rowMs: number | undefined = -Infinity;
  for (const [startMs, unordered] of standing) {
    const stretch = calendar.startingAt(startMs);
    if (stretch === undefined || stretch.toMs <= lowerMs) continue;
    if (range?.toMs !== undefined && stretch.fromMs >= range.toMs) return;
    if (rowMs < stretch.fromMs) rowMs = await source.firstRowFrom(stretch.fromMs);
    if (rowMs === undefined) return;
    if (rowMs >= stretch.toMs) continue;
    yield { stretch, runs: [...unordered].sort((a, b) => compareRunIds(a.run, b.run)) };
  }
}

async function take<T>(items: AsyncIterator<T>, most: number): Promise<T[]> {
  const taken: T[] = [];
  while (taken.length < most) {
    const { done, value } = (await items.next()) as IteratorResult<T, undefined>;
    if (done === true) break;
    taken.push(value);
  }
  return taken;
}

/** The rows that the purge of a window's latest run has left, and that go by no other one; undefined where the window is to be left. */
async function leftForGood(
  store: Store,
  archive: string,
  runs: readonly StandingRun[],
  log: Log,
): Promise<number | undefined> {
  let last: PurgeRecord | undefined;
  for (const { run } of runs) {
    const folder = new RunFolder(store, archive, run);
    try {
      last = (await folder.purge())?.record;
      if ((await restoredSince(folder, last)) !== undefined) return undefined;
    } catch (error) {
      const failure = toFailure(error, 'purge');
      if (!isBadRecord(failure)) throw error;
      log.warn({ archive, run, failure }, 'what was purged of a window cannot be known: it gets no further run');
      return undefined;
    }
  }
  if (last?.state !== 'done') return undefined;
  const { inexact, referenced, kept } = last.totals;
  return inexact + referenced + kept;
}
