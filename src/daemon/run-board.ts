/** The runs of the daemon: begins them lane by lane, one run of an archive at a time, and says how each ended. */
import { fail, type Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { archiveNamed } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import type { RunProgress } from '../work/progress.ts';
import { runArchive, type RunResult } from '../run/run-archive.ts';
import type { LeftEnding, RunOptions } from '../run/run.ts';
import type { Pauses } from '../pace/pauses.ts';
import type { DuePurges, PurgedArchive } from '../purge/due.ts';
import { purgeDue, type PassEnding, type PassMemory } from '../purge/purge-due.ts';
import type { PurgeProgress, PurgeResult } from '../purge/request.ts';
import { isWindowed } from '../run/subject.ts';
import { FairQueue } from '../work/fair-queue.ts';
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

/** A purge in progress, or one that waits for its turn among the archives: it goes through all runs that are due. */
export interface PurgeEntry {
  archive: string;
  /** The run that is purged now; empty before it is known. */
  run: string;
  state: 'waiting' | 'looking' | 'proving' | 'deleting';
  startedAt: Date;
  /** Of the objects of the run, in bytes. */
  proof: { bytes: number; bytesDone: number } | undefined;
  progress: PurgeProgress | undefined;
  /** Those that its pace makes. */
  pauses?: Pauses | undefined;
}

/** What the board reports; nothing of this may throw. */
export interface BoardEvents {
  /** Something is different now. */
  changed: () => void;
  started: (entry: BoardEntry) => void;
  ended: (ending: RunEnding, details: EndingDetails) => void;
  /** A round of an archive of windows has ended: all of `results` have been reported. */
  roundEnded: (round: RoundEnding) => void;
  /** What of an archive is to be purged was found out. */
  purgesFound: (archive: string, due: DuePurges) => void;
  /** A run was purged, or was to be. */
  purgeEnded: (result: PurgeResult, startedAt: Date) => void;
  /** All that is due was gone through, or it was broken off; where a run came, it goes on after that. */
  purgesEnded: (archive: string, ending: PassEnding) => void;
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
  purgeDue: typeof purgeDue;
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

/** What a purge asks for when its turn comes. */
export interface PurgeWork {
  /** Whether a purge may begin: a paused archive has none. */
  mayPurge: (archive: string) => boolean;
  /** What is remembered of an archive from one to the next. */
  memoryOf: (archive: string) => PassMemory;
}

interface Purging extends PurgeEntry {
  abort: AbortController;
  /** Whether it goes on after the run that it has made room for. */
  goesOn: boolean;
  done: Promise<void>;
}

interface Entry extends BoardEntry {
  /** As it was offered: a round shows each of its windows in turn. */
  slot: string;
  isWindow: boolean;
  /** For how long its windows before were held up. */
  pausedMs: number;
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
  readonly #work: RunMakers & StandbyWork & PurgeWork;
  readonly #lanes = new Map<string, Lane<Entry, Purging>>();
  /** Archives of which what is due is to be purged once their lanes are idle. */
  readonly #toPurge = new Set<string>();
  /** A purge holds some lines of an object, and reads it in the main thread: one at a time. */
  readonly #purgeQueue = new FairQueue(1);
  readonly #drain = new AbortController();

  /** What makes runs may be others in tests. */
  constructor(
    log: Log,
    generation: () => Generation,
    events: BoardEvents,
    work: StandbyWork & PurgeWork & Partial<RunMakers>,
  ) {
    this.#log = log;
    this.#generation = generation;
    this.#events = events;
    this.#work = { runArchive, makeWindows, purgeDue, ...work };
  }

  /** The runs in progress, and those that wait for their turn among the archives. */
  get entries(): readonly BoardEntry[] {
    return this.#current.filter(({ state }) => state !== 'standby');
  }

  /** The runs that other hosts have, and that this one would take up. */
  get standbys(): readonly BoardEntry[] {
    return this.#current.filter(({ state }) => state === 'standby');
  }

  /** The purges in progress, and those that wait for their turn. */
  get purges(): readonly PurgeEntry[] {
    return this.#purging;
  }

  purgeOf(archive: string): PurgeEntry | undefined {
    return this.#lanes.get(archive)?.purge;
  }

  get #purging(): Purging[] {
    return [...this.#lanes.values()].flatMap(({ purge }) => purge ?? []);
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

  /** For how long the archive's pace has held up what is in progress: of a round, over all its windows. */
  pausedMsOf(archive: string): number {
    const entry = this.#lanes.get(archive)?.current;
    return entry === undefined ? 0 : entry.pausedMs + (entry.progress?.pauses?.totalMs ?? 0);
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
    if (lane.purge !== undefined && lane.waiting.length > 0) this.#stop(lane.purge, true);
    this.#beginNext(archive, lane);
  }

  /** Has what is due of an archive purged once its lane is idle: while a run of it is in progress or waits, it waits. */
  offerPurge(archive: string): void {
    if (this.#drain.signal.aborted) return;
    this.#toPurge.add(archive);
    this.#beginNext(archive, this.#lane(archive));
  }

  /** Ends the archive's purge after its batch, if there is one, and drops the one that waits for its lane. Resolves to whether there was one, once it has ended. */
  async stopPurge(archive: string): Promise<boolean> {
    this.#toPurge.delete(archive);
    const purge = this.#lanes.get(archive)?.purge;
    if (purge === undefined) return false;
    this.#stop(purge, false);
    await purge.done;
    return true;
  }

  #stop(purge: Purging, goesOn: boolean): void {
    purge.goesOn = goesOn;
    purge.abort.abort(fail('stopped', { stage: 'purge', message: 'the purge makes room, or was asked to stop' }));
  }

  /** Keeps the archive's lane while `work` goes on; runs that are offered meanwhile wait. */
  async hold(archive: string, work: () => Promise<void>): Promise<void> {
    const lane = this.#lane(archive);
    lane.hold();
    try {
      if (lane.purge !== undefined) {
        this.#stop(lane.purge, true);
        await lane.purge.done;
      }
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
    this.#toPurge.clear();
    // A batch is over soon, and the next start goes on with the next one.
    for (const purge of this.#purging) this.#stop(purge, false);
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
    await Promise.all([...this.#current, ...this.#purging].map(({ done }) => done));
  }

  #lane(archive: string): Lane<Entry, Purging> {
    const known = this.#lanes.get(archive);
    if (known !== undefined) return known;
    const lane = new Lane<Entry, Purging>();
    this.#lanes.set(archive, lane);
    return lane;
  }

  #skipAll(archive: string, leftOut: readonly LeftOut[]): void {
    for (const run of leftOut) this.skip(archive, run);
  }

  #beginNext(archive: string, lane: Lane<Entry, Purging>): void {
    const next = lane.takeNext();
    if (next === undefined) {
      if (lane.isIdle && this.#toPurge.delete(archive)) this.#beginPurge(archive, lane);
      return;
    }
    const generation = this.#generation();
    if (archiveNamed(generation.config, archive) === undefined) {
      this.skip(archive, { ...next, reason: 'not in the config' });
      this.#beginNext(archive, lane);
      return;
    }
    this.#begin(lane, archive, generation.config, next);
  }

  #begin(lane: Lane<Entry, Purging>, archive: string, config: Config, offered: OfferedRun): void {
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
      pausedMs: 0,
      hasStoodBy: false,
      abort: new AbortController(),
      trying: Promise.resolve(),
      done: Promise.resolve(),
    };
    lane.begin(entry);
    entry.done = this.#follow(lane, entry);
    this.#events.changed();
  }

  #beginPurge(name: string, lane: Lane<Entry, Purging>): void {
    const { config } = this.#generation();
    const archive = archiveNamed(config, name);
    if (archive === undefined || !isPurged(archive) || !this.#work.mayPurge(name)) return;
    const purge: Purging = {
      ...{ archive: name, run: '', state: 'waiting', startedAt: new Date(), proof: undefined, progress: undefined },
      ...{ abort: new AbortController(), goesOn: false, done: Promise.resolve() },
    };
    lane.beginPurge(purge);
    purge.done = this.#purge(lane, config, archive, purge);
    this.#events.changed();
  }

  async #purge(lane: Lane<Entry, Purging>, config: Config, archive: PurgedArchive, purge: Purging): Promise<void> {
    const { name } = archive;
    const { signal } = purge.abort;
    let ending: PassEnding = { purged: 0, stoppedBy: 'asked' };
    try {
      ending = await this.#purgeQueue.run(name, signal, () => this.#purgeDue(config, archive, purge));
    } catch {
      // It was asked to stop before its turn came.
    }
    lane.end();
    if (purge.goesOn) this.#toPurge.add(name);
    this.#events.purgesEnded(name, ending);
    this.#beginNext(name, lane);
    this.#events.changed();
  }

  async #purgeDue(config: Config, archive: PurgedArchive, purge: Purging): Promise<PassEnding> {
    const { name } = archive;
    purge.state = 'looking';
    const options = {
      ...{ config, log: this.#log, signal: purge.abort.signal },
      ...{ known: openKnownRuns(config, archive), memory: this.#work.memoryOf(name) },
      aside: <T>(work: () => Promise<T>): Promise<T> => this.#purgeQueue.aside(name, purge.abort.signal, work),
    };
    return this.#work.purgeDue(options, archive, {
      found: (due) => this.#events.purgesFound(name, due),
      begin: ({ run }) => {
        const startedAt = new Date();
        Object.assign(purge, {
          run,
          state: 'proving',
          startedAt,
          proof: undefined,
          progress: undefined,
          pauses: undefined,
        });
        this.#events.changed();
      },
      pauses: (pauses) => {
        purge.pauses = pauses;
      },
      proving: (proof) => {
        purge.proof = proof;
      },
      progress: (progress) => {
        Object.assign(purge, { state: 'deleting', progress });
      },
      end: (result) => {
        this.#events.purgeEnded(result, purge.startedAt);
        this.#events.changed();
      },
    });
  }

  async #follow(lane: Lane<Entry, Purging>, entry: Entry): Promise<void> {
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
          entry.pausedMs += entry.progress?.pauses?.totalMs ?? 0;
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

  #options({ config, number, place, queue }: Generation, entry: Entry): RunOptions {
    return {
      config,
      generation: number,
      place,
      log: this.#log,
      signal: entry.abort.signal,
      drain: this.#drain.signal,
      leaves: leftBy(entry),
      aside: (work) => queue.aside(entry.archive, entry.abort.signal, work),
      onBegin: (progress) => {
        entry.progress = progress;
      },
    };
  }
}

function isRound(archive: ArchiveConfig, { isWindow }: Pick<Entry, 'isWindow'>): archive is WindowedArchive {
  return isWindowed(archive) && !isWindow;
}

/** Whether the daemon purges it: without windows, each run would hold the same rows again. */
export function isPurged(archive: ArchiveConfig): archive is PurgedArchive {
  return isWindowed(archive) && archive.purge !== undefined;
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
