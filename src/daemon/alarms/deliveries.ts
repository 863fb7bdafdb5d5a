/**
 * Delivers alarms: a bounded queue, retries with backoff, and no run waits for it. URLs are secrets, and are never
 * named.
 */
import { errorText } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { retrying, type RetryPolicy } from '../../base/retry.ts';

export interface Delivery {
  /** What it is, for the log and the metrics; without the URL. */
  kind: 'notify' | 'ping';
  name: string;
  /** Deliveries of one lane keep their order. */
  lane: string;
  url: string;
  contentType: string;
  body: string;
}

export interface DeliveryOptions {
  log: Log;
  /** Called once for each delivery. */
  onEnd: (kind: Delivery['kind'], ok: boolean) => void;
  /** For tests. */
  backoffMs?: number;
}

const ATTEMPTS = 6;
const BACKOFF_MS = 1000;
const TIMEOUT_MS = 10_000;
const MOST_WAITING = 200;
/** How long a stop waits for deliveries in progress. */
const CLOSE_TIMEOUT_MS = 5000;

/** The receiver answered, and did not take it. */
class NotTaken extends Error {
  readonly transient: boolean;

  constructor(status: number) {
    super(
      `it answered ${status}${status >= 300 && status < 400 ? '; redirects are not followed: name the new URL' : ''}`,
    );
    this.transient = status >= 500 || status === 408 || status === 429;
  }
}

export class Deliveries {
  readonly #options: DeliveryOptions;
  readonly #policy: RetryPolicy;
  readonly #stop = new AbortController();
  /** By lane. */
  readonly #last = new Map<string, Promise<void>>();
  #waiting = 0;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#policy = { attempts: ATTEMPTS, backoffMs: options.backoffMs ?? BACKOFF_MS, forMs: Infinity };
  }

  /** Delivers as soon as what was sent in this lane before has been. Never throws. */
  send(delivery: Delivery): void {
    if (this.#waiting >= MOST_WAITING) {
      this.#end(delivery, `${MOST_WAITING} others wait already`);
      return;
    }
    this.#waiting += 1;
    const before = this.#last.get(delivery.lane) ?? Promise.resolve();
    const done = before
      .then(() => this.#deliver(delivery))
      .finally(() => {
        this.#waiting -= 1;
        if (this.#last.get(delivery.lane) === done) this.#last.delete(delivery.lane);
      });
    this.#last.set(delivery.lane, done);
  }

  /** Waits some seconds for deliveries in progress, and drops the rest. */
  async close(): Promise<void> {
    const timer = setTimeout(() => {
      this.#stop.abort();
    }, CLOSE_TIMEOUT_MS);
    await Promise.all(this.#last.values());
    clearTimeout(timer);
  }

  async #deliver(delivery: Delivery): Promise<void> {
    try {
      await retrying(
        this.#policy,
        this.#stop.signal,
        () => this.#post(delivery),
        (error) => !(error instanceof NotTaken) || error.transient,
      );
      this.#end(delivery, undefined);
    } catch (error) {
      // fetch() says why it failed in the cause alone.
      this.#end(delivery, errorText(error instanceof Error ? (error.cause ?? error) : error));
    }
  }

  /** Resolves when it was taken. */
  async #post({ url, contentType, body }: Delivery): Promise<void> {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': contentType, 'User-Agent': 'pgsluice' },
      body,
      // Followed, it would send the alarm to wherever the receiver says.
      redirect: 'manual',
      signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), this.#stop.signal]),
    });
    await answer.body?.cancel();
    if (!answer.ok) throw new NotTaken(answer.status);
  }

  #end({ kind, name }: Delivery, problem: string | undefined): void {
    this.#options.onEnd(kind, problem === undefined);
    if (problem !== undefined) this.#options.log.warn({ kind, to: name, problem }, 'an alarm could not be delivered');
  }
}
