/** The one loop that tries again what may pass, with exponential backoff and jitter. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface RetryPolicy {
  /** How often in all. */
  attempts: number;
  /** Pause before the second attempt, in milliseconds; it doubles with each further one. */
  backoffMs: number;
  /** How far the work has come, where a failed attempt may bring it forward: attempts are counted anew from one that did. */
  progress?: () => number;
}

/**
 * Told of each failed attempt (from 1) before the next one; returns whether another one may help. There is none after the
 * last one, whatever it returns. It may throw what is to be thrown instead of `error`.
 */
export type OnFailure = (error: unknown, attempt: number, isLast: boolean) => boolean;

const MAX_PAUSE_MS = 5 * 60_000;

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
  let reached = policy.progress?.() ?? 0;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work(attempt);
    } catch (error) {
      const now = policy.progress?.() ?? 0;
      if (now > reached) attempt = 1;
      reached = now;
      const isLast = attempt >= policy.attempts || signal.aborted;
      const mayHelp = onFailure(error, attempt, isLast);
      if (!mayHelp) throw error;
      signal.throwIfAborted();
      if (isLast) throw error;
      await pauseBefore(policy, attempt, signal);
    }
  }
}

/** Milliseconds before the attempt after `attempt` (from 1): between half and the whole of the doubled backoff. */
export function pauseMs(policy: RetryPolicy, attempt: number): number {
  const full = Math.min(MAX_PAUSE_MS, policy.backoffMs * 2 ** (attempt - 1));
  return full / 2 + Math.random() * (full / 2);
}

/** Waits before the next attempt; throws the signal's reason when it is aborted. */
async function pauseBefore(policy: RetryPolicy, attempt: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  try {
    await sleep(pauseMs(policy, attempt), undefined, { signal });
  } catch {
    signal.throwIfAborted();
  }
}
