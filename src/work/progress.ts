/** How far a run is: segment by segment, and summed over them. */
import type { Failure } from '../base/errors.ts';
import type { Pause, Pauses } from '../pace/pauses.ts';
import type { StoreTrouble } from '../store/trouble.ts';
import type { TaskProgress } from './place.ts';
import { SegmentTable, type Amounts } from './segment-table.ts';
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
  /** Why nothing begins now; null while nothing holds the run up. */
  pause: string | null;
  ended: boolean;
}

export type ProgressListener = (snapshot: ProgressSnapshot) => void;

/** What is there already, by segment. */
interface Done extends Iterable<[segment: number, amounts: Amounts]> {
  readonly size: number;
}

/** What a run is going to do. */
interface Plan {
  /** Numbered from 0. */
  segments: { readonly length: number };
  /** How many of them are to be done; absent for all. */
  count?: number;
  estimate: { rows: number };
}

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
  #segments = new SegmentTable(0);
  /** Those of them that are to be done. */
  #count = 0;
  readonly #waiting = new Waiting();
  #estimatedRows = 0;
  #heapBytes = 0;
  #startedAt: number | undefined;
  #snapshotAt: Date | undefined;
  #pauses: Pauses | undefined;
  #resumed = false;
  #takenUpFrom: string | undefined;
  #headSha256: string | undefined;

  constructor(archive: string, run: string, listener: ProgressListener | undefined) {
    this.#archive = archive;
    this.#run = run;
    this.#listener = listener;
  }

  get counts(): Readonly<RunCounts> {
    return this.#counts;
  }

  /** When the snapshot was taken that is held now; undefined without one. */
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

  /** Digest of the manifest that this run was committed with: the head of the archive's chain then. */
  get headSha256(): string | undefined {
    return this.#headSha256;
  }

  becameHead(sha256: string): void {
    this.#headSha256 = sha256;
  }

  /** How many segments are done, over all sessions of the run. */
  get segmentsDone(): number {
    return this.#segments.count('done');
  }

  /** Those of the plan; none before there is one. */
  get segments(): Pick<SegmentTable, 'length' | 'from' | 'in' | 'troubled'> {
    return this.#segments;
  }

  /** Begins, or begins again under a new session; `done` is what is there already, by segment. */
  begin(plan: Plan, done: Done): void {
    this.#segments = new SegmentTable(plan.segments.length, this.#segments);
    this.#count = plan.count ?? plan.segments.length;
    for (const [index, amounts] of done) this.wasDone(index, amounts);
    this.#resumed ||= done.size > 0;
    this.#estimatedRows = plan.estimate.rows;
    this.#startedAt ??= performance.now();
    this.#waiting.moved();
    this.#emit(false);
  }

  /** Takes in what holds the run up, from its begin to its end. */
  follow(pauses: Pauses): void {
    this.#pauses = pauses;
    pauses.watch(() => {
      this.#waiting.moved();
      this.#emit(false);
    });
  }

  /** The pause by the archive's pace that lasts now. */
  get pause(): Pause | undefined {
    return this.#pauses?.current;
  }

  /** All pauses by the archive's pace so far, the one that lasts included. */
  get pauses(): Pick<Pauses, 'totalMs' | 'totalMsOf'> | undefined {
    return this.#pauses;
  }

  tookSnapshot(at: Date): void {
    this.#snapshotAt = at;
  }

  /** With its session. */
  letSnapshotGo(): void {
    this.#snapshotAt = undefined;
  }

  /** A segment is there already. */
  wasDone(segment: number, facts: Amounts): void {
    this.#segments.change(segment, { state: 'done', ...amountsOf(facts) });
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
    // What is in progress in a pause moves, or does not.
    if (this.pause !== undefined && this.#segments.count('running') === 0) return { seconds: 0, waitsFor: [] };
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
    this.#segments.change(segment, { state: 'running', attempts, ...NOTHING });
  }

  update(segment: number, progress: TaskProgress): void {
    // Its last words may come after it was said to be done.
    const before = this.#segments.get(segment);
    if (before?.state !== 'running') return;
    if (progress.rows !== before.rows || progress.bytes !== before.bytes) this.#waiting.moved();
    this.#segments.change(segment, { heapBytes: progress.heapBytes, ...amountsOf(progress) });
    this.#heapBytes = progress.heapBytes;
    this.sawHeap(progress.heapBytes);
    this.#emit(false);
  }

  finish(segment: number, facts: Amounts): void {
    this.#counts.segmentsFinishedHere += 1;
    this.#waiting.forget(`segment-${segment}`);
    this.#waiting.moved();
    this.#segments.change(segment, { state: 'done', heapBytes: 0, ...amountsOf(facts) });
    this.#emit(false);
  }

  /** An attempt failed; `isLast` says that there is no further one. */
  fail(segment: number, failure: Failure, isLast: boolean): void {
    this.#waiting.forget(`segment-${segment}`);
    this.#failures.set(failure.code, (this.#failures.get(failure.code) ?? 0) + 1);
    this.#segments.change(segment, { state: isLast ? 'failed' : 'waiting', failure, heapBytes: 0, ...NOTHING });
  }

  /** To be called once, however the run ended; nothing is said of a run that never began. */
  end(): void {
    if (this.#startedAt !== undefined) this.#emit(true);
  }

  /** The run as it is now; undefined before there is a plan, unless it is held up. */
  snapshot(ended = false): ProgressSnapshot | undefined {
    if (this.#startedAt === undefined && this.pause === undefined) return undefined;
    return {
      archive: this.#archive,
      run: this.#run,
      segments: this.#count,
      segmentsDone: this.segmentsDone,
      ...this.#segments.sums,
      estimatedRows: this.#estimatedRows,
      heapBytes: this.#heapBytes,
      elapsedMs: this.#startedAt === undefined ? 0 : performance.now() - this.#startedAt,
      pause: this.pause?.message ?? null,
      ended,
    };
  }

  /** Where no request is in trouble. */
  #otherWait(): string {
    if (this.#segments.length === 0) return 'the source: its lock, its snapshot, or the plan';
    if (this.#segments.count('running') > 0) return 'rows of the source';
    return this.#segments.count('waiting') > 0 ? 'a free thread, or the end of a pause' : 'the end of the run';
  }

  #emit(ended: boolean): void {
    const snapshot = this.#listener === undefined ? undefined : this.snapshot(ended);
    if (snapshot !== undefined) this.#listener?.(snapshot);
  }
}

function amountsOf({ rows, jsonBytes, bytes }: Amounts): Amounts {
  return { rows, jsonBytes, bytes };
}
