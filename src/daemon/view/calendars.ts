/** The calendars of archives of windows: read from destination and source when somebody asks, and kept for a moment. */
import { errorText } from '../../base/errors.ts';
import { scrub } from '../../base/secrets.ts';
import { archiveNamed, destinationOf } from '../../config/resolve.ts';
import type { Config } from '../../config/schema.ts';
import { isWindowed } from '../../run/subject.ts';
import { openStore } from '../../store/open.ts';
import { countStates, lengthOf, localClock } from '../../windows/calendar-lines.ts';
import { openKnownRuns } from '../../windows/known-runs.ts';
import type { ShownWindow, WindowState } from '../../windows/overview.ts';
import { showWindows, survey, type KnownPurges } from '../../windows/survey.ts';
import type { WindowedArchive } from '../../windows/window-source.ts';
import { FairQueue } from '../../work/fair-queue.ts';
import type { History } from '../history/history.ts';
import type { BoardEntry } from '../run-board.ts';

export type WindowCounts = Partial<Record<WindowState, number>>;

/** How an archive's windows stand, at its last look. */
export interface WindowsSummary {
  /** When that was, ISO 8601. */
  asOf: string;
  counts: WindowCounts;
}

/** A window as the page shows it. */
export interface CalendarWindow extends ShownWindow {
  /** What the zone's clock shows at its first point, `2026-03-01T00:00:00`. */
  local: string;
}

/** The windows of a year, of hours those of a month, of months and years all; and how all others stand, by months. */
export interface WindowsDetail extends WindowsSummary {
  archive: string;
  column: string;
  /** How long a window is; partitions are as long as the shortest one. */
  every: 'hour' | 'day' | 'week' | 'month' | 'year';
  isPartition: boolean;
  timezone: string;
  /** `2026`; of hours `2026-03`, of months and years `all`; empty when there is no window. */
  period: string;
  /** Those of the period, oldest first. */
  windows: CalendarWindow[];
  /** Whether there are more in the period than are here. */
  more: boolean;
  /** The months that windows begin in, oldest first; the latest ones. */
  months: { month: string; counts: WindowCounts }[];
  /** Why destination or source could not be asked; absent when they were. */
  problem?: string;
}

/** A destination or a source that does not answer is not waited for any longer. */
const TIMEOUT_MS = 60_000;
/** A look is good for so long; whoever may see the page may ask, as often as he likes. */
const FRESH_MS = 15_000;
/** Archives whose windows are held. Of the others, their counts are. */
const MOST_KEPT = 4;
const MOST_WINDOWS = 1000;
const MOST_MONTHS = 600;
/** Which windows are shown together. */
const PERIODS: Readonly<Record<WindowsDetail['every'], (local: string) => string>> = {
  hour: (local) => local.slice(0, 7),
  day: (local) => local.slice(0, 4),
  week: (local) => local.slice(0, 4),
  month: () => 'all',
  year: () => 'all',
};

/** Attempts of the history that are looked at for failures. */
const ATTEMPTS = 500;

export interface CalendarParts {
  config: () => Config;
  history: Pick<History, 'list'>;
  board: { entryOf: (archive: string) => Pick<BoardEntry, 'run' | 'state'> | undefined };
  /** Ends what is read. */
  signal: AbortSignal;
}

interface Look {
  /** By the clock that is never set. */
  at: number;
  asOf: string;
  config: Config;
  windows: ShownWindow[];
  problem?: string;
}

export class Calendars {
  readonly #parts: CalendarParts;
  /** One archive is looked at, at a time. */
  readonly #places = new FairQueue(1);
  readonly #looks = new Map<string, Look>();
  readonly #looking = new Map<string, Promise<Look>>();
  readonly #summaries = new Map<string, WindowsSummary>();
  readonly #changed = new Set<string>();
  readonly #purges = new Map<string, KnownPurges>();

  constructor(parts: CalendarParts) {
    this.#parts = parts;
  }

  /** Of an archive of windows that was looked at. */
  summaryOf(archive: string): WindowsSummary | undefined {
    return this.#summaries.get(archive);
  }

  /** Something of the archive is different now: the next look is a new one. */
  changed(archive: string): void {
    this.#looks.delete(archive);
    this.#changed.add(archive);
  }

