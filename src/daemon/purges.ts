/** Decides when the daemon purges: after each slot, and when a run becomes due. Keeps how the purges of each archive stand. */
import type { Failure } from '../base/errors.ts';
import { archiveNamed, destinationOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { purgeSourceOf, type DuePurges, type DueRun, type HeldRun } from '../purge/due.ts';
import type { PassEnding, PassMemory } from '../purge/purge-due.ts';
import { isPurgeFault, type PurgeEnding } from './purge-ending.ts';
import { isPurged, type RunBoard } from './run-board.ts';
import { showFailure, type ShownFailure } from './run-ending.ts';

/** How the purges of an archive stand, as far as this daemon has looked. */
export interface PurgeStanding {
  /** Runs that are due and not purged, oldest first. */
  due: readonly DueRun[];
  /** Runs that are old enough, and are not purged by themselves. */
  held: readonly HeldRun[];
  /** The latest one that ended. */
  last: PurgeEnding | undefined;
  /** The latest one by which a run was purged. */
  lastPurged: PurgeEnding | undefined;
  /** Runs that were refused or found to be damaged, and why, by run id. */
  refused: ReadonlyMap<string, PurgeEnding>;
  /** Why it could not be found out what is due; undefined when it could. */
  failure: ShownFailure | undefined;
}

export interface PurgesParts {
  board: Pick<RunBoard, 'offerPurge' | 'stopPurge' | 'purges'>;
  config: () => Config;
  isPaused: (archive: string) => boolean;
  /** What else keeps purges from the archive. */
  whyHeld: (archive: string) => Failure | undefined;
}

/** A run of the table was in progress, on this host or on another one, or somebody was in the way: it is looked again soon. */
const AGAIN_MS = 60_000;
/** Timers are no longer, as clocks may be set. */
const LONGEST_WAIT_MS = 6 * 3_600_000;

interface Kept extends PurgeStanding {
  due: readonly DueRun[];
  refused: Map<string, PurgeEnding>;
  memory: PassMemory;
  nextDueMs: number | undefined;
  timer: NodeJS.Timeout | undefined;
}

export class Purges {
  readonly #parts: PurgesParts;
  readonly #kept = new Map<string, Kept>();
  #isClosed = false;

  constructor(parts: PurgesParts) {
    this.#parts = parts;
  }

  /** Undefined for an archive that the daemon does not purge. */
  of(name: string): PurgeStanding | undefined {
    const archive = archiveNamed(this.#parts.config(), name);
    if (archive === undefined || !isPurged(archive)) return undefined;
    const held = this.#parts.whyHeld(name);
    return held === undefined ? this.#of(name) : { ...this.#of(name), failure: showFailure(held) };
  }

  memoryOf(name: string): PassMemory {
    return this.#of(name).memory;
  }

  /** What is due of it is purged, once no run of it is in progress. */
  offer(name: string): void {
    const archive = archiveNamed(this.#parts.config(), name);
    if (this.#isClosed || archive === undefined || !isPurged(archive) || this.#parts.isPaused(name)) return;
    if (this.#parts.whyHeld(name) !== undefined) return;
    this.#clearTimer(name);
    this.#parts.board.offerPurge(name);
  }

  found(name: string, { due, held, nextDueMs }: DuePurges): void {
    const kept = this.#of(name);
    const still = new Set(due.map(({ run }) => run));
    for (const run of kept.refused.keys()) if (!still.has(run)) kept.refused.delete(run);
    Object.assign(kept, { due, held, nextDueMs, failure: undefined });
  }

  ended(ending: PurgeEnding): void {
    const kept = this.#of(ending.archive);
    kept.last = ending;
    kept.refused.delete(ending.run);
    if (isPurgeFault(ending)) kept.refused.set(ending.run, ending);
    if (ending.status !== 'purged') return;
    kept.lastPurged = ending;
    if (!ending.mayGoOn) kept.due = kept.due.filter(({ run }) => run !== ending.run);
  }

  /** All that is due was gone through, or it was broken off: by hand and by its time, it goes on at the next slot. */
  passEnded(name: string, { stoppedBy, isBlocked = false, failure }: PassEnding): void {
    const kept = this.#of(name);
    kept.failure = failure;
    this.#clearTimer(name);
    if (this.#isClosed) return;
    if (stoppedBy === 'run-in-progress' || isBlocked) this.#offerIn(name, AGAIN_MS);
    else if (stoppedBy === undefined && kept.nextDueMs !== undefined) {
      const waitMs = Math.max(AGAIN_MS, kept.nextDueMs - Date.now());
      this.#offerIn(name, Math.min(LONGEST_WAIT_MS, waitMs));
    }
  }

  /** Nothing is deleted of an archive that is paused, or held. */
  async paused(name: string): Promise<void> {
    this.#clearTimer(name);
    await this.#parts.board.stopPurge(name);
  }

  /** What was begun under a config that means something else by now ends after its batch, and is looked at anew. */
  reloaded(before: Config): void {
    const now = this.#parts.config();
    const isSame = (name: string): boolean => meaningOf(before, name) === meaningOf(now, name);
    for (const name of [...this.#kept.keys()]) {
      if (isSame(name)) continue;
      this.#clearTimer(name);
      this.#kept.delete(name);
      void this.#parts.board.stopPurge(name).then(() => {
        this.offer(name);
      });
    }
    for (const name of Object.keys(now.archives)) if (!this.#kept.has(name) && !isSame(name)) this.offer(name);
  }

  /** Nothing is planned from now on. */
  close(): void {
    this.#isClosed = true;
    for (const name of this.#kept.keys()) this.#clearTimer(name);
  }

  #of(name: string): Kept {
    const known = this.#kept.get(name);
    if (known !== undefined) return known;
    const kept: Kept = {
      ...{ due: [], held: [], last: undefined, lastPurged: undefined, refused: new Map(), failure: undefined },
      ...{ memory: { done: new Map(), differentAtMs: new Map() }, nextDueMs: undefined, timer: undefined },
    };
    this.#kept.set(name, kept);
    return kept;
  }

  #offerIn(name: string, ms: number): void {
    this.#of(name).timer = setTimeout(() => {
      this.offer(name);
    }, ms);
  }

  #clearTimer(name: string): void {
    const kept = this.#kept.get(name);
    clearTimeout(kept?.timer);
    if (kept !== undefined) kept.timer = undefined;
  }
}

/** What a purge of the archive goes by. */
function meaningOf(config: Config, name: string): string {
  const archive: ArchiveConfig | undefined = archiveNamed(config, name);
  if (archive === undefined || !isPurged(archive)) return '';
  return JSON.stringify([archive, purgeSourceOf(config, archive), destinationOf(config, archive)]);
}
