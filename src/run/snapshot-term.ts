/** How long a run keeps its snapshot: the server removes nothing that it sees. What is left then goes on under a new one. */
import { linkSignals, type LinkedSignal } from '../base/signals.ts';
import { formatDuration } from '../base/units.ts';
import type { Attempt } from './attempt.ts';
import type { Run } from './run.ts';

/** A pause that lasts longer than this costs the snapshot. */
const LONGEST_PAUSE_MS = 600_000;

export class SnapshotTerm {
  readonly #run: Run;
  readonly #survives: boolean;
  readonly #over = new AbortController();
  readonly #closed = new AbortController();
  readonly #unwatch: () => void;
  /** Ends the wait for a pause to become too long. */
  #pause: LinkedSignal | undefined;
  /** Whether a segment was begun under it. */
  #isBegun = false;
  /** Whether receipts of earlier tries count. */
  readonly #hasDone: boolean;
  /** Whether it is older than it may become. */
  #isOld = false;

  /** `sinceMs` is when the snapshot was taken, by the clock of the pace. */
  constructor(run: Run, { plan, done }: Pick<Attempt, 'plan' | 'done'>, sinceMs: number) {
    this.#run = run;
    this.#survives = plan.cut.survivesSnapshot;
    this.#hasDone = done.size > 0;
    const { clock, pauses } = run.pace;
    const ageMs = run.archive.pace?.maxSnapshotAgeMs;
    if (ageMs !== undefined && this.#survives)
      void this.#after(ageMs - (clock.elapsed() - sinceMs), this.#closed.signal, () => {
        this.#isOld = true;
        // Each snapshot has some segments, however long it took to plan them.
        if (this.#isBegun || pauses.current !== undefined) this.#end(this.#describeAge());
      });
    this.#unwatch = pauses.watch(() => this.#followPause());
    this.#followPause();
  }

  /** Aborts when no further segment is to begin under the snapshot. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** A segment is begun. */
  begun(): void {
    this.#isBegun = true;
    if (this.#isOld) this.#end(this.#describeAge());
  }

  close(): void {
    this.#closed.abort();
    this.#pause?.release();
    this.#unwatch();
  }

  #followPause(): void {
    const isPaused = this.#run.pace.pauses.current !== undefined;
    if (!isPaused) {
      this.#pause?.abort();
      this.#pause?.release();
      this.#pause = undefined;
      return;
    }
    if (this.#pause !== undefined) return;
    if (this.#isOld) this.#end(this.#describeAge());
    this.#pause = linkSignals([this.#closed.signal]);
    void this.#after(LONGEST_PAUSE_MS, this.#pause.signal, () => {
      // What means its rows under this snapshot alone would be done again.
      if (this.#survives || !(this.#isBegun || this.#hasDone))
        this.#end(`the pause is longer than ${formatDuration(LONGEST_PAUSE_MS)}`);
    });
  }

  async #after(ms: number, signal: AbortSignal, work: () => void): Promise<void> {
    await this.#run.pace.clock.sleep(Math.max(0, ms), signal);
    if (!signal.aborted) work();
  }

  #end(why: string): void {
    if (this.#over.signal.aborted) return;
    this.#run.log.info({ why }, 'the snapshot is let go once no segment runs, and the run goes on under a new one');
    this.#over.abort(new Error(why));
  }

  #describeAge(): string {
    return `it is older than ${formatDuration(this.#run.archive.pace?.maxSnapshotAgeMs ?? 0)}, the pace.maxSnapshotAge`;
  }
}
