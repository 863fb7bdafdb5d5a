/** Sends a run's tasks to the place where they are run, some at once, and tries those again that failed for a passing reason. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fail, type Failure, FailureError, toFailure } from '../base/errors.ts';
import { countOf } from '../base/units.ts';
import type { Log } from '../base/log.ts';
import { linkSignals, NEVER } from '../base/signals.ts';
import { retrying, type RetryPolicy } from '../base/retry.ts';
import type { FactsOf, Task } from '../segment/task.ts';
import type { StoreTrouble } from '../store/trouble.ts';
import type { Place, TaskHooks, TaskProgress } from './place.ts';

export interface DispatchOptions<T extends Task> {
  place: Place;
  log: Log;
  retry: RetryPolicy;
  /** Segments of this run that are worked on at once. */
  parallel: number;
  /** Drops everything. */
  signal: AbortSignal;
  /** No segment is begun, nor tried again, once this aborts; those end that run. */
  drain: AbortSignal;
  /**
   * As after a drain no segment is begun once this aborts, nor tried again; but what is left has not failed: whoever
   * dispatched goes on with it.
   */
  leave?: AbortSignal;
  /** Waits until a segment may be begun, or tried again; may throw. The signal aborts when it is not to be any more. */
  turn?: (signal: AbortSignal) => Promise<void>;
  /** Resolves once a segment in progress may pass so many bytes on. */
  grant?: TaskHooks['grant'];
  /** Makes the task of an attempt, which counts from 1; what it throws is how that attempt failed. */
  prepare?: (task: T, attempt: number) => Promise<T>;
  /** A segment is handed over; `attempt` counts from 1. */
  onAttempt: (segment: number, attempt: number) => void;
  onProgress: (segment: number, progress: TaskProgress) => void;
  /** A request of a segment takes long, or was sent again. */
  onTrouble?: (segment: number, trouble: StoreTrouble) => void;
  /** An attempt failed; unless `isLast`, it is tried again. */
  onFailed: (segment: number, failure: Failure, isLast: boolean) => void;
  /** Failures that no further attempt can mend as things are; whoever dispatched knows what can. */
  endsRetries?: (failure: Failure) => boolean;
  /** Called for each finished segment, before the next one takes its place. */
  onFinished: (task: T, facts: FactsOf<T>) => Promise<void>;
}

/** What the tasks took, over all segments of a run. */
export interface DispatchSummary {
  peakHeapBytes: number;
  /** Whether segments are left, as `leave` has aborted; and why one of them failed that would have been tried again. */
  isLeft?: true;
  leftFailure?: Failure;
}

/** Tasks in their order; they may be made as they are asked for. `length` is how many there are, or at most. */
export type Tasks<T> = (Iterable<T, undefined> | AsyncIterable<T, undefined>) & { readonly length: number };

/** Runs all tasks, or leaves some. Throws the first failure that is not to be retried, once no segment runs any more. */
export async function dispatchTasks<T extends Task>(
  tasks: Tasks<T>,
  options: DispatchOptions<T>,
): Promise<DispatchSummary> {
  const summary: DispatchSummary = { peakHeapBytes: 0 };
  const { drain, leave = NEVER } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const waiting = Symbol.asyncIterator in tasks ? tasks[Symbol.asyncIterator]() : tasks[Symbol.iterator]();
  const takeNext = async (): Promise<T | undefined> => (await waiting.next()).value;
  let [isOver, taken, finished] = [false, 0, 0];
  const work = async (): Promise<void> => {
    while (!signal.aborted && !drain.aborted && !leave.aborted) {
      try {
        const task = await takeNext();
        isOver ||= task === undefined;
        if (task === undefined) return;
        taken += 1;
        await options.onFinished(task, await runWithRetries(task, { ...options, signal }, summary));
        finished += 1;
      } catch (error) {
        // A segment that one of them found waiting has not failed.
        if (error !== drain.reason && error !== leave.reason) stop.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.parallel, tasks.length) }, work));
  // Only the first failure became the reason; the others followed from it.
  stop.signal.throwIfAborted();
  options.signal.throwIfAborted();
  if (finished === taken && (isOver || finished >= tasks.length)) return summary;
  if (!leave.aborted || drain.aborted) throw drained(tasks.length - finished);
  return { ...summary, isLeft: true };
}

