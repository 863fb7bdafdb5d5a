/** Chooses committed runs of a windowed archive by their windows: for a restore, a verification, a list. */
import { UsageError } from '../base/errors.ts';
import { COLUMN_KINDS, WindowCalendar, type Calendar, type ColumnKind } from '../calendar/windows.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import { compareRunIds, parseRunId } from '../ledger/run-id.ts';
import type { RunWindow } from '../run/window.ts';
import type { CommittedRun } from './committed.ts';

/** Dates as they were typed, in the zone of the archive. */
export interface WindowChoice {
  /** Windows that end after it. */
  from?: string;
  /** Windows that begin before it. */
  to?: string;
  all?: boolean;
}

/** Throws UsageError for a date that is none, for dates in the wrong order, and for an archive that has no windows and of which some are chosen. */
export function requireWindowChoice(archive: ArchiveConfig, choice: WindowChoice & { again?: boolean }): void {
  const [given] = (['from', 'to', 'all', 'again'] as const).filter((name) => choice[name] !== undefined);
  if (given !== undefined && archive.window === undefined)
    throw new UsageError(`--${given} is for archives with window:, and ${archive.name} has none`);
  const calendar = new WindowCalendar('timestamptz', 'day', archive.timezone);
  for (const name of ['from', 'to'] as const) {
    const date = choice[name];
    if (date !== undefined && calendar.parse(date) === undefined)
      throw new UsageError(`--${name} must be a date such as 2024-01-31, with a time if need be`);
  }
  const { fromMs = -Infinity, toMs = Infinity } = rangeOf(calendar, choice);
  if (fromMs > toMs)
    throw new UsageError(`--from ${choice.from ?? ''} is behind --to ${choice.to ?? ''}: no window lies between`);
}

/** The runs whose windows are chosen, by window, oldest first; of one window, the newest generation first. */
export function chooseRuns(
  archive: ArchiveConfig,
  committed: readonly CommittedRun[],
  choice: WindowChoice,
): CommittedRun[] {
  const ranges = new Map(
    COLUMN_KINDS.map((kind) => [kind, rangeOf(new WindowCalendar(kind, 'day', archive.timezone), choice)]),
  );
  const isChosen = ({ from, to }: RunWindow): boolean => {
    const { fromMs = -Infinity, toMs = Infinity } = ranges.get(kindOf(from)) ?? {};
    return pointMs(to) > fromMs && pointMs(from) < toMs;
  };
  return committed.filter(({ window }) => window !== undefined && isChosen(window)).sort(byWindow);
}

/** The command line has been checked; what is no date there is none. */
export function rangeOf(calendar: Calendar, { from, to }: WindowChoice): { fromMs?: number; toMs?: number } {
  const fromMs = from === undefined ? undefined : calendar.parse(from);
  const toMs = to === undefined ? undefined : calendar.parse(to);
  return { ...(fromMs === undefined ? {} : { fromMs }), ...(toMs === undefined ? {} : { toMs }) };
}

/** Oldest window first; of one window, the newest generation first. */
export function byWindow(a: { run: string }, b: { run: string }): number {
  const [startA, startB] = [a, b].map(({ run }) => parseRunId(run).getTime());
  return startA === startB ? compareRunIds(b.run, a.run) : compareRunIds(a.run, b.run);
}

/** The type of a column whose point is written like this. */
export function kindOf(point: string): ColumnKind {
  if (!point.includes('T')) return 'date';
  return point.endsWith('Z') ? 'timestamptz' : 'timestamp';
}

/** A point of a manifest, in ms. */
export function pointMs(point: string): number {
  return Date.parse(kindOf(point) === 'timestamp' ? `${point}Z` : point);
}
