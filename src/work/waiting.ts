/** Since when nothing has moved in a run, and what it waits for. */
import type { StoreTrouble } from '../store/trouble.ts';

export class Waiting {
  /** Requests that were sent again. */
  retries = 0;
  readonly #now: () => number;
  /** What is said of requests in trouble, by who sent them and what they are. */
  readonly #requests = new Map<string, string>();
  #movedMs: number;

  /** `now` is in milliseconds; for tests. */
  constructor(now = (): number => performance.now()) {
    this.#now = now;
    this.#movedMs = now();
  }

  /** Seconds without progress. */
  get seconds(): number {
    return (this.#now() - this.#movedMs) / 1000;
  }

  /** The requests that are in trouble. */
  get requests(): string[] {
    return [...new Set(this.#requests.values())];
  }

  moved(): void {
    this.#movedMs = this.#now();
  }

  /** `by` is the segment whose thread tells it, or the run itself. */
  tell(by: string, trouble: StoreTrouble): void {
    const { what, request } = trouble;
    const key = `${by} ${request}`;
    if (what === 'over') this.#requests.delete(key);
    if (what === 'slow' && !this.#requests.has(key)) this.#requests.set(key, request);
    if (what !== 'retried') return;
    this.retries += 1;
    this.#requests.set(key, `${request}, which failed: ${trouble.failure.code}`);
  }

  /** A segment has ended, and with it its requests, whatever its thread could still tell. */
  forget(by: string): void {
    for (const key of this.#requests.keys()) if (key.startsWith(`${by} `)) this.#requests.delete(key);
  }
}
