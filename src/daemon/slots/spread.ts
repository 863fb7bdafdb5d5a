/** How a slot's run is left to hosts that have less to do: whoever is busy comes a little later for the lock. */

const WAIT_FOR_EACH_MS = 1000;
/** With more runs than this it is waited no longer. */
const MOST_RUNS = 20;
/** And never longer than this part of the time between two slots. */
const LONGEST_PART = 0.1;

/** Milliseconds that a slot's run waits where `running` runs are in progress; `intervalMs` is the time to the next slot. */
export function spreadMs(running: number, intervalMs: number): number {
  return Math.min(Math.min(running, MOST_RUNS) * WAIT_FOR_EACH_MS, intervalMs * LONGEST_PART);
}
