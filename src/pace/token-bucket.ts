/** So many bytes a second, however many ask for them: whoever comes first is served first. */
import type { PaceClock } from './clock.ts';

/** What nobody asks for is kept for so long; so a timer that is late loses nothing. */
const KEPT_SECONDS = 2;

interface Waiter {
  bytes: number;
  serve: () => void;
}

/** It begins empty: the first bytes are waited for like all others. */
export class TokenBucket {
  readonly #bytesPerSecond: number;
  readonly #clock: PaceClock;
  readonly #waiters: Waiter[] = [];
  /** Bytes that may be had at `#filledAt`; below zero once more were spent. */
  #level = 0;
  #filledAt: number;
  /** Aborts the wait for the first waiter's bytes. */
  #waiting: AbortController | undefined;

  constructor(bytesPerSecond: number, clock: PaceClock) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
    this.#filledAt = clock.elapsed();
  }

  /** Resolves once so many bytes may be read; none ask for what is not below zero. Rejects with the signal's reason. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const waiter = {
      bytes,
      serve: () => {
        resolve(undefined);
      },
    };
    const leave = (): void => {
      const at = this.#waiters.indexOf(waiter);
      if (at < 0) return;
      this.#waiters.splice(at, 1);
      // Who waits behind it may need less.
      if (at === 0) this.#waiting?.abort();
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', leave, { once: true });
    this.#waiters.push(waiter);
    if (this.#waiting === undefined) void this.#serveAll();
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  /** Bytes that were read without being asked for: those who ask next wait for them as well. */
  spend(bytes: number): void {
    this.#fill();
    this.#level -= bytes;
  }

  async #serveAll(): Promise<void> {
    for (let first = this.#waiters[0]; first !== undefined; first = this.#waiters[0]) {
      this.#fill();
      const missing = Math.min(first.bytes, this.#mostKept) - this.#level;
      if (missing <= 0) {
        this.#waiters.shift();
        this.#level -= first.bytes;
        first.serve();
        continue;
      }
      this.#waiting = new AbortController();
      await this.#clock.sleep(Math.ceil((missing / this.#bytesPerSecond) * 1000), this.#waiting.signal);
    }
    this.#waiting = undefined;
  }

  get #mostKept(): number {
    return this.#bytesPerSecond * KEPT_SECONDS;
  }

  #fill(): void {
    const now = this.#clock.elapsed();
    const filled = this.#level + ((now - this.#filledAt) / 1000) * this.#bytesPerSecond;
    this.#level = Math.min(filled, this.#mostKept);
    this.#filledAt = now;
  }
}
