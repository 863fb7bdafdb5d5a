/** What a thread asks the control plane for before it passes bytes on, and waits for. */

export class Grants {
  readonly #signal: AbortSignal;
  readonly #want: (bytes: number) => void;
  readonly #waiting: (() => void)[] = [];

  /** `want` says it to the control plane, which answers each with one grant, in their order. */
  constructor(signal: AbortSignal, want: (bytes: number) => void) {
    this.#signal = signal;
    this.#want = want;
  }

  /** Resolves once it is granted; rejects with the signal's reason. */
  async ask(bytes: number): Promise<void> {
    this.#signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const giveUp = (): void => {
      reject(this.#signal.reason as Error);
    };
    this.#waiting.push(() => {
      resolve(undefined);
    });
    this.#signal.addEventListener('abort', giveUp, { once: true });
    this.#want(bytes);
    try {
      await promise;
    } finally {
      this.#signal.removeEventListener('abort', giveUp);
    }
  }

  granted(): void {
    this.#waiting.shift()?.();
  }
}
