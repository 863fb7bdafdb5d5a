/** The heartbeat of a session: the server hears that its holder lives, and the holder that the server still knows of the lock. */
import { LIVENESS } from './liveness.ts';

export class Heartbeat {
  readonly #ask: () => Promise<unknown>;
  readonly #onSilence: () => void;
  readonly #timer: NodeJS.Timeout;
  /** Statements in progress, and the question itself. */
  #busy = 0;

  /** `onSilence` is called when the question fails. */
  constructor(ask: () => Promise<unknown>, onSilence: () => void) {
    this.#ask = ask;
    this.#onSilence = onSilence;
    this.#timer = setInterval(() => {
      this.#beat();
    }, LIVENESS.heartbeatMs);
  }

  /** Statements that may take long: while they go on, the session is not idle, and a question would wait behind them. */
  async during<T>(statements: () => Promise<T>): Promise<T> {
    this.#busy += 1;
    try {
      return await statements();
    } finally {
      this.#busy -= 1;
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #beat(): void {
    if (this.#busy > 0) return;
    this.during(this.#ask).catch(() => {
      this.#onSilence();
    });
  }
}
