/** How far a run is, summed over its segments. */
import type { ObjectFacts } from '../segment/task.ts';
import type { SegmentProgress } from './pool.ts';

/** A run's state at one instant. Sizes in bytes; `ended` is true in the last one. */
export interface ProgressSnapshot {
  archive: string;
  run: string;
  segments: number;
  segmentsDone: number;
  rows: number;
  jsonBytes: number;
  bytes: number;
  /** The planner's estimate. */
  estimatedRows: number;
  /** Heap of the worker that reported last. */
  heapBytes: number;
  /** Milliseconds since the first segment was handed over. */
  elapsedMs: number;
  ended: boolean;
}

export type ProgressListener = (snapshot: ProgressSnapshot) => void;

/** What a run is going to do. */
interface Plan {
  segments: readonly unknown[];
  estimate: { rows: number };
}

type Amounts = Pick<ObjectFacts, 'rows' | 'jsonBytes' | 'bytes'>;

export class RunProgress {
  peakHeapBytes = 0;
  readonly #archive: string;
  readonly #run: string;
  readonly #listener: ProgressListener | undefined;
  readonly #running = new Map<number, Amounts>();
  #done = { rows: 0, jsonBytes: 0, bytes: 0 };
  #segments = 0;
  #segmentsDone = 0;
  #estimatedRows = 0;
  #heapBytes = 0;
  #startedAt: number | undefined;

  constructor(archive: string, run: string, listener: ProgressListener | undefined) {
    this.#archive = archive;
    this.#run = run;
    this.#listener = listener;
  }

  /** How many segments are done, over all sessions of the run. */
  get segmentsDone(): number {
    return this.#segmentsDone;
  }

  /** Begins, or begins again under a new session; `done` is what is there already. */
  begin(plan: Plan, done: readonly Amounts[]): void {
    this.#running.clear();
    this.#done = { rows: 0, jsonBytes: 0, bytes: 0 };
    for (const amounts of done) addTo(this.#done, amounts);
    this.#segmentsDone = done.length;
    this.#segments = plan.segments.length;
    this.#estimatedRows = plan.estimate.rows;
    this.#startedAt ??= performance.now();
    this.#emit(false);
  }

  update(segment: number, progress: SegmentProgress): void {
    this.#running.set(segment, progress);
    this.#heapBytes = progress.heapBytes;
    this.peakHeapBytes = Math.max(this.peakHeapBytes, progress.heapBytes);
    this.#emit(false);
  }

  finish(segment: number, facts: Amounts): void {
    this.#running.delete(segment);
    addTo(this.#done, facts);
    this.#segmentsDone += 1;
    this.#emit(false);
  }

  /** To be called once, however the run ended; nothing is said of a run that never began. */
  end(): void {
    if (this.#startedAt !== undefined) this.#emit(true);
  }

  #emit(ended: boolean): void {
    const sum = { ...this.#done };
    for (const amounts of this.#running.values()) addTo(sum, amounts);
    this.#listener?.({
      archive: this.#archive,
      run: this.#run,
      segments: this.#segments,
      segmentsDone: this.#segmentsDone,
      ...sum,
      estimatedRows: this.#estimatedRows,
      heapBytes: this.#heapBytes,
      elapsedMs: performance.now() - (this.#startedAt ?? performance.now()),
      ended,
    });
  }
}

function addTo(sum: Amounts, more: Amounts): void {
  sum.rows += more.rows;
  sum.jsonBytes += more.jsonBytes;
  sum.bytes += more.bytes;
}
