/** Signals that end with others, and let go of them: what AbortSignal.any makes hangs on a long-lived signal for good. */

/** Never aborts. */
export const NEVER = new AbortController().signal;

export interface LinkedSignal {
  readonly signal: AbortSignal;
  /** Aborts this one alone. */
  abort: (reason?: unknown) => void;
  /** Lets go of the others; to be called in the end. */
  release: () => void;
}

/** Aborts when one of the others does, with its reason; with `graceMs`, that long after. */
export function linkSignals(others: readonly AbortSignal[], graceMs = 0): LinkedSignal {
  const own = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const follow = ({ reason }: AbortSignal): void => {
    if (graceMs === 0) own.abort(reason);
    else timer ??= setTimeout(() => own.abort(reason), graceMs);
  };
  const onAbort = ({ target }: Event): void => {
    follow(target as AbortSignal);
  };
  for (const other of others) {
    if (other.aborted) follow(other);
    else other.addEventListener('abort', onAbort, { once: true });
  }
  return {
    signal: own.signal,
    abort: (reason) => own.abort(reason),
    release: () => {
      clearTimeout(timer);
      for (const other of others) other.removeEventListener('abort', onAbort);
    },
  };
}

/**
 * What `work` resolves to. After `limitMs` it is not waited for any more: its signal aborts, and so does this one, with what
 * `late` makes.
 */
export async function within<T>(
  limitMs: number,
  late: () => Error,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(late()), limitMs);
  try {
    return await untilAborted(work(limit.signal), limit.signal);
  } finally {
    clearTimeout(timer);
  }
}

/** What `work` resolves to, or the signal's reason as soon as it aborts, whatever becomes of the work then. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => {
    aborted.reject(signal.reason as Error);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
