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

/** Pauses of a host that cannot work: it would take one segment after the other, and fail them. */
export class Rests {
  #failures = 0;
  #untilMs = 0;
  /** Looks whether what was in trouble can be had again; there until it can. */
  #probe: (() => Promise<unknown>) | undefined;
  readonly #now: () => number;

  /** `now` is in milliseconds; for tests. */
  constructor(now = (): number => performance.now()) {
    this.#now = now;
  }

  get isResting(): boolean {
    return this.#now() < this.#untilMs;
  }

  /** A segment was not done, for what is this host's own affair. What was taken before the pause began is one failure with it. */
  failed(probe?: () => Promise<unknown>): void {
    this.#probe = probe ?? this.#probe;
    if (this.isResting) return;
    this.#untilMs = this.#now() + Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** this.#failures);
    this.#failures += 1;
  }

  /** Whether it may take a segment now; after a pause, once what was in trouble can be had. */
  async mayWork(): Promise<boolean> {
    if (this.isResting) return false;
    try {
      await this.#probe?.();
      this.#probe = undefined;
      return true;
    } catch {
      this.failed();
      return false;
    }
  }

  done(): void {
    this.#failures = 0;
    this.#untilMs = 0;
    this.#probe = undefined;
  }
}