async function runWithRetries<T extends Task>(
  task: T,
  options: DispatchOptions<T>,
  summary: DispatchSummary,
): Promise<FactsOf<T>> {
  const { retry, signal, drain, leave = NEVER } = options;
  let last: FailureError | undefined;
  try {
    // They end the pause, and then nothing is begun any more.
    return await retrying(
      retry,
      AbortSignal.any([signal, drain, leave]),
      (attempt) => attemptTask(task, attempt, options, summary),
      (error, attempt, isLastAttempt) => {
        signal.throwIfAborted();
        if (error === drain.reason || error === leave.reason) return false;
        const failure = toFailure(error, 'worker');
        last = new FailureError(failure);
        const isLeft = leave.aborted && !drain.aborted;
        if (isLeft) summary.leftFailure = failure;
        const isLast = (isLastAttempt && !isLeft) || !failure.transient || options.endsRetries?.(failure) === true;
        options.onFailed(task.segment, failure, isLast);
        if (isLast) throw new FailureError(afterAttempts(failure, attempt));
        options.log.warn({ failure, attempt, attempts: retry.attempts }, 'segment failed, it is tried again');
        return true;
      },
    );
  } catch (error) {
    signal.throwIfAborted();
    throw last !== undefined && error === drain.reason ? last : error;
  }
}

/** A host that is lost has not tried: so often the segment is given to another one within the same attempt. */
const UNCOUNTED = 3;
/** After a host has refused a segment, so long goes by before it is offered again. */
const REFUSED_MS = 2000;

/** As {@link attemptOnce}; what was lost with its host, or refused by it once it was begun, is tried again without counting. */
async function attemptTask<T extends Task>(
  task: T,
  attempt: number,
  options: DispatchOptions<T>,
  summary: DispatchSummary,
): Promise<FactsOf<T>> {
  for (let [before, lost] = [0, 0]; ; before += 1) {
    try {
      return await attemptOnce(task, attempt, before, options, summary);
    } catch (error) {
      if (!(error instanceof FailureError) || isOver(options)) throw error;
      const { failure } = error;
      const isRefused = failure.code === 'host-differs';
      if (!isRefused && (failure.code !== 'host-lost' || lost === UNCOUNTED)) throw error;
      options.onFailed(task.segment, failure, false);
      if (isRefused) {
        await pauseAfterRefusal(options);
        if (isOver(options)) throw error;
        continue;
      }
      lost += 1;
      options.log.warn({ failure, lost }, 'a host is lost, its segment is given to another one');
    }
  }
}

async function pauseAfterRefusal<T extends Task>({ retry, signal, drain, leave = NEVER }: DispatchOptions<T>) {
  const over = AbortSignal.any([signal, drain, leave]);
  await (retry.clock?.pause(REFUSED_MS, over) ?? sleep(REFUSED_MS, undefined, { signal: over }).catch(() => undefined));
}

/** Whether nothing is to be begun any more. */
function isOver({ signal, drain, leave = NEVER }: Pick<DispatchOptions<Task>, 'signal' | 'drain' | 'leave'>): boolean {
  return signal.aborted || drain.aborted || leave.aborted;
}

/** Throws the failure of an outcome that is one, and the drain's reason when it comes while the task waits for its turn. */
async function attemptOnce<T extends Task>(
  task: T,
  attempt: number,
  before: number,
  { place, signal, drain, leave = NEVER, turn, grant, prepare, onProgress, onTrouble, onAttempt }: DispatchOptions<T>,
  summary: DispatchSummary,
): Promise<FactsOf<T>> {
  const waiting = linkSignals([drain, leave]);
  try {
    const whileWaiting = AbortSignal.any([signal, waiting.signal]);
    await turn?.(whileWaiting);
    const prepared = (await prepare?.(task, attempt + before)) ?? task;
    const outcome = await place.run({ ...prepared, attempt }, whileWaiting, {
      onBegin: () => {
        waiting.release();
        onAttempt(task.segment, attempt + before);
      },
      onProgress: (progress) => {
        onProgress(task.segment, progress);
      },
      onTrouble: (trouble) => {
        onTrouble?.(task.segment, trouble);
      },
      ...(grant === undefined ? {} : { grant }),
    });
    summary.peakHeapBytes = Math.max(summary.peakHeapBytes, outcome.peakHeapBytes);
    if (outcome.ok) return outcome.facts;
    // It was begun at the very moment when nothing was to be begun any more, and dropped again.
    if (outcome.failure.code === 'aborted' && waiting.signal.aborted && !signal.aborted) throw waiting.signal.reason;
    throw new FailureError(outcome.failure);
  } finally {
    waiting.release();
  }
}

function afterAttempts(failure: Failure, attempt: number): Failure {
  return attempt === 1 ? failure : { ...failure, message: `${failure.message} (after ${attempt} attempts)` };
}

function drained(segments: number): FailureError {
  return fail('drained', {
    stage: 'worker',
    message: `the run was stopped with ${countOf(segments, 'segment')} still to do`,
  });
}
