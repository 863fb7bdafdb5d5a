/**
 * The lane of one archive: one run in progress at most, and those that wait behind it; while there are none, a purge. It begins
 * and reports nothing.
 */
import { compareRunIds } from '../ledger/run-id.ts';
import type { SkipReason, Trigger } from './run-ending.ts';

/**
 * What becomes of a run when its lane is busy: it is left out, takes the place of those that wait, or waits as well.
 */
export type WhenBusy = 'skip' | 'replace' | 'append';

export interface OfferedRun {
  run: string;
  trigger: Trigger;
  whenBusy: WhenBusy;
  /** Of an archive of windows: the id names a window. Else it is a round, which makes all windows that are missing. */
  isWindow?: boolean;
}

/** A run that was left out, and why. */
export interface LeftOut extends OfferedRun {
  reason: SkipReason;
}

/**
 * While the lane is held, for a look at what lies in the destination, no run begins; a run may be in progress by then, or a
 * purge, which ends soon.
 */
type State<R, P> =
  | { is: 'free' }
  | { is: 'held'; holds: number }
  | { is: 'running'; current: R; holds: number }
  | { is: 'purging'; purge: P; holds: number };

/** Runs that wait in one lane. */
const MOST_WAITING = 1000;

export class Lane<R extends { run: string }, P = never> {
  #state: State<R, P> = { is: 'free' };
  /** Oldest run id first. */
  #waiting: OfferedRun[] = [];

  /** The run in progress. */
  get current(): R | undefined {
    return this.#state.is === 'running' ? this.#state.current : undefined;
  }

  /** The purge in progress: whoever wants the lane asks it to stop. */
  get purge(): P | undefined {
    return this.#state.is === 'purging' ? this.#state.purge : undefined;
  }

  get waiting(): readonly OfferedRun[] {
    return this.#waiting;
  }

  /** Whether a run is in progress or waits; a purge lets runs go first. */
  get isBusy(): boolean {
    return this.#state.is === 'running' || this.#waiting.length > 0;
  }

  /** Puts a run in line, by its own rule for a busy lane. Returns what is left out for that, or the run itself. */
  offer(offered: OfferedRun): LeftOut[] {
    if (this.#has(offered.run)) return [];
    if (offered.whenBusy === 'skip' && this.isBusy) return [{ ...offered, reason: 'busy' }];
    const replaced = offered.whenBusy === 'replace' ? this.#dropReplaced(offered) : [];
    // A later slot waits already.
    if (offered.whenBusy === 'replace' && this.#waiting.some(isReplaceable))
      return [...replaced, { ...offered, reason: 'busy' }];
    this.#waiting.push(offered);
    this.#waiting.sort((a, b) => compareRunIds(a.run, b.run));
    const surplus = this.#waiting.splice(0, this.#waiting.length - MOST_WAITING);
    return [...replaced, ...surplus.map((run): LeftOut => ({ ...run, reason: 'not caught up' }))];
  }

  /** Leaves out those that wait and are chosen. */
  drop(reason: SkipReason, isChosen: (offered: OfferedRun) => boolean): LeftOut[] {
    const chosen = this.#waiting.filter(isChosen);
    this.#waiting = this.#waiting.filter((offered) => !chosen.includes(offered));
    return chosen.map((offered) => ({ ...offered, reason }));
  }

  /** The run that is to begin now, and waits no longer; undefined when there is none, or the lane is not free. */
  takeNext(): OfferedRun | undefined {
    return this.#state.is === 'free' ? this.#waiting.shift() : undefined;
  }

  /** The lane is free. */
  begin(current: R): void {
    this.#state = { is: 'running', current, holds: 0 };
  }

  /** Whether a purge may begin now: the lane is free, and no run waits. */
  get isIdle(): boolean {
    return this.#state.is === 'free' && this.#waiting.length === 0;
  }

  /** The lane is idle. */
  beginPurge(purge: P): void {
    this.#state = { is: 'purging', purge, holds: 0 };
  }

  /** The run or the purge in progress has ended. */
  end(): void {
    const holds = this.#state.is === 'running' || this.#state.is === 'purging' ? this.#state.holds : 0;
    this.#state = holds > 0 ? { is: 'held', holds } : { is: 'free' };
  }

  hold(): void {
    if (this.#state.is === 'free') this.#state = { is: 'held', holds: 1 };
    else this.#state.holds += 1;
  }

  /** Ends one {@link hold}. */
  release(): void {
    if (this.#state.is === 'free') return;
    this.#state.holds -= 1;
    if (this.#state.is === 'held' && this.#state.holds === 0) this.#state = { is: 'free' };
  }

  #has(run: string): boolean {
    return this.current?.run === run || this.#waiting.some((waiting) => waiting.run === run);
  }

  #dropReplaced({ run }: OfferedRun): LeftOut[] {
    return this.drop('busy', (waiting) => isReplaceable(waiting) && compareRunIds(waiting.run, run) < 0);
  }
}

function isReplaceable({ whenBusy }: OfferedRun): boolean {
  return whenBusy === 'replace';
}
