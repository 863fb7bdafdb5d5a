/** A clock that a test moves. */
import { eventually } from './cli.ts';
import type { PaceClock } from '../../src/pace/clock.ts';

interface Sleeper {
  untilMs: number;
  wake: () => void;
}

export class PacedClock implements PaceClock {
  #elapsedMs = 0;
  readonly #startMs: number;
  readonly #sleepers = new Set<Sleeper>();

  constructor(start = '2026-01-15T12:00:00Z') {
    this.#startMs = Date.parse(start);
  }

  readonly now = (): number => this.#startMs + this.#elapsedMs;
  readonly elapsed = (): number => this.#elapsedMs;

  readonly sleep = (ms: number, signal: AbortSignal): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const sleeper = {
      untilMs: this.#elapsedMs + ms,
      wake: () => {
        this.#sleepers.delete(sleeper);
        resolve(undefined);
      },
    };
    this.#sleepers.add(sleeper);
    signal.addEventListener('abort', sleeper.wake, { once: true });
    if (signal.aborted) sleeper.wake();
    return promise;
  };

  /** Wakes one after the other, each at its time, and lets what it does be done. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms;
    await settle();
    for (let next = this.#next(endMs); next !== undefined; next = this.#next(endMs)) {
      this.#elapsedMs = Math.max(this.#elapsedMs, next.untilMs);
      next.wake();
      await settle();
    }
    // Somebody else may have let more time go by meanwhile.
    this.#elapsedMs = Math.max(this.#elapsedMs, endMs);
  }

  /** Time goes by in which nobody comes to do anything. */
  jump(ms: number): void {
    this.#elapsedMs += ms;
  }

  /** Lets time go by in such steps until it is so. */
  async passUntil(what: string, isSo: () => boolean, stepMs = 0): Promise<void> {
    await eventually(what, async () => {
      await this.pass(stepMs);
      return isSo();
    });
  }

  #next(endMs: number): Sleeper | undefined {
    const due = [...this.#sleepers].filter(({ untilMs }) => untilMs <= endMs);
    return due.toSorted((one, other) => one.untilMs - other.untilMs)[0];
  }
}

/** All that follows from what was resolved has happened. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
