/** Which windows of an archive are to be made: those that are closed and have no run standing for them. */
import { fail } from '../base/errors.ts';
import { formatCount } from '../base/units.ts';
import { firstFrom, type Calendar, type Stretch } from '../calendar/windows.ts';
import { formatGeneration, formatRunId, generationOf, parseRunId } from '../ledger/run-id.ts';
import { pointMs } from './choose.ts';
import type { CommittedRun, CommittedRuns } from './committed.ts';
import { whyOpen, type WindowedArchive, type WindowSource } from './window-source.ts';

/** A window to be made, or that is there. */
export interface FoundWindow {
  stretch: Stretch;
  /** The id of its first run. */
  run: string;
  /** Whether it is there, and this is a further run of it. */
  isLate?: boolean;
}

/** A stretch of empty windows that is longer than this is passed over. */
export const MOST_EMPTY = 31;
/** More than these are made only where the config says from when on. */
export const MOST_WINDOWS = 20_000;

const DAY_MS = 86_400_000;
/** Partitions are as many as they are. */
const SHORTEST_MS = {
  hour: DAY_MS / 24,
  day: DAY_MS,
  week: 7 * DAY_MS,
  month: 28 * DAY_MS,
  year: 365 * DAY_MS,
} as const;

/** Points of the column; of windows that begin before `toMs`. */
export interface WindowRange {
  fromMs?: number;
  toMs?: number;
}

/** A run that stands for a window: nobody makes its first run again. */
export interface StandingRun {
  run: string;
}

/**
 * The runs that stand for windows, by the window's first point; damaged ones do so by their ids. Throws FailureError
 * `window-mixed` for those in their way.
 */
export function standingRuns(
  { calendar }: Pick<WindowSource, 'calendar'>,
  archive: WindowedArchive,
  { committed, damaged }: CommittedRuns,
  lowerMs: number,
): Map<number, StandingRun[]> {
  const standing = new Map<number, StandingRun[]>();
  const add = ({ fromMs }: Stretch, run: StandingRun): void => {
    standing.set(fromMs, [...(standing.get(fromMs) ?? []), run]);
  };
  for (const run of committed) {
    const stretch = stretchOf(calendar, archive, run);
    if (stretch === undefined) refuseOverlap(calendar, archive, run, lowerMs);
    else add(stretch, run);
  }
  for (const { run } of damaged) {
    const stretch = calendar.startingAt(parseRunId(run).getTime());
    if (stretch !== undefined) add(stretch, { run });
  }
  return standing;
}

/** The window that a run stands for; undefined when it stands for none that is wanted. */
function stretchOf(calendar: Calendar, archive: WindowedArchive, { run, window }: CommittedRun): Stretch | undefined {
  const stretch = calendar.startingAt(parseRunId(run).getTime());
  if (stretch === undefined || window?.column !== archive.window.column) return undefined;
  const isSame = window.from === calendar.format(stretch.fromMs) && window.to === calendar.format(stretch.toMs);
  return isSame ? stretch : undefined;
}

/**
 * A run that ends before everything that is wanted does no harm. One without a window ends at its own time, as far as is known. One
 * of a partition that is there no more, or was cut anew, is what it was: its rows are archived, and those of now are of others.
 */
function refuseOverlap(
  calendar: Calendar,
  archive: WindowedArchive,
  { run, window, partition }: CommittedRun,
  lowerMs: number,
): void {
  const isFormer = partition !== undefined && window?.column === archive.window.column;
  if (isFormer && archive.window.every === 'partition') return;
  const endMs = window === undefined ? parseRunId(run).getTime() : pointMs(window.to);
  if (endMs <= lowerMs) return;
  const what =
    window === undefined
      ? 'has no window'
      : `is of ${window.column} from ${window.from} to ${window.to}, another window`;
  throw fail('window-mixed', {
    stage: 'plan',
    message: `run ${run} of ${archive.name} ${what}; it overlaps the windows of ${archive.window.column} by ${archive.window.every}`,
    hint: `Give the archive another name, or set window.from to ${calendar.format(endMs)} or later.`,
  });
}

export interface MissingInput extends CommittedRuns {
  archive: WindowedArchive;
  source: WindowSource;
  /** Narrows what is looked at. */
  range?: WindowRange;
  onHeldOpen?: (window: FoundWindow, what: string) => void;
}

/**
 * The windows that are missing, oldest first. Where no row is, windows are made as empty ones, but for long stretches: those
 * are passed over. Throws FailureError.
 */
