/** How many parts of an upload may be on their way at once: a number, or as many as the distance to the server takes. */

/**
 * Where the number follows the latency, it begins here: to a server nearby, a part has arrived before the next one is
 * gathered, and the memory of a further one is not taken.
 */
export const FIRST_IN_FLIGHT = 1;
/** Once somebody has waited for room, it is never below this. */
export const FEWEST_IN_FLIGHT = 2;
/** So long all waits of an upload may take together before that. */
export const PATIENCE_MS = 50;

/** What is kept from one upload to the next. */
export interface LearnedWindow {
  /** Parts on their way at once, as the last uploads took it. */
  window: number;
}

/**
 * Lets a part go when there is room for it. Where the time of a part is mostly waiting for the server's answer, more of
 * them fill it; where it is mostly sending, as on a narrow link, more would only make each take longer, up to its timeout.
 * So, by Little's law: what is on its way, times the share of the waiting, and {@link FEWEST_IN_FLIGHT} besides. As long as
 * hardly anybody waits, it is {@link FIRST_IN_FLIGHT}.
 */
export class PartsInFlight {
  readonly #most: number;
  readonly #learned: LearnedWindow | undefined;
  readonly #now: () => number;
  #latencyMs = Infinity;
  #patienceMs = PATIENCE_MS;
  #onTheWay = 0;
  #isOpen = false;
  #wake: () => void = () => undefined;

  /** With `learned`, up to `most`, by what is measured; without, always `most`. `now` is a clock in milliseconds. */
  constructor(most: number, learned?: LearnedWindow, now = () => performance.now()) {
    this.#most = most;
    this.#learned = learned;
    this.#now = now;
  }

  /** Resolves once one more part may go, which then counts as on its way. */
  async take(): Promise<void> {
    while (this.#onTheWay >= (this.#learned?.window ?? this.#most) && !this.#isOpen) await this.#waitForRoom();
    this.#onTheWay += 1;
  }

  async #waitForRoom(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#wake = () => {
      resolve(undefined);
    };
    const learned = this.#learned;
    if (learned === undefined || learned.window >= FEWEST_IN_FLIGHT) return promise;
    const since = this.#now();
    const timer = setTimeout(() => {
      learned.window = Math.min(this.#most, FEWEST_IN_FLIGHT);
      this.#wake();
    }, this.#patienceMs);
    await promise;
    clearTimeout(timer);
    this.#patienceMs = Math.max(0, this.#patienceMs - (this.#now() - since));
  }

  /** The server answered a request that carries no data. */
  measured(ms: number): void {
    this.#latencyMs = Math.min(this.#latencyMs, ms);
  }

  /** The server has a part, `ms` after it was sent. */
  answered(ms: number): void {
    this.measured(ms);
    if (this.#learned !== undefined) this.#adapt(this.#learned, ms);
    this.#onTheWay -= 1;
    this.#wake();
  }

  /** Nothing is to wait any more: the upload failed. */
  open(): void {
    this.#isOpen = true;
    this.#wake();
  }

  /** Only a window that is full says anything. One odd part takes it down by one, and no further. */
  #adapt(learned: LearnedWindow, ms: number): void {
    if (this.#onTheWay < learned.window || learned.window < FEWEST_IN_FLIGHT) return;
    const needed = FEWEST_IN_FLIGHT + Math.floor((this.#onTheWay * this.#latencyMs) / ms);
    learned.window = Math.min(this.#most, Math.max(needed, learned.window - 1));
  }
}
