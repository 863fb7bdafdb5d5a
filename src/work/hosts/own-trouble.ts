/** What of a failure is this host's own affair: its network, its credentials, its machine. Then another host may do the segment. */
import type { Failure } from '../../base/errors.ts';
import type { FailureCode } from '../../base/failures.ts';
import { differs } from './ends.ts';

const OWN_CODES: ReadonlySet<FailureCode> = new Set<FailureCode>([
  ...(['connection-lost', 'connection-refused', 'dns', 'timeout', 'tls', 'tls-refused', 'clock-skew'] as const),
  ...([
    'credentials-missing',
    'credentials-expired',
    'credentials-rejected',
    'access-denied',
    'login-refused',
  ] as const),
  ...(['engine-missing', 'folder-missing', 'too-many-open-files', 'host-differs'] as const),
]);

/** Whoever leads the run has read and written there himself: so what is denied here may be had elsewhere. */
export function judgeOwn(failure: Failure): Failure {
  if (failure.code === 'several-servers') {
    const { archive, run, segment, message } = failure;
    const { failure: different } = differs(`its source is another server: ${message}`);
    return { ...different, ...given({ archive, run, segment }) };
  }
  return isOwn(failure) ? { ...failure, transient: true } : failure;
}

function given<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}

export function isOwn({ code }: Failure): boolean {
  return OWN_CODES.has(code);
}

/** The first pause; it doubles with each further failure before a segment is done. */
const FIRST_REST_MS = 2000;
/** What is back is noticed soon. */
const LONGEST_REST_MS = 60_000;
/** A look that has failed for so long stands for its own segment alone: others may need nothing of what it looks at. */
const LONGEST_PROBED_MS = 600_000;

/** A pause begins; `error` is of the look at what was in trouble. */
type OnRest = (pauseMs: number, error?: unknown) => void;

/** Pauses of a host that cannot work: it would take one segment after the other, and fail them. */
export class Rests {
  #failures = 0;
  #untilMs = 0;
  /** Looks whether what was in trouble can be had again; there until it can. */
  #probe: (() => Promise<unknown>) | undefined;
  #probedSinceMs = 0;
  readonly #now: () => number;
  readonly #onRest: OnRest;

  /** `now` is in milliseconds; for tests. */
  constructor(onRest: OnRest = () => undefined, now = (): number => performance.now()) {
    this.#onRest = onRest;
    this.#now = now;
  }

  get isResting(): boolean {
    return this.#now() < this.#untilMs;
  }

  /** A segment was not done, for what is this host's own affair. What was taken before the pause began is one failure with it. */
  failed(probe?: () => Promise<unknown>): void {
    if (probe !== undefined) [this.#probe, this.#probedSinceMs] = [probe, this.#now()];
    this.#rest();
  }

  #rest(error?: unknown): void {
    if (this.isResting) return;
    const pauseMs = Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** this.#failures);
    this.#untilMs = this.#now() + pauseMs;
    this.#failures += 1;
    this.#onRest(pauseMs, error);
  }

  /** Whether it may take a segment now; after a pause, once what was in trouble can be had. */
  async mayWork(): Promise<boolean> {
    if (this.isResting) return false;
    const probe = this.#now() - this.#probedSinceMs < LONGEST_PROBED_MS ? this.#probe : undefined;
    try {
      await probe?.();
      // Another segment may have failed meanwhile.
      if (this.#probe === probe) this.#probe = undefined;
      return !this.isResting;
    } catch (error) {
      this.#rest(error);
      return false;
    }
  }

  /** A segment was done, or the config is another one. */
  done(): void {
    this.#failures = 0;
    this.#untilMs = 0;
    this.#probe = undefined;
  }
}
