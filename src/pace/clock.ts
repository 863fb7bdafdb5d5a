/** The clocks that a pace goes by; tests have their own. */
import { setTimeout as sleep } from 'node:timers/promises';

/** In milliseconds. */
export interface PaceClock {
  /** What the time is. It may be set. */
  now: () => number;
  /** Only ever goes on. */
  elapsed: () => number;
  /** Ends early when the signal aborts; never rejects. */
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

export const REAL_CLOCK: PaceClock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => undefined),
};
