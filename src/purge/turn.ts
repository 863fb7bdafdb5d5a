/** Waits until the pace lets the next piece of a purge begin, and no longer than the purge may. */
import { linkSignals } from '../base/signals.ts';
import type { Pace } from '../pace/pace.ts';
import { Stopped } from './endings.ts';

/** The pace lets nothing begin for long: the purge gives its lock back, and goes on later. */
export class LongPause extends Error {}

/** A pause that is longer keeps no lock. */
const LONGEST_PAUSE_MS = 600_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Throws Stopped when that time comes first. */
export async function turnBefore(
  pace: Pace,
  signal: AbortSignal,
  endsAtMs: number,
  late: Error = new Stopped('maxDuration'),
) {
  const either = linkSignals([signal]);
  const waitMs = Math.max(0, endsAtMs - performance.now());
  // A longer one is no timer.
  const timer = waitMs > LONGEST_TIMER_MS ? undefined : setTimeout(() => either.abort(late), waitMs);
  try {
    await pace.turn(either.signal);
  } finally {
    clearTimeout(timer);
    either.release();
  }
}

/** The same while a lock is held. Throws Stopped, or LongPause. */
export async function shortTurn(pace: Pace, signal: AbortSignal, endsAtMs: number): Promise<void> {
  const longMs = performance.now() + LONGEST_PAUSE_MS;
  const isLast = endsAtMs <= longMs;
  await turnBefore(pace, signal, Math.min(endsAtMs, longMs), isLast ? undefined : new LongPause());
}
