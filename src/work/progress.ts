/** How far a run is: segment by segment, and summed over them. */
import type { Failure } from '../base/errors.ts';
import type { ObjectFacts } from '../segment/task.ts';
import type { StoreTrouble } from '../store/trouble.ts';
import type { TaskProgress } from './place.ts';
import { Waiting } from './waiting.ts';

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

/** One segment of the run. Sizes in bytes. */
export interface SegmentState extends Amounts {
  index: number;
  state: 'waiting' | 'running' | 'done' | 'failed';
  /** How often it was begun in this process. */
  attempts: number;
  /** Heap of its worker while it runs. */
  heapBytes: number;
  /** Why its last attempt failed. */
  failure: Failure | undefined;
}

/** What a run is going to do. */
interface Plan {
  segments: readonly { index: number }[];
  estimate: { rows: number };
}

type Amounts = Pick<ObjectFacts, 'rows' | 'jsonBytes' | 'bytes'>;

const NOTHING: Amounts = { rows: 0, jsonBytes: 0, bytes: 0 };

/** What is counted over a whole run, whatever its sessions. */
export interface RunCounts {
  /** The largest heap of a worker that was seen. */
  peakHeapBytes: number;
  /** Attempts beyond the first ones, over all segments. */
  retries: number;
  /** Segments that were done by this process. */
  segmentsFinishedHere: number;
  /** Uploads of dead runs that this run found and aborted. */
  abortedUploads: number;
  /** Attempts that failed, by code. */
  failures: ReadonlyMap<string, number>;
}

