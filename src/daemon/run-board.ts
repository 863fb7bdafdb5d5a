/** The runs of the daemon: begins them lane by lane, one run of an archive at a time, and says how each ended. */
import { fail, type Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { archiveNamed } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import type { RunProgress } from '../work/progress.ts';
import { runArchive, type RunResult } from '../run/run-archive.ts';
import type { RunOptions } from '../run/run.ts';
import { isWindowed } from '../run/subject.ts';
import { openKnownRuns } from '../windows/known-runs.ts';
import { makeWindows } from '../windows/make.ts';
import type { WindowedArchive } from '../windows/window-source.ts';
import type { Generation } from './generations.ts';
import { Lane, type LeftOut, type OfferedRun } from './lane.ts';
import { describeEnding, describeSkip, type RunEnding, type SkipReason, type Trigger } from './run-ending.ts';

/**
 * A run in progress, or one that waits for its turn among the archives; a waiting run holds no connection and no lock.
 */
export interface BoardEntry {
  archive: string;
  run: string;
  trigger: Trigger;
  state: 'waiting' | 'running';
  startedAt: Date;
  /** Undefined until it is running. */
  progress: RunProgress | undefined;
  /** The config that it uses. */
  config: Config;
}

/** What the board reports; nothing of this may throw. */
export interface BoardEvents {
  /** Something is different now. */
  changed: () => void;
  started: (entry: BoardEntry) => void;
  ended: (ending: RunEnding, details: EndingDetails) => void;
  /** A round of an archive of windows has ended: all of `results` have been reported. */
  roundEnded: (round: RoundEnding) => void;
}

/** How a round ended, which makes all windows of an archive that are missing. */
export interface RoundEnding {
  archive: string;
  /** The id that it was offered under: a slot, or when it was asked for. */
  slot: string;
  trigger: Trigger;
  /** Whether nothing is missing any more. */
  isComplete: boolean;
  /** The first failure of its windows. */
  failure: Failure | undefined;
}

/** How the board has runs made; for tests. */
export interface RunMakers {
  runArchive: typeof runArchive;
  makeWindows: typeof makeWindows;
}

/** What is known of a run that ran, beside what the history keeps. */
export interface EndingDetails {
  progress?: RunProgress | undefined;
  failure?: Failure | undefined;
}

interface Entry extends BoardEntry {
  abort: AbortController;
  done: Promise<void>;
}

export class RunBoard {
  readonly #log: Log;
  readonly #generation: () => Generation;
  readonly #events: BoardEvents;
  readonly #makers: RunMakers;
  readonly #lanes = new Map<string, Lane<Entry>>();
  readonly #drain = new AbortController();

  /** `makers` is there for tests. */
  constructor(log: Log, generation: () => Generation, events: BoardEvents, makers: Partial<RunMakers> = {}) {
    this.#log = log;
    this.#generation = generation;
    this.#events = events;
    this.#makers = { runArchive, makeWindows, ...makers };
  }

  /** The runs in progress, and those that wait for their turn among the archives. */
  get entries(): readonly BoardEntry[] {
    return this.#current;
  }

  get #current(): Entry[] {
    return [...this.#lanes.values()].flatMap(({ current }) => current ?? []);
  }

  entryOf(archive: string): BoardEntry | undefined {
    return this.#lanes.get(archive)?.current;
  }

  /** Ids of the archive's runs that wait behind the one in progress. */
  waitingOf(archive: string): string[] {
    return this.#lanes.get(archive)?.waiting.map(({ run }) => run) ?? [];
  }

  /** Whether a run of the archive is in progress or waits. */
  isBusy(archive: string): boolean {
    return this.#lanes.get(archive)?.isBusy === true;
  }

  /**
   * Begins the run now, or when its lane is free, as `whenBusy` says; every run that is left out for it is reported as
   * skipped.
   */
  offer(archive: string, offered: OfferedRun): void {
    if (this.#drain.signal.aborted) {
      this.skip(archive, { ...offered, reason: 'stopping' });
      return;
    }
    const lane = this.#lane(archive);
    this.#skipAll(archive, lane.offer(offered));
    this.#beginNext(archive, lane);
  }

  /** Keeps the archive's lane while `work` goes on; runs that are offered meanwhile wait. */
  async hold(archive: string, work: () => Promise<void>): Promise<void> {
    const lane = this.#lane(archive);
    lane.hold();
    try {
      await work();
    } finally {
      lane.release();
      this.#beginNext(archive, lane);
    }
  }

  /** Reports a run that is not begun. */
  skip(archive: string, { run, trigger, reason }: Omit<LeftOut, 'whenBusy'>): void {
    const busyWith = this.#lanes.get(archive)?.current?.run;
    this.#log.warn(
      { archive, run, status: 'skipped', reason, trigger, ...(busyWith === undefined ? {} : { busyWith }) },
      `run skipped: ${SKIP_TEXTS[reason]}`,
    );
    this.#events.ended(describeSkip(archive, run, trigger, reason), {});
  }

  /**
   * Ends the archive's run, and drops those that wait behind it. Resolves to its id once it has ended; undefined when
   * there is none.
   */
  async cancel(archive: string): Promise<string | undefined> {
    const lane = this.#lane(archive);
    const { current } = lane;
    this.#skipAll(
      archive,
      lane.drop('cancelled', () => true),
    );
    if (current === undefined) return undefined;
    current.abort.abort(fail('cancelled', { stage: 'worker', message: 'the run was cancelled by hand' }));
    await current.done;
    return current.run;
  }

  /**
   * Drops the slots that wait, as their schedule is no longer in force; what was taken up or asked for by hand stays.
   */
  dropSlots(archive: string): void {
    const isSlot = ({ trigger }: OfferedRun): boolean => trigger === 'schedule' || trigger === 'catch-up';
    this.#skipAll(archive, this.#lane(archive).drop('rescheduled', isSlot));
  }

  /** Drops what waits, lets the segments in progress end, and resolves when that is so. */
  async drain(reason: Error): Promise<void> {
    this.#drain.abort(reason);
    for (const [archive, lane] of this.#lanes)
      this.#skipAll(
        archive,
        lane.drop('stopping', () => true),
      );
    for (const entry of this.#current) if (entry.state === 'waiting') entry.abort.abort(reason);
    await this.settled();
  }

  /** Aborts everything; resolves when it has ended. */
  async abort(reason: Error): Promise<void> {
    for (const entry of this.#current) entry.abort.abort(reason);
    await this.settled();
  }

  /** Resolves when the runs that are in progress now have ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#current.map((entry) => entry.done));
  }

  #lane(archive: string): Lane<Entry> {
    const known = this.#lanes.get(archive);
    if (known !== undefined) return known;
    const lane = new Lane<Entry>();
    this.#lanes.set(archive, lane);
    return lane;
  }

  #skipAll(archive: string, leftOut: readonly LeftOut[]): void {
    for (const run of leftOut) this.skip(archive, run);
  }

  #beginNext(archive: string, lane: Lane<Entry>): void {
    const next = lane.takeNext();
    if (next === undefined) return;
    const generation = this.#generation();
    const config = archiveNamed(generation.config, archive);
    if (config === undefined) {
      this.skip(archive, { ...next, reason: 'not in the config' });
      this.#beginNext(archive, lane);
      return;
    }
    this.#begin(lane, generation, config, next);
  }

  #begin(lane: Lane<Entry>, generation: Generation, archive: ArchiveConfig, offered: OfferedRun): void {
    const { run, trigger } = offered;
    const entry: Entry = {
      archive: archive.name,
      run,
      trigger,
      state: 'waiting',
      startedAt: new Date(),
      progress: undefined,
      config: generation.config,
      abort: new AbortController(),
      done: Promise.resolve(),
    };
    lane.begin(entry);
    entry.done = isRound(archive, offered)
      ? this.#followRound(lane, generation, archive, entry)
      : this.#follow(lane, generation, archive, entry);
    this.#events.changed();
  }

  async #follow(lane: Lane<Entry>, generation: Generation, archive: ArchiveConfig, entry: Entry): Promise<void> {
    const { signal } = entry.abort;
    try {
      const result = await generation.queue.run(archive.name, signal, () => this.#run(generation, archive, entry));
      const { trigger, startedAt, progress } = entry;
      this.#events.ended(describeEnding(result, trigger, startedAt, progress), { progress, failure: result.error });
    } catch {
      this.skip(archive.name, { ...entry, reason: this.#drain.signal.aborted ? 'stopping' : 'cancelled' });
    } finally {
      lane.end();
      this.#beginNext(archive.name, lane);
      this.#events.changed();
    }
  }

  /** Its windows are runs like others: each is begun, shown and reported under its own id. */
  async #followRound(lane: Lane<Entry>, generation: Generation, archive: WindowedArchive, entry: Entry): Promise<void> {
    const { run: slot, trigger } = entry;
    const { signal } = entry.abort;
    const known = openKnownRuns(generation.config, archive);
    try {
      const results = await this.#makers.makeWindows(
        this.#options(generation, entry),
        archive,
        known,
        {},
        {
          slot,
          inTurn: (work) => generation.queue.run(archive.name, signal, work),
          begin: (run) => {
            Object.assign(entry, { run, progress: undefined });
            this.#started(entry);
          },
          end: (result) => {
            const { startedAt, progress } = entry;
            this.#events.ended(describeEnding(result, trigger, startedAt, progress), {
              progress,
              failure: result.error,
            });
          },
        },
      );
      const failure = results.find(({ error }) => error !== undefined)?.error;
      const isComplete = failure === undefined && !signal.aborted && !this.#drain.signal.aborted;
      this.#events.roundEnded({ archive: archive.name, slot, trigger, isComplete, failure });
    } finally {
      lane.end();
      this.#beginNext(archive.name, lane);
      this.#events.changed();
    }
  }

  async #run(generation: Generation, archive: ArchiveConfig, entry: Entry): Promise<RunResult> {
    this.#started(entry);
    return this.#makers.runArchive(this.#options(generation, entry), archive, entry.run);
  }

  #started(entry: Entry): void {
    entry.state = 'running';
    entry.startedAt = new Date();
    this.#events.started(entry);
    this.#events.changed();
  }

  #options({ config, number, place }: Generation, entry: Entry): RunOptions {
    return {
      config,
      generation: number,
      place,
      log: this.#log,
      signal: entry.abort.signal,
      drain: this.#drain.signal,
      onBegin: (progress) => {
        entry.progress = progress;
      },
    };
  }
}

function isRound(archive: ArchiveConfig, { isWindow = false }: OfferedRun): archive is WindowedArchive {
  return isWindowed(archive) && !isWindow;
}

const SKIP_TEXTS: Record<SkipReason, string> = {
  busy: 'the run before it has not ended',
  paused: 'the schedule is paused',
  locked: 'another process runs this archive',
  stopping: 'it was dropped before it began',
  cancelled: 'it was cancelled before it began',
  'not in the config': 'the archive was taken out of the config',
  rescheduled: 'its schedule was changed while it waited',
  'not caught up': 'it passed while no run was possible, and catchUp leaves it out',
};