  /** Looks anew where something has changed, or nothing is known yet: a slot that had nothing to do costs nothing here. Never rejects. */
  async refresh(archive: string): Promise<void> {
    if (this.#summaries.has(archive) && !this.#changed.has(archive)) return;
    if (this.#windowed(archive) !== undefined) await this.#look(archive).catch(() => undefined);
  }

  /** Undefined for an archive that has no windows, or is not there. Rejects when the destination cannot be read. */
  async describe(asked: { archive: string; period: string | undefined }): Promise<WindowsDetail | undefined> {
    const archive = this.#windowed(asked.archive);
    if (archive === undefined) return undefined;
    const { asOf, windows, problem } = await this.#look(archive.name);
    const local = localClock(archive.timezone);
    const { every: configured, column } = archive.window;
    const isPartition = configured === 'partition';
    const every = isPartition ? lengthOf(windows) : configured;
    const periodOf = (from: string): string => PERIODS[every](local(from));
    const last = windows.at(-1);
    const period = asked.period ?? (last === undefined ? '' : periodOf(last.from));
    const shown = windows.filter(({ from }) => periodOf(from) === period);
    return {
      ...{ archive: archive.name, column, every, isPartition, timezone: archive.timezone, period },
      asOf,
      counts: countsOf(windows),
      windows: shown.slice(-MOST_WINDOWS).map((window) => ({ ...window, local: local(window.from) })),
      more: shown.length > MOST_WINDOWS,
      months: byMonth(windows, local).slice(-MOST_MONTHS),
      ...(problem === undefined ? {} : { problem }),
    };
  }

  #windowed(name: string): WindowedArchive | undefined {
    const archive = archiveNamed(this.#parts.config(), name);
    return archive !== undefined && isWindowed(archive) ? archive : undefined;
  }

  async #look(name: string): Promise<Look> {
    const config = this.#parts.config();
    const kept = this.#looks.get(name);
    if (kept?.config === config && performance.now() - kept.at < FRESH_MS) return kept;
    const looking = this.#looking.get(name) ?? this.#lookNow(name).finally(() => this.#looking.delete(name));
    this.#looking.set(name, looking);
    return looking;
  }

  async #lookNow(name: string): Promise<Look> {
    const { config: current, signal } = this.#parts;
    const late = AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), signal]);
    return this.#places.run(name, late, async () => {
      const config = current();
      const archive = this.#windowed(name);
      if (archive === undefined) throw new Error(`${name} has no windows`);
      this.#changed.delete(name);
      const found = await this.#read(config, archive, late);
      const look = { at: performance.now(), asOf: new Date().toISOString(), config, ...found };
      this.#keep(name, look);
      return look;
    });
  }

  async #read(config: Config, archive: WindowedArchive, late: AbortSignal): Promise<Pick<Look, 'windows' | 'problem'>> {
    const { history, board } = this.#parts;
    const purges = this.#purges.get(archive.name) ?? (new Map() as KnownPurges);
    this.#purges.set(archive.name, purges);
    const store = openStore(destinationOf(config, archive), late);
    try {
      const found = await survey(store, archive, openKnownRuns(config, archive), purges);
      const entry = board.entryOf(archive.name);
      const running = entry?.state === 'running' ? entry.run : undefined;
      const failed = failedRuns(history.list(ATTEMPTS, archive.name));
      const runs = found.runs.map((run) => ({
        ...run,
        isFailed: run.isFailed || (run.committed === undefined && failed.has(run.run)),
        isRunning: run.committed === undefined && run.run === running,
      }));
      const known = new Set(runs.map(({ run }) => run));
      // What failed before it was planned left nothing.
      for (const run of new Set([...failed, ...(running === undefined ? [] : [running])]))
        if (!known.has(run))
          runs.push({
            run,
            committed: undefined,
            isDamaged: false,
            isFailed: failed.has(run),
            isRunning: run === running,
          });
      const { windows, sourceError } = await showWindows(config, archive, { ...found, runs }, late);
      const problem = sourceError === undefined ? {} : { problem: `the source: ${scrub(errorText(sourceError))}` };
      return { windows, ...problem };
    } finally {
      store.close();
    }
  }

  #keep(name: string, look: Look): void {
    this.#summaries.set(name, { asOf: look.asOf, counts: countsOf(look.windows) });
    this.#looks.delete(name);
    if (!this.#changed.has(name)) this.#looks.set(name, look);
    const [oldest] = this.#looks.keys();
    if (this.#looks.size > MOST_KEPT && oldest !== undefined) this.#looks.delete(oldest);
  }
}

/** Whose latest attempt of these, the newest first, has failed. */
function failedRuns(attempts: readonly { run: string; status: string }[]): Set<string> {
  const failed = new Set<string>();
  const seen = new Set<string>();
  for (const { run, status } of attempts) {
    if (!seen.has(run) && status === 'failed') failed.add(run);
    seen.add(run);
  }
  return failed;
}

function countsOf(windows: readonly ShownWindow[]): WindowCounts {
  return Object.fromEntries(countStates(windows));
}

function byMonth(
  windows: readonly ShownWindow[],
  local: (from: string) => string,
): { month: string; counts: WindowCounts }[] {
  const months = Map.groupBy(windows, ({ from }) => local(from).slice(0, 7));
  return [...months].map(([month, own]) => ({ month, counts: countsOf(own) }));
}
