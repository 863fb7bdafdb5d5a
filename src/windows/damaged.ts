/**
 * Committed runs whose manifests cannot be believed: each stands for the window that its id begins, so that nothing is made
 * over it, and is not archived until its manifest is whole again or a later generation is there.
 */
import type { Failure } from '../base/errors.ts';
import { PartitionCalendar } from '../calendar/partitions.ts';
import { WindowCalendar, type Calendar } from '../calendar/windows.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import { generationOf, parseRunId } from '../ledger/run-id.ts';
import { kindOf, rangeOf, type WindowChoice } from './choose.ts';
import type { CommittedRuns, DamagedRun } from './committed.ts';
import { lowerBound, type WindowRange } from './missing.ts';
import type { WindowedArchive } from './window-source.ts';

/** Of one run. */
export type RunFailure = Failure & { run: string };

/** Those of the windows that are wanted, but for those with a good later generation, by run id. */
export function damagedWindows(
  calendar: Calendar,
  archive: WindowedArchive,
  { committed, damaged }: CommittedRuns,
  range: WindowRange = {},
): DamagedRun[] {
  if (damaged.length === 0) return [];
  const wanted = { ...range, fromMs: lowerBound(calendar, archive, range) };
  const latestGood = new Map<number, number>();
  for (const { run } of committed)
    latestGood.set(startOf(run), Math.max(generationOf(run), latestGood.get(startOf(run)) ?? 0));
  return damaged.filter(
    ({ run }) => liesIn(calendar, run, wanted) && generationOf(run) > (latestGood.get(startOf(run)) ?? 0),
  );
}

/** Those that are chosen on the command line, by run id. */
export function chooseDamaged(
  { window, timezone }: ArchiveConfig,
  { committed, damaged }: CommittedRuns,
  choice: WindowChoice,
): DamagedRun[] {
  if (window === undefined || damaged.length === 0) return [];
  // What the column is, only those tell that can be read.
  const point = committed.find((run) => run.window !== undefined)?.window?.from;
  const kind = kindOf(point ?? 'TZ');
  // Which partitions there are, only the source says: a damaged one ends at its own time, as far as is known.
  const calendar =
    window.every === 'partition'
      ? new PartitionCalendar(kind, timezone, [])
      : new WindowCalendar(kind, window.every, timezone);
  const range = rangeOf(calendar, choice);
  return damaged.filter(({ run }) => liesIn(calendar, run, range));
}

/** The same failure, with what gets the window back. */
export function failureOf(calendar: Calendar, archive: string, { run, failure }: DamagedRun): RunFailure {
  const own = { ...failure, archive, run };
  if (failure.code === 'newer-journal') return own;
  const stretch = calendar.startingAt(startOf(run));
  const anew =
    stretch === undefined
      ? ''
      : `; where that is lost, and the source still has the rows, pgsluice run ${archive} --from ${calendar.format(stretch.fromMs)} --to ${calendar.format(stretch.toMs)} --again archives the window anew`;
  return { ...own, hint: `${failure.hint} Bring the former version of the manifest back${anew}.` };
}

/** One that begins no window ends at its own time, as far as is known. */
function liesIn(calendar: Calendar, run: string, { fromMs = -Infinity, toMs = Infinity }: WindowRange): boolean {
  const startMs = startOf(run);
  return (calendar.startingAt(startMs)?.toMs ?? startMs) > fromMs && startMs < toMs;
}

function startOf(run: string): number {
  return parseRunId(run).getTime();
}
