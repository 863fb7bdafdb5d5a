/** The pauses of a run or a purge: the one that lasts, and how long those before it were. */
import type { Log } from '../base/log.ts';
import type { PaceClock } from './clock.ts';

/** Why work waits; a label of metrics. */
export const PAUSE_REASONS = ['between', 'lag', 'pause-while'] as const;
export type PauseReason = (typeof PAUSE_REASONS)[number];

/** Why nothing may begin now. */
export interface Hold {
  reason: PauseReason;
  /** What a person is told, such as `outside of 22:00-06:00`. */
  message: string;
  /** What to do about it, where somebody has to. Then it is a warning. */
  hint?: string;
  /** When it ends at the earliest, by the clock; absent where that is not known. */
  untilMs?: number;
}

export interface Pause {
  reason: PauseReason;
  message: string;
  hint: string | null;
  /** When it began, ISO 8601. */
  since: string;
  seconds: number;
}

export class Pauses {
  readonly #log: Log;
  readonly #clock: PaceClock;
  /** Those who are held up now. */
  readonly #held = new Map<symbol, Hold>();
  readonly #totalsMs = new Map<PauseReason, number>();
  #begun: { hold: Hold; sinceMs: number; elapsedMs: number; countedMs: number } | undefined;
  readonly #watchers = new Set<() => void>();

  constructor(log: Log, clock: PaceClock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** The pause that lasts; undefined when work goes on. */
  get current(): Pause | undefined {
    if (this.#begun === undefined) return undefined;
    const { hold, sinceMs, elapsedMs } = this.#begun;
    return {
      reason: hold.reason,
      message: hold.message,
      hint: hold.hint ?? null,
      since: new Date(sinceMs).toISOString(),
      seconds: (this.#clock.elapsed() - elapsedMs) / 1000,
    };
  }

  /** All of them, the one that lasts included; in ms. */
  get totalMs(): number {
    return PAUSE_REASONS.reduce((sum, reason) => sum + this.totalMsOf(reason), 0);
  }

  totalMsOf(reason: PauseReason): number {
    const running = this.#begun?.hold.reason === reason ? this.#clock.elapsed() - this.#begun.countedMs : 0;
    return (this.#totalsMs.get(reason) ?? 0) + running;
  }

  /** `onChange` is called when a pause begins or ends, until what is returned is called. */
  watch(onChange: () => void): () => void {
    this.#watchers.add(onChange);
    return () => this.#watchers.delete(onChange);
  }

  /** `who` is held up from now on, or for another reason than before. */
  hold(who: symbol, hold: Hold): void {
    this.#held.set(who, hold);
    this.#follow();
  }

  /** `who` goes on, or has given up. */
  release(who: symbol): void {
    if (this.#held.delete(who)) this.#follow();
  }

  #follow(): void {
    const hold = [...this.#held.values()].at(-1);
    const before = this.#begun;
    if (before !== undefined) this.#count(before.hold.reason, before);
    if (hold === undefined) {
      this.#begun = undefined;
      if (before === undefined) return;
      const pausedSeconds = Math.round((this.#clock.elapsed() - before.elapsedMs) / 1000);
      this.#log.info({ reason: before.hold.reason, pausedSeconds }, 'the pause is over');
      for (const onChange of this.#watchers) onChange();
      return;
    }
    const elapsed = this.#clock.elapsed();
    const { sinceMs, elapsedMs } = before ?? { sinceMs: this.#clock.now(), elapsedMs: elapsed };
    this.#begun = { hold, sinceMs, elapsedMs, countedMs: elapsed };
    if (before !== undefined && isTheSame(before.hold, hold)) return;
    this.#tell(hold);
    if (before === undefined) for (const onChange of this.#watchers) onChange();
  }

  #count(reason: PauseReason, { countedMs }: { countedMs: number }): void {
    this.#totalsMs.set(reason, (this.#totalsMs.get(reason) ?? 0) + this.#clock.elapsed() - countedMs);
  }

  #tell({ reason, message, hint }: Hold): void {
    if (hint === undefined) this.#log.info({ reason, why: message }, 'pauses');
    else this.#log.warn({ reason, why: message, hint }, 'pauses');
  }
}

/** A lag that grows is the same reason. */
function isTheSame(one: Hold, other: Hold): boolean {
  return one.reason === other.reason && one.hint === other.hint;
}
