/** What a task on another host may pass on, where its run has a pace: who leads the run is asked for a portion at a time. */

interface Waiter {
  upTo: number;
  serve: () => void;
}

/** All counts are of bytes from the task's beginning on, so that a message may come twice, late or never. */
export class Lease {
  readonly #portionBytes: number;
  readonly #ask: () => void;
  #waiters: Waiter[] = [];
  #wanted = 0;
  #granted = 0;
  #passed = 0;

  /** `ask` has it said how much is wanted. */
  constructor(portionBytes: number, ask: () => void) {
    this.#portionBytes = portionBytes;
    this.#ask = ask;
  }

  get state(): { wanted: number; granted: number } {
    return { wanted: this.#wanted, granted: this.#granted };
  }

  /** Resolves once so many more bytes may be passed on. Rejects with the signal's reason. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#passed += bytes;
    const upTo = this.#passed;
    if (upTo <= this.#granted) return;
    if (upTo > this.#wanted) {
      this.#wanted = Math.max(upTo, this.#wanted + this.#portionBytes);
      this.#ask();
    }
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const leave = (): void => reject(signal.reason as Error);
    this.#waiters.push({ upTo, serve: () => resolve(undefined) });
    signal.addEventListener('abort', leave, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  /** So much was granted in all. */
  grant(total: number): void {
    this.#granted = Math.max(this.#granted, total);
    const served = this.#waiters.filter(({ upTo }) => upTo <= this.#granted);
    this.#waiters = this.#waiters.filter(({ upTo }) => upTo > this.#granted);
    for (const { serve } of served) serve();
  }
}