/** It is told what happens, and counts it; nobody else writes into its counts. */
export class RunProgress {
  readonly #failures = new Map<string, number>();
  readonly #counts: RunCounts = {
    peakHeapBytes: 0,
    retries: 0,
    segmentsFinishedHere: 0,
    abortedUploads: 0,
    failures: this.#failures,
  };
  readonly #archive: string;
  readonly #run: string;
  readonly #listener: ProgressListener | undefined;
  readonly #segments = new Map<number, SegmentState>();
  readonly #waiting = new Waiting();
  #estimatedRows = 0;
  #heapBytes = 0;
  #startedAt: number | undefined;
  #snapshotAt: Date | undefined;
  #resumed = false;
  #takenUpFrom: string | undefined;

  constructor(archive: string, run: string, listener: ProgressListener | undefined) {
    this.#archive = archive;
    this.#run = run;
    this.#listener = listener;
  }

  get counts(): Readonly<RunCounts> {
    return this.#counts;
  }

  /** When the snapshot was taken that segments are read under now; undefined without one. */
  get snapshotAt(): Date | undefined {
    return this.#snapshotAt;
  }

  /** Whether the run went on from segments that were done before. */
  get resumed(): boolean {
    return this.#resumed;
  }

  /** The host that had begun the run; undefined when it was begun here. */
  get takenUpFrom(): string | undefined {
    return this.#takenUpFrom;
  }

  /** How many segments are done, over all sessions of the run. */
  get segmentsDone(): number {
    return [...this.#segments.values()].filter(({ state }) => state === 'done').length;
  }

  /** In the order of the plan; none before there is one. */
  get segments(): readonly Readonly<SegmentState>[] {
    return [...this.#segments.values()];
  }

  /** Begins, or begins again under a new session; `done` is what is there already, by segment. */
  begin(plan: Plan, done: ReadonlyMap<number, Amounts>, snapshotAt?: Date): void {
    const before = new Map(this.#segments);
    this.#segments.clear();
    for (const { index } of plan.segments) {
      const { attempts = 0, failure } = before.get(index) ?? {};
      const amounts = done.get(index);
      const state = amounts === undefined ? 'waiting' : 'done';
      this.#segments.set(index, { index, state, attempts, heapBytes: 0, failure, ...amountsOf(amounts ?? NOTHING) });
    }
    this.#resumed ||= done.size > 0;
    this.#snapshotAt = snapshotAt;
    this.#estimatedRows = plan.estimate.rows;
    this.#startedAt ??= performance.now();
    this.#waiting.moved();
    this.#emit(false);
  }

  /** The run is one that `host` had begun. */
  tookUp(host: string): void {
    this.#takenUpFrom = host;
  }

  /** Requests to the destination that were sent again, over all threads. */
  get requestRetries(): number {
    return this.#waiting.retries;
  }

  /** For how long nothing has moved, and what is waited for. */
  get stall(): { seconds: number; waitsFor: string[] } {
    const { seconds, requests } = this.#waiting;
    return { seconds, waitsFor: requests.length > 0 ? requests : [this.#otherWait()] };
  }

  /** A request takes long, or was sent again: one of a segment, or of the run itself. */
  trouble(trouble: StoreTrouble, segment?: number): void {
    this.#waiting.tell(segment === undefined ? 'run' : `segment-${segment}`, trouble);
  }

  /** Uploads of dead runs were found and aborted. */
  swept(uploads: number): void {
    this.#counts.abortedUploads += uploads;
  }

  /** A worker was seen to have a heap of this size. */
  sawHeap(bytes: number): void {
    this.#counts.peakHeapBytes = Math.max(this.#counts.peakHeapBytes, bytes);
  }

  /** A segment is begun, or begun again; `attempt` counts from 1 in each session. */
  attempt(segment: number, attempt: number): void {
    if (attempt > 1) this.#counts.retries += 1;
    const attempts = (this.#segments.get(segment)?.attempts ?? 0) + 1;
    this.#change(segment, { state: 'running', attempts, ...NOTHING });
  }

  update(segment: number, progress: TaskProgress): void {
    // Its last words may come after it was said to be done.
    const before = this.#segments.get(segment);
    if (before?.state !== 'running') return;
    if (progress.rows !== before.rows || progress.bytes !== before.bytes) this.#waiting.moved();
    this.#change(segment, { heapBytes: progress.heapBytes, ...amountsOf(progress) });
    this.#heapBytes = progress.heapBytes;
    this.sawHeap(progress.heapBytes);
    this.#emit(false);
  }

  finish(segment: number, facts: Amounts): void {
    this.#counts.segmentsFinishedHere += 1;
    this.#waiting.forget(`segment-${segment}`);
    this.#waiting.moved();
    this.#change(segment, { state: 'done', heapBytes: 0, ...amountsOf(facts) });
    this.#emit(false);
  }

  /** An attempt failed; `isLast` says that there is no further one. */
  fail(segment: number, failure: Failure, isLast: boolean): void {
    this.#waiting.forget(`segment-${segment}`);
    this.#failures.set(failure.code, (this.#failures.get(failure.code) ?? 0) + 1);
    this.#change(segment, { state: isLast ? 'failed' : 'waiting', failure, heapBytes: 0, ...NOTHING });
  }

  /** To be called once, however the run ended; nothing is said of a run that never began. */
  end(): void {
    if (this.#startedAt !== undefined) this.#emit(true);
  }

  /** The run as it is now; undefined before there is a plan. */
  snapshot(ended = false): ProgressSnapshot | undefined {
    if (this.#startedAt === undefined) return undefined;
    const sum = { ...NOTHING };
    for (const amounts of this.#segments.values()) addTo(sum, amounts);
    return {
      archive: this.#archive,
      run: this.#run,
      segments: this.#segments.size,
      segmentsDone: this.segmentsDone,
      ...sum,
      estimatedRows: this.#estimatedRows,
      heapBytes: this.#heapBytes,
      elapsedMs: performance.now() - this.#startedAt,
      ended,
    };
  }

  /** Where no request is in trouble. */
  #otherWait(): string {
    if (this.#segments.size === 0) return 'the source: its lock, its snapshot, or the plan';
    const states = new Set([...this.#segments.values()].map(({ state }) => state));
    if (states.has('running')) return 'rows of the source';
    return states.has('waiting') ? 'a free thread, or the end of a pause' : 'the end of the run';
  }

  #change(segment: number, change: Partial<SegmentState>): void {
    const state = this.#segments.get(segment);
    if (state !== undefined) Object.assign(state, change);
  }

  #emit(ended: boolean): void {
    const snapshot = this.#listener === undefined ? undefined : this.snapshot(ended);
    if (snapshot !== undefined) this.#listener?.(snapshot);
  }
}

function amountsOf({ rows, jsonBytes, bytes }: Amounts): Amounts {
  return { rows, jsonBytes, bytes };
}

function addTo(sum: Amounts, more: Amounts): void {
  sum.rows += more.rows;
  sum.jsonBytes += more.jsonBytes;
  sum.bytes += more.bytes;
}
