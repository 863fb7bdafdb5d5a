/** Hands out a fixed number of places to runs, fairly: a free place goes to the run that has the fewest. */

interface Waiter {
  run: string;
  enter: () => void;
}

/** Places for at most `places` tasks at once. */
export class FairQueue {
  readonly #places: number;
  readonly #waiting: Waiter[] = [];
  readonly #active = new Map<string, number>();

  constructor(places: number) {
    this.#places = places;
  }

  /** Tasks that wait for a place. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Tasks that have one. */
  get active(): number {
    return [...this.#active.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Waits for a place for `run`, does `work` in it and gives the place back. A signal that aborts ends the wait. */
  async run<T>(run: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#enter(run, signal);
    try {
      return await work();
    } finally {
      this.#leave(run);
    }
  }

  /** Gives the place of `run` away while `work` is done, and waits for another one then; to be called in it. */
  async aside<T>(run: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    this.#leave(run);
    try {
      return await work();
    } finally {
      await this.#enterAgain(run, signal);
    }
  }

  async #enterAgain(run: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#enter(run, signal);
    } catch {
      // Nobody waits for it any more; what it is about to give back must be its own.
      this.#active.set(run, this.#count(run) + 1);
    }
  }

  async #enter(run: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const waiter = {
      run,
      enter: () => {
        resolve(undefined);
      },
    };
    const giveUp = (): void => {
      const at = this.#waiting.indexOf(waiter);
      if (at < 0) return;
      this.#waiting.splice(at, 1);
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', giveUp, { once: true });
    this.#waiting.push(waiter);
    this.#admit();
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  #admit(): void {
    while (this.active < this.#places) {
      const next = this.#next();
      if (next === undefined) return;
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
      this.#active.set(next.run, this.#count(next.run) + 1);
      next.enter();
    }
  }

  /** The first in line among the runs with the fewest places. */
  #next(): Waiter | undefined {
    let best: Waiter | undefined;
    for (const waiter of this.#waiting) {
      if (best === undefined || this.#count(waiter.run) < this.#count(best.run)) best = waiter;
    }
    return best;
  }

  #leave(run: string): void {
    const left = this.#count(run) - 1;
    if (left === 0) this.#active.delete(run);
    else this.#active.set(run, left);
    this.#admit();
  }

  #count(run: string): number {
    return this.#active.get(run) ?? 0;
  }
}