export async function* missingWindows(input: MissingInput): AsyncGenerator<FoundWindow, void, undefined> {
  const { archive, source } = input;
  const { calendar } = source;
  const lowerMs = lowerBound(calendar, archive, input.range);
  const firstRowMs = await source.firstRowFrom(lowerMs);
  if (firstRowMs === undefined) return;
  const standing = standingRuns(source, archive, input, configFrom(calendar, archive));
  const taken = takenIds(input);
  for await (const stretch of walk(input, standing, Math.max(lowerMs, firstRowMs), firstRowMs))
    yield found(stretch, taken);
}

async function* walk(
  input: MissingInput,
  standing: ReadonlyMap<number, unknown>,
  startMs: number,
  firstRowMs: number,
): AsyncGenerator<Stretch, void, undefined> {
  const { source } = input;
  let rowMs: number | undefined = firstRowMs;
  let stretch = firstFrom(source.calendar, startMs);
  while (stretch !== undefined && isWanted(input, stretch)) {
    if (!standing.has(stretch.fromMs)) {
      if (rowMs !== undefined && rowMs < stretch.fromMs) rowMs = await source.firstRowFrom(stretch.fromMs);
      if (rowMs === undefined || rowMs >= stretch.toMs) {
        const empties = emptyStretch(input, stretch, rowMs);
        if (empties === undefined) {
          if (rowMs === undefined) return;
          stretch = firstFrom(source.calendar, rowMs);
          continue;
        }
        for (const empty of empties) if (!standing.has(empty.fromMs)) yield empty;
        stretch = firstFrom(source.calendar, empties.at(-1)?.toMs ?? stretch.toMs);
        continue;
      }
      yield stretch;
    }
    stretch = firstFrom(source.calendar, stretch.toMs);
  }
}

/** The windows from this one up to the one of the next row; undefined when they are too many to be made. */
function emptyStretch(input: MissingInput, first: Stretch, rowMs = Infinity): Stretch[] | undefined {
  const empties: Stretch[] = [];
  for (const stretch of input.source.calendar.from(first.fromMs)) {
    if (stretch.toMs > rowMs || !isWanted(input, stretch)) return empties;
    if (empties.length === MOST_EMPTY) return undefined;
    empties.push(stretch);
  }
  return empties;
}

function isWanted({ archive, source, range, onHeldOpen }: MissingInput, stretch: Stretch): boolean {
  if (range?.toMs !== undefined && stretch.fromMs >= range.toMs) return false;
  const open = whyOpen(source, stretch, archive.window.olderThanMs);
  if (typeof open === 'object') onHeldOpen?.(found(stretch), open.what);
  return open === undefined;
}

/** Throws FailureError `window-count` when more are missing than anybody may have meant. */
export async function requireFewWindows(input: MissingInput): Promise<void> {
  const { archive, source } = input;
  if (archive.window.from !== undefined) return;
  if (archive.window.every === 'partition') {
    if ((source.partitions?.length ?? 0) > MOST_WINDOWS) throw tooMany(archive);
    return;
  }
  const firstRowMs = await source.firstRowFrom(-Infinity);
  const spanMs = (source.clock.nowMs ?? 0) - (firstRowMs ?? Infinity);
  if (spanMs / SHORTEST_MS[archive.window.every] <= MOST_WINDOWS) return;
  const missing = missingWindows(input);
  for (let count = 0; count <= MOST_WINDOWS; count += 1) if ((await missing.next()).done === true) return;
  throw tooMany(archive);
}

function tooMany({ name }: WindowedArchive): Error {
  return fail('window-count', {
    stage: 'plan',
    message: `more than ${formatCount(MOST_WINDOWS)} windows of ${name} are to be made`,
  });
}

/** The id of the next run of a window that has `runs` already. */
export function nextGeneration(stretch: Stretch, runs: readonly StandingRun[]): string {
  const last = Math.max(0, ...runs.map(({ run }) => generationOf(run)));
  return formatGeneration(new Date(stretch.fromMs), last + 1);
}

/** Before it, no window is looked at. */
export function lowerBound(calendar: Calendar, archive: WindowedArchive, range: WindowRange = {}): number {
  return Math.max(configFrom(calendar, archive), range.fromMs ?? -Infinity);
}

function configFrom(calendar: Calendar, { window: { from } }: WindowedArchive): number {
  return from === undefined ? -Infinity : (calendar.parse(from) ?? -Infinity);
}

/** Runs by the second that their ids begin with: a partition that was cut anew may begin where a former one did. */
export function takenIds({ committed, damaged }: CommittedRuns): Map<number, StandingRun[]> {
  return Map.groupBy([...committed, ...damaged], ({ run }) => parseRunId(run).getTime());
}

function found(stretch: Stretch, taken: ReadonlyMap<number, StandingRun[]> = new Map()): FoundWindow {
  const runs = taken.get(stretch.fromMs) ?? [];
  const run = runs.length === 0 ? formatRunId(new Date(stretch.fromMs)) : nextGeneration(stretch, runs);
  return { stretch, run };
}
