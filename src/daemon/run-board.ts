/** The runs of the daemon: a lane for each archive, with one run at a time and those that wait behind it. */
import { fail, type Failure, type FailureError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import type { RunProgress } from '../work/progress.ts';
import { runArchive, type RunResult } from '../run/run-archive.ts';
import type { Generation } from './generations.ts';
import { describeEnding, describeSkip, type RunEnding, type SkipReason, type Trigger } from './run-ending.ts';

/** A run that is on, or waits for a thread's worth of runs to end; a run that waits holds nothing. */
export interface BoardEntry {
  archive: string;
  run: string;
  trigger: Trigger;
  state: 'waiting' | 'running';
  startedAt: Date;
  /** Undefined until it runs. */
  progress: RunProgress | undefined;
  /** What it goes by. */
  config: Config;
}

/** What happens to a run when another one of its archive is on: it is not begun, it takes the place of those that wait, or it waits too. */
export type WhenBusy = 'skip' | 'replace' | 'append';

/** What the board tells; nothing of this may throw. */
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

interface Waiting {
  run: string;
  trigger: Trigger;
  replaceable: boolean;
}

interface Entry extends BoardEntry {
  abort: AbortController;
  done: Promise<void>;
}

interface Lane {
  current: Entry | undefined;
  /** How much keeps the lane busy besides runs. */
  holds: number;
  /** Oldest run id first. */
  waiting: Waiting[];
}

/** Runs that wait in one lane. */
const MOST_WAITING = 1000;

export class RunBoard {
  readonly #log: Log;
  readonly #generation: () => Generation;
  readonly #events: BoardEvents;
  readonly #lanes = new Map<string, Lane>();
  readonly #drain = new AbortController();

  constructor(log: Log, generation: () => Generation, events: BoardEvents) {
    this.#log = log;
    this.#generation = generation;
    this.#events = events;
  }

  /** The runs that are on, or wait for their turn among the archives. */
  get entries(): readonly BoardEntry[] {
    return this.#current;
  }

  get #current(): Entry[] {
    return [...this.#lanes.values()].flatMap(({ current }) => current ?? []);
  }

  entryOf(archive: string): BoardEntry | undefined {
    return this.#lanes.get(archive)?.current;
  }

  /** Ids of the archive's runs that wait behind the one that is on. */
  waitingOf(archive: string): string[] {
    return this.#lanes.get(archive)?.waiting.map(({ run }) => run) ?? [];
  }

  /** Whether a run of the archive is on or waits. */
  isBusy(archive: string): boolean {
    const lane = this.#lanes.get(archive);
    return lane !== undefined && (lane.current !== undefined || lane.waiting.length > 0);
  }

  /** Runs it now, or when the lane is free, as `whenBusy` says; every run that is left out for it is told as skipped. */
  offer(archive: string, run: string, trigger: Trigger, whenBusy: WhenBusy): void {
    const lane = this.#lane(archive);
    if (this.#drain.signal.aborted) {
      this.skip(archive, run, trigger, 'stopping');
      return;
    }
    if (lane.current?.run === run || lane.waiting.some((other) => other.run === run)) return;
    if (whenBusy === 'skip' && this.isBusy(archive)) {
      this.skip(archive, run, trigger, 'busy');
      return;
    }
    if (whenBusy === 'replace') {
      this.#dropWaiting(archive, lane, 'busy', (waiting) => waiting.replaceable && waiting.run < run);
      if (lane.waiting.some((waiting) => waiting.replaceable)) {
        this.skip(archive, run, trigger, 'busy');
        return;
      }
    }
    lane.waiting.push({ run, trigger, replaceable: whenBusy === 'replace' });
    lane.waiting.sort((a, b) => a.run.localeCompare(b.run));
    const [oldest] = lane.waiting;
    if (lane.waiting.length > MOST_WAITING && oldest !== undefined)
      this.#dropWaiting(archive, lane, 'not caught up', (waiting) => waiting === oldest);
    this.#next(archive, lane);
  }

  /** Keeps the archive's lane busy while `work` goes on; runs that are offered meanwhile wait. */
  async hold(archive: string, work: () => Promise<void>): Promise<void> {
    const lane = this.#lane(archive);
    lane.holds += 1;
    try {
      await work();
    } finally {
      lane.holds -= 1;
      this.#next(archive, lane);
    }
  }

  /** Tells of a run that is not begun. */
  skip(archive: string, run: string, trigger: Trigger, reason: SkipReason): void {
    const busyWith = this.#lanes.get(archive)?.current?.run;
    this.#log.warn(
      { archive, run, status: 'skipped', reason, trigger, ...(busyWith === undefined ? {} : { busyWith }) },
      `run skipped: ${SKIP_TEXTS[reason]}`,
    );
    this.#events.ended(describeSkip(archive, run, trigger, reason), {});
  }

  /** Ends the archive's run, and drops those that wait behind it. Resolves to its id once it has ended; undefined when none is on. */
  async cancel(archive: string): Promise<string | undefined> {
    const lane = this.#lane(archive);
    const { current } = lane;
    this.#dropWaiting(archive, lane, 'cancelled', () => true);
    if (current === undefined) return undefined;
    current.abort.abort(cancelledFailure());
    await current.done;
    return current.run;
  }

  /** Drops the slots that wait, as their schedule is no longer in force; what was taken up or asked for by hand stays. */
  dropSlots(archive: string): void {
    const isSlot = ({ trigger }: Waiting): boolean => trigger === 'schedule' || trigger === 'catch-up';
    this.#dropWaiting(archive, this.#lane(archive), 'rescheduled', isSlot);
  }

  /** Drops what waits, lets the segments that are on end, and resolves when that is so. */
  async drain(reason: Error): Promise<void> {
    this.#drain.abort(reason);
    for (const [archive, lane] of this.#lanes) this.#dropWaiting(archive, lane, 'stopping', () => true);
    for (const entry of this.#current) if (entry.state === 'waiting') entry.abort.abort(reason);
    await this.settled();
  }

  /** Aborts everything; resolves when it has ended. */
  async abort(reason: Error): Promise<void> {
    for (const entry of this.#current) entry.abort.abort(reason);
    await this.settled();
  }

  /** Resolves when what is on now has ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#current.map((entry) => entry.done));
  }

  #lane(archive: string): Lane {
    const known = this.#lanes.get(archive);
    if (known !== undefined) return known;
    const lane: Lane = { current: undefined, holds: 0, waiting: [] };
    this.#lanes.set(archive, lane);
    return lane;
  }

  #dropWaiting(archive: string, lane: Lane, reason: SkipReason, isDropped: (waiting: Waiting) => boolean): void {
    const dropped = lane.waiting.filter(isDropped);
    lane.waiting = lane.waiting.filter((waiting) => !dropped.includes(waiting));
    for (const { run, trigger } of dropped) this.skip(archive, run, trigger, reason);
  }

  #next(archive: string, lane: Lane): void {
    if (lane.current !== undefined || lane.holds > 0 || this.#drain.signal.aborted) return;
    const next = lane.waiting.shift();
    if (next === undefined) return;
    const generation = this.#generation();
    const archiveConfig = generation.config.archives[archive];
    if (archiveConfig === undefined) {
      this.skip(archive, next.run, next.trigger, 'not in the config');
      this.#next(archive, lane);
      return;
    }
    this.#start(lane, generation, archiveConfig, next);
  }

  #start(lane: Lane, generation: Generation, archive: ArchiveConfig, { run, trigger }: Waiting): void {
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
    lane.current = entry;
    entry.done = this.#follow(lane, generation, archive, entry);
    this.#events.changed();
  }

  async #follow(lane: Lane, generation: Generation, archive: ArchiveConfig, entry: Entry): Promise<void> {
    const { signal } = entry.abort;
    try {
      const result = await generation.queue.run(archive.name, signal, () => this.#run(generation, archive, entry));
      const { trigger, startedAt, progress } = entry;
      this.#events.ended(describeEnding(result, trigger, startedAt, progress), { progress, failure: result.error });
    } catch {
      this.skip(archive.name, entry.run, entry.trigger, this.#drain.signal.aborted ? 'stopping' : 'cancelled');
    } finally {
      lane.current = undefined;
      this.#next(archive.name, lane);
      this.#events.changed();
    }
  }

  async #run(generation: Generation, archive: ArchiveConfig, entry: Entry): Promise<RunResult> {
    entry.state = 'running';
    entry.startedAt = new Date();
    this.#events.started(entry);
    this.#events.changed();
    const { config, number, place } = generation;
    return runArchive(
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

function cancelledFailure(): FailureError {
  return fail('cancelled', {
    stage: 'worker',
    message: 'the run was cancelled by hand',
  });
}
