/** The runs of the daemon: begins them lane by lane, one run of an archive at a time, and says how each ended. */
import { fail, type Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { archiveNamed } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import type { RunProgress } from '../work/progress.ts';
import { runArchive, type RunResult } from '../run/run-archive.ts';
import type { LeftEnding, RunOptions } from '../run/run.ts';
import { isWindowed } from '../run/subject.ts';
import { openKnownRuns } from '../windows/known-runs.ts';
import { makeWindows } from '../windows/make.ts';
import type { WindowedArchive } from '../windows/window-source.ts';
import type { Generation } from './generations.ts';
import { Lane, type LeftOut, type OfferedRun } from './lane.ts';
import {
  describeEnding,
  describeSkip,
  isElsewhere,
  type RunEnding,
  type SkipReason,
  type Trigger,
} from './run-ending.ts';

/**
 * A run in progress, or one that waits for its turn among the archives, or that another host has: then this one stands by.
 * A run that waits or stands by holds no connection and no lock.
 */
export interface BoardEntry {
  archive: string;
  run: string;
  trigger: Trigger;
  state: 'waiting' | 'running' | 'standby';
  /** The host that has the run, while this one stands by; undefined where it is not known. */
  holder: string | undefined;
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

/** What is waited for by a run that another host has. */
export interface StandbyWait {
  archive: ArchiveConfig;
  config: Config;
  run: string;
  /** As which it ended here. */
  failure: Failure;
  /** Told when another host has it by now. */
  onHolder: (host: string) => void;
}

export interface StandbyWork {
  /** Resolves when the run may be free, and rejects when the signal aborts. */
  standBy: (wait: StandbyWait, signal: AbortSignal) => Promise<void>;
}

interface Entry extends BoardEntry {
  /** As it was offered: a round shows each of its windows in turn. */
  slot: string;
  isWindow: boolean;
  /** Whether it is one that another host had. */
  hasStoodBy: boolean;
  abort: AbortController;
  /** The try that is in progress: what a config in force is needed for. */
  trying: Promise<unknown>;
  done: Promise<void>;
}

export class RunBoard {
  readonly #log: Log;
  readonly #generation: () => Generation;
  readonly #events: BoardEvents;
  readonly #work: RunMakers & StandbyWork;
  readonly #lanes = new Map<string, Lane<Entry>>();
  readonly #drain = new AbortController();

  /** What makes runs may be others in tests. */
  constructor(log: Log, generation: () => Generation, events: BoardEvents, work: StandbyWork & Partial<RunMakers>) {
    this.#log = log;
    this.#generation = generation;
    this.#events = events;
    this.#work = { runArchive, makeWindows, ...work };
  }

  /** The runs in progress, and those that wait for their turn among the archives. */
  get entries(): readonly BoardEntry[] {
    return this.#current.filter(({ state }) => state !== 'standby');
  }

  /** The runs that other hosts have, and that this one would take up. */
  get standbys(): readonly BoardEntry[] {
    return this.#current.filter(({ state }) => state === 'standby');
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

  /** Whether a run of the archive is in progress, here or elsewhere, or waits. */
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
    for (const entry of this.#current) if (entry.state !== 'running') entry.abort.abort(reason);
    await this.#over();
  }

  /** Aborts everything; resolves when it has ended. */
  async abort(reason: Error): Promise<void> {
    for (const entry of this.#current) entry.abort.abort(reason);
    await this.#over();
  }

  /** Resolves when the runs that are in progress now have ended; what stands by goes on under the config that is in force then. */
  async settled(): Promise<void> {
    await Promise.all(this.#current.map((entry) => entry.trying));
  }

  async #over(): Promise<void> {
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
    if (archiveNamed(generation.config, archive) === undefined) {
      this.skip(archive, { ...next, reason: 'not in the config' });
      this.#beginNext(archive, lane);
      return;
    }
    this.#begin(lane, archive, generation.config, next);
  }

  #begin(lane: Lane<Entry>, archive: string, config: Config, offered: OfferedRun): void {
    const { run, trigger, isWindow = false } = offered;
    const entry: Entry = {
      archive,
      run,
      trigger,
      state: 'waiting',
      holder: undefined,
      startedAt: new Date(),
      progress: undefined,
      config,
      slot: run,
      isWindow,
      hasStoodBy: false,
      abort: new AbortController(),
      trying: Promise.resolve(),
      done: Promise.resolve(),
    };
    lane.begin(entry);
    entry.done = this.#follow(lane, entry);
    this.#events.changed();
  }

  async #follow(lane: Lane<Entry>, entry: Entry): Promise<void> {
    const { archive } = entry;
    try {
      while (await this.#try(entry));
    } catch {
      this.skip(archive, { ...entry, reason: this.#drain.signal.aborted ? 'stopping' : 'cancelled' });
    } finally {
      lane.end();
      this.#beginNext(archive, lane);
      this.#events.changed();
    }
  }

  /** Runs it, and when another host has it, waits until it may be free. Resolves to whether it is to be tried again. */
  async #try(entry: Entry): Promise<boolean> {
    const generation = this.#generation();
    const { config } = generation;
    const archive = archiveNamed(config, entry.archive);
    if (archive === undefined) {
      this.skip(entry.archive, { ...entry, reason: 'not in the config' });
      return false;
    }
    entry.config = config;
    const trying = isRound(archive, entry)
      ? this.#makeRound(generation, archive, entry)
      : this.#makeRun(generation, archive, entry);
    entry.trying = trying.catch(() => undefined);
    const failure = await trying;
    if (failure === undefined || !isElsewhere(failure.code) || this.#drain.signal.aborted) return false;
    await this.#standBy(entry, archive, config, failure);
    return true;
  }

  async #standBy(entry: Entry, archive: ArchiveConfig, config: Config, failure: Failure): Promise<void> {
    const { run, slot, abort } = entry;
    Object.assign(entry, { state: 'standby', holder: failure.host, startedAt: new Date(), progress: undefined });
    this.#events.changed();
    const onHolder = (host: string): void => {
      entry.holder = host;
      this.#events.changed();
    };
    // Of a round, it is the window that another host has.
    await this.#work.standBy({ archive, config, run: failure.run ?? run, failure, onHolder }, abort.signal);
    Object.assign(entry, { run: slot, state: 'waiting', holder: undefined, hasStoodBy: true, trigger: 'taken up' });
  }

  /** Resolves to its failure. */
  async #makeRun(generation: Generation, archive: ArchiveConfig, entry: Entry): Promise<Failure | undefined> {
    const { signal } = entry.abort;
    const result = await generation.queue.run(archive.name, signal, () => this.#run(generation, archive, entry));
    this.#ended(entry, result);
    return result.error;
  }

  /** Its windows are runs like others: each is begun, shown and reported under its own id. Resolves to the first failure. */
  async #makeRound(generation: Generation, archive: WindowedArchive, entry: Entry): Promise<Failure | undefined> {
    const { slot, trigger } = entry;
    const { signal } = entry.abort;
    const known = openKnownRuns(generation.config, archive);
    const results = await this.#work.makeWindows(
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
          this.#ended(entry, result);
        },
      },
    );
    const failure = results.find(({ error }) => error !== undefined)?.error;
    const isComplete = failure === undefined && !signal.aborted && !this.#drain.signal.aborted;
    this.#events.roundEnded({ archive: archive.name, slot, trigger, isComplete, failure });
    return failure;
  }

  #ended({ trigger, startedAt, progress }: Entry, result: RunResult): void {
    this.#events.ended(describeEnding(result, trigger, startedAt, progress), { progress, failure: result.error });
  }

  async #run(generation: Generation, archive: ArchiveConfig, entry: Entry): Promise<RunResult> {
    this.#started(entry);
    return this.#work.runArchive(this.#options(generation, entry), archive, entry.run);
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
      leaves: leftBy(entry),
      onBegin: (progress) => {
        entry.progress = progress;
      },
    };
  }
}

function isRound(archive: ArchiveConfig, { isWindow }: Pick<Entry, 'isWindow'>): archive is WindowedArchive {
  return isWindowed(archive) && !isWindow;
}

/** What an operator has cancelled, only an operator begins again; what has failed is left to whoever ran it. */
function leftBy({ trigger, hasStoodBy }: Entry): LeftEnding[] {
  if (trigger === 'by hand') return [];
  return hasStoodBy ? ['cancelled', 'failed'] : ['cancelled'];
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
