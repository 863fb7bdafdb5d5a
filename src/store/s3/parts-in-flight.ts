/** How many parts of an upload may be on their way at once: a number, or as many as the distance to the server takes. */

/** Where the number follows the latency, it is never below this, and begins here. */
export const FEWEST_IN_FLIGHT = 2;

/** What is kept from one upload to the next. */
export interface LearnedWindow {
  /** Parts on their way at once, as the last uploads took it. */
  window: number;
}

/**
 * Lets a part go when there is room for it. Where the time of a part is mostly waiting for the server's answer, more of
 * them fill it; where it is mostly sending, as on a narrow link, more would only make each take longer, up to its timeout.
 * So, by Little's law: what is on its way, times the share of the waiting, and {@link FEWEST_IN_FLIGHT} besides.
 */
export class PartsInFlight {
  readonly #most: number;
  readonly #learned: LearnedWindow | undefined;
  #latencyMs = Infinity;
  #onTheWay = 0;
  #isOpen = false;
  #wake: () => void = () => undefined;

  /** With `learned`, up to `most`, by what is measured; without, always `most`. */
  constructor(most: number, learned?: LearnedWindow) {
    this.#most = most;
    this.#learned = learned;
  }

  /** Resolves once one more part may go, which then counts as on its way. */
  async take(): Promise<void> {
    while (this.#onTheWay >= (this.#learned?.window ?? this.#most) && !this.#isOpen)
      await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#onTheWay += 1;
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
    if (this.#onTheWay < learned.window) return;
    const needed = FEWEST_IN_FLIGHT + Math.floor((this.#onTheWay * this.#latencyMs) / ms);
    learned.window = Math.min(this.#most, Math.max(needed, learned.window - 1));
  }
}
