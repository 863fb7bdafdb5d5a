/** The runs of the daemon: begins them lane by lane, one run of an archive at a time, and says how each ended. */
import { fail, type Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { archiveNamed } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import type { RunProgress } from '../work/progress.ts';
import { runArchive, type RunResult } from '../run/run-archive.ts';
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
  readonly #runArchive: typeof runArchive;
  readonly #lanes = new Map<string, Lane<Entry>>();
  readonly #drain = new AbortController();

  /** `run` is there for tests. */
  constructor(log: Log, generation: () => Generation, events: BoardEvents, run = runArchive) {
    this.#log = log;
    this.#generation = generation;
    this.#events = events;
    this.#runArchive = run;
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

  #begin(lane: Lane<Entry>, generation: Generation, archive: ArchiveConfig, { run, trigger }: OfferedRun): void {
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
    entry.done = this.#follow(lane, generation, archive, entry);
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

  async #run(generation: Generation, archive: ArchiveConfig, entry: Entry): Promise<RunResult> {
    entry.state = 'running';
    entry.startedAt = new Date();
    this.#events.started(entry);
    this.#events.changed();
    const { config, number, place } = generation;
    return this.#runArchive(
      {
        config,
        generation: number,
        place,
        log: this.#log,
        signal: entry.abort.signal,
        drain: this.#drain.signal,
        onBegin: (progress) => {
          entry.progress = progress;
        },
      },
      archive,
      entry.run,
    );
  }
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
