/** Tries again what may pass, with exponential backoff and jitter. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface RetryPolicy {
  /** How often in all. */
  attempts: number;
  /** Pause before the second attempt, in milliseconds; it doubles with each further one. */
  backoffMs: number;
}

const MAX_PAUSE_MS = 5 * 60_000;

/** Milliseconds before the attempt after `attempt` (from 1): between half and the whole of the doubled backoff. */
export function pauseMs(policy: RetryPolicy, attempt: number): number {
  const full = Math.min(MAX_PAUSE_MS, policy.backoffMs * 2 ** (attempt - 1));
  return full / 2 + Math.random() * (full / 2);
}

/** Waits before the next attempt; throws the signal's reason when it is aborted. */
export async function pauseBefore(policy: RetryPolicy, attempt: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  try {
    await sleep(pauseMs(policy, attempt), undefined, { signal });
  } catch {
    signal.throwIfAborted();
  }
}
