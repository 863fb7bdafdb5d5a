/** When work on a database may go on, and how fast: `pace` of an archive, for the segments of a run and the batches of a purge. */
import type { Log } from '../base/log.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import { DailySpan } from '../calendar/daily-span.ts';
import { REAL_CLOCK, type PaceClock } from './clock.ts';
import { Pauses, type Hold } from './pauses.ts';
import { TokenBucket } from './token-bucket.ts';

/** What of the server, or of the time, may hold work up. */
export interface Gate {
  /** Undefined when work may begin. Throws FailureError where that cannot be found out, and nobody can wait for it. */
  look: (signal: AbortSignal) => Promise<Hold | undefined>;
  close?: () => Promise<void>;
}

export interface TurnOptions {
  /** Whether it is the next part of what must not be parted, so that `between` has bound its begin alone. */
  isPart?: boolean;
}

/** Is asked again after that, at the latest: a clock may be set. */
const LONGEST_WAIT_MS = 60_000;
/** Small, so that rates are even over all segments; and no smaller, as each piece is a message and a block to compress. */
const PIECE_SECONDS = 0.25;
/** So often what may end at any time is asked again. */
const LOOK_AGAIN_MS = 2000;
/** A pause that is long is not looked at so often. */
const LONG_MS = 60_000;
const LOOK_SELDOM_MS = 10_000;

export interface PaceParts {
  pace: NonNullable<ArchiveConfig['pace']>;
  timezone: string;
  log: Log;
  /** What else must let work pass; closed with the pace. */
  gates?: readonly Gate[];
  clock?: PaceClock;
}

export class Pace {
  readonly pauses: Pauses;
  /** What a segment asks for at once, at most; undefined where it need not ask. */
  readonly pieceBytes: number | undefined;
  readonly #between: Gate | undefined;
  readonly #gates: readonly Gate[];
  readonly #bucket: TokenBucket | undefined;
  readonly #share: number;
  readonly clock: PaceClock;
  /** By `share`, nothing begins before; of the clock that only goes on. */
  #restsUntilMs = 0;

  constructor({ pace, timezone, log, gates = [], clock = REAL_CLOCK }: PaceParts) {
    const { between, bytesPerSecond, share = 1 } = pace;
    this.clock = clock;
    this.#share = share;
    this.#bucket = bytesPerSecond === undefined ? undefined : new TokenBucket(bytesPerSecond, clock);
    this.pieceBytes = bytesPerSecond === undefined ? undefined : Math.ceil(bytesPerSecond * PIECE_SECONDS);
    this.#between = between === undefined ? undefined : betweenGate(between, timezone, clock);
    this.#gates = gates;
    this.pauses = new Pauses(log, clock);
  }

  /**
   * Resolves when the next run, segment or batch may begin: what was spent has been waited for, and nothing holds it up.
   * Rejects with the signal's reason, and with a FailureError where the server cannot be asked.
   */
  async turn(signal: AbortSignal, { isPart = false }: TurnOptions = {}): Promise<void> {
    await this.#rest(signal);
    const who = Symbol('waits for its turn');
    try {
      for (;;) {
        signal.throwIfAborted();
        const hold = await this.#firstHold(isPart, signal);
        if (hold === undefined) return;
        this.pauses.hold(who, hold);
        await this.clock.sleep(this.#waitOf(hold), signal);
      }
    } finally {
      this.pauses.release(who);
    }
  }

  /** What a batch took, once it is done: bytes of JSON Lines, and the time that it worked. The next turn waits for it. */
  spent({ bytes = 0, workedMs = 0 }: { bytes?: number; workedMs?: number }): void {
    this.#bucket?.spend(bytes);
    const restMs = workedMs * (1 / this.#share - 1);
    this.#restsUntilMs = Math.max(this.#restsUntilMs, this.clock.elapsed() + restMs);
  }

  /** Resolves once a segment in progress may pass so many bytes on. Rejects with the signal's reason. */
  async grant(bytes: number, signal: AbortSignal): Promise<void> {
    await this.#bucket?.take(bytes, signal);
  }

  async close(): Promise<void> {
    for (const gate of this.#gates) await gate.close?.();
  }

  /** Both hold, so that the slower of the two wins. */
  async #rest(signal: AbortSignal): Promise<void> {
    await this.#bucket?.take(0, signal);
    const restMs = this.#restsUntilMs - this.clock.elapsed();
    if (restMs > 0) await this.clock.sleep(restMs, signal);
  }

  async #firstHold(isPart: boolean, signal: AbortSignal): Promise<Hold | undefined> {
    const gates = this.#between === undefined || isPart ? this.#gates : [this.#between, ...this.#gates];
    for (const gate of gates) {
      const hold = await gate.look(signal);
      if (hold !== undefined) return hold;
    }
    return undefined;
  }

  #waitOf({ untilMs }: Hold): number {
    if (untilMs === undefined)
      return (this.pauses.current?.seconds ?? 0) * 1000 < LONG_MS ? LOOK_AGAIN_MS : LOOK_SELDOM_MS;
    return Math.min(LONGEST_WAIT_MS, Math.max(1, untilMs - this.clock.now()));
  }
}

function betweenGate(between: string, timezone: string, clock: PaceClock): Gate {
  const span = new DailySpan(between, timezone);
  return {
    look: () => {
      const now = clock.now();
      const untilMs = span.opensAt(now);
      const message = `nothing begins outside of ${between} (${timezone}), before ${new Date(untilMs).toISOString()}`;
      return Promise.resolve(untilMs === now ? undefined : { reason: 'between', message, untilMs });
    },
  };
}
