/** The one loop that tries again what may pass, with exponential backoff and jitter. */
import { setTimeout as sleep } from 'node:timers/promises';
import { FailureError } from './errors.ts';
import { FAILURES } from './failures.ts';

export interface RetryPolicy {
  /** How often in all. */
  attempts: number;
  /** Pause before the second attempt, in milliseconds; it doubles with each further one. */
  backoffMs: number;
  /** How long after the first failure another attempt may begin, in milliseconds. */
  forMs: number;
  /** How far the work has come, where a failed attempt may bring it forward: attempts and time are counted anew from one that did. */
  progress?: () => number;
  /** For tests. */
  clock?: RetryClock;
}

/** Milliseconds that only ever go on, and pauses, which end when the signal aborts. */
export interface RetryClock {
  now: () => number;
  pause: (ms: number, signal: AbortSignal) => Promise<void>;
}

const REAL_CLOCK: RetryClock = {
  now: () => performance.now(),
  pause: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => undefined),
};

/** A failure that seldom passes by waiting has this part of the time. */
const SHORT_PART = 5;

/**
 * Told of each failed attempt (from 1) before the next one; returns whether another one may help. There is none after the
 * last one, whatever it returns. It may throw what is to be thrown instead of `error`.
 */
export type OnFailure = (error: unknown, attempt: number, isLast: boolean) => boolean;

/** A destination that is back is noticed soon. */
const MAX_PAUSE_MS = 60_000;

/**
 * Does `work`, and does it again after a pause as long as `onFailure` and the policy allow. Throws the last attempt's
 * error, and the signal's reason when there would have been another one but for it.
 */
export async function retrying<T>(
  policy: RetryPolicy,
  signal: AbortSignal,
  work: (attempt: number) => Promise<T>,
  onFailure: OnFailure,
): Promise<T> {
  const { now, pause } = policy.clock ?? REAL_CLOCK;
  let reached = policy.progress?.() ?? 0;
  let failingSince: number | undefined;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work(attempt);
    } catch (error) {
      const done = policy.progress?.() ?? 0;
      if (done > reached) {
        attempt = 1;
        failingSince = undefined;
      }
      reached = done;
      failingSince ??= now();
      const limit = limitOf(policy, error);
      const leftMs = failingSince + limit.forMs - now();
      const isLast = attempt >= limit.attempts || leftMs <= 0 || signal.aborted;
      const mayHelp = onFailure(error, attempt, isLast);
      if (!mayHelp) throw error;
      signal.throwIfAborted();
      if (isLast) throw error;
      await pause(Math.min(leftMs, pauseMs(policy, attempt)), signal);
      signal.throwIfAborted();
    }
  }
}

/** How often, and for how long, work is tried again that failed so. */
function limitOf({ attempts, forMs }: RetryPolicy, error: unknown): Pick<RetryPolicy, 'attempts' | 'forMs'> {
  const patience = error instanceof FailureError ? FAILURES[error.failure.code].patience : undefined;
  if (patience === 'once') return { attempts: Math.min(2, attempts), forMs };
  return { attempts, forMs: patience === 'short' ? forMs / SHORT_PART : forMs };
}

/** Milliseconds before the attempt after `attempt` (from 1): between half and the whole of the doubled backoff. */
export function pauseMs(policy: Pick<RetryPolicy, 'backoffMs'>, attempt: number): number {
  const full = Math.min(MAX_PAUSE_MS, policy.backoffMs * 2 ** (attempt - 1));
  return full / 2 + Math.random() * (full / 2);
}
