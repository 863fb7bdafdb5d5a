/** Chooses committed runs of a windowed archive by their windows: for a restore, a verification, a list. */
import { UsageError } from '../base/errors.ts';
import { WindowCalendar, type ColumnKind } from '../calendar/windows.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import { compareRunIds, generationOf } from '../ledger/run-id.ts';
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

/** Throws UsageError for a date that is none, and for an archive that has no windows. */
export function requireWindowChoice(archive: ArchiveConfig, choice: WindowChoice): void {
  const [given] = (['from', 'to', 'all'] as const).filter((name) => choice[name] !== undefined);
  if (given !== undefined && archive.window === undefined)
    throw new UsageError(`--${given} is for archives with window:, and ${archive.name} has none`);
  const calendar = new WindowCalendar('timestamptz', 'day', archive.timezone);
  for (const name of ['from', 'to'] as const) {
    const date = choice[name];
    if (date !== undefined && calendar.parse(date) === undefined)
      throw new UsageError(`--${name} must be a date such as 2024-01-31, with a time if need be`);
  }
}

/** The runs whose windows are chosen, by window, oldest first; of one window, the newest generation first. */
export function chooseRuns(
  archive: ArchiveConfig,
  committed: readonly CommittedRun[],
  choice: WindowChoice,
): CommittedRun[] {
  return committed.filter(({ window }) => window !== undefined && isChosen(archive, window, choice)).sort(byWindow);
}

function byWindow(a: CommittedRun, b: CommittedRun): number {
  const [startA = '', startB = ''] = [a.run.split('_')[0], b.run.split('_')[0]];
  return startA === startB ? generationOf(b.run) - generationOf(a.run) : compareRunIds(a.run, b.run);
}

function isChosen({ timezone }: ArchiveConfig, window: RunWindow, { from, to }: WindowChoice): boolean {
  const calendar = new WindowCalendar(kindOf(window.from), 'day', timezone);
  const fromMs = from === undefined ? -Infinity : (calendar.parse(from) ?? -Infinity);
  const toMs = to === undefined ? Infinity : (calendar.parse(to) ?? Infinity);
  return pointMs(window.to) > fromMs && pointMs(window.from) < toMs;
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
