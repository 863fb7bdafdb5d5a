/** A place that runs nothing: the test says how each task ends, and when. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Failure } from '../../src/base/errors.ts';
import type { FactsOf, Outcome, Task } from '../../src/segment/task.ts';
import { FairQueue } from '../../src/work/fair-queue.ts';
import type { Place, TaskHooks } from '../../src/work/place.ts';

/** A task that was handed over and has not ended. */
interface Running {
  hooks: TaskHooks;
  end: (outcome: Outcome<never>) => void;
}

export class FakePlace implements Place {
  /** Tasks in the order in which they were handed over, as `segment.attempt`. */
  readonly begun: string[] = [];
  /** Whether a task that is to be dropped goes on until the test ends it. */
  keepDropped = false;
  readonly #running = new Map<number, Running>();
  readonly #queue: FairQueue;

  /** `room` is for how many tasks at once. */
  constructor(room = 1000) {
    this.#queue = new FairQueue(room);
  }

  get load(): { active: number; waiting: number } {
    return { active: this.#queue.active, waiting: this.#queue.waiting };
  }

  /** Segments that run, in the order in which they were begun. */
  get running(): number[] {
    return [...this.#running.keys()];
  }

  /** A task that is dropped ends as a worker's does, with a failure that says so. */
  async run<T extends Task>(task: T, signal: AbortSignal, hooks: TaskHooks): Promise<Outcome<FactsOf<T>>> {
    return this.#queue.run(task.archive, signal, () => this.#runNow(task, signal, hooks));
  }

  async #runNow(task: Task, signal: AbortSignal, hooks: TaskHooks): Promise<Outcome<never>> {
    this.begun.push(`${task.segment}.${task.attempt}`);
    hooks.onBegin();
    const { promise, resolve } = Promise.withResolvers<Outcome<never>>();
    this.#running.set(task.segment, { hooks, end: resolve });
    const drop = (): void => {
      if (!this.keepDropped) resolve(failed({ code: 'aborted', transient: false, message: 'the segment was dropped' }));
    };
    signal.addEventListener('abort', drop, { once: true });
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', drop);
      this.#running.delete(task.segment);
    }
  }

  /** Ends a segment that runs, and lets everything happen that follows from it at once. */
  async succeed(segment: number, facts: object = {}, peakHeapBytes = 0): Promise<void> {
    await this.#end(segment, { ok: true, facts: facts as never, peakHeapBytes, seconds: 0 });
  }

  async fail(segment: number, failure: Partial<Failure>): Promise<void> {
    await this.#end(segment, failed(failure));
  }

  async progress(segment: number, rows: number): Promise<void> {
    this.#of(segment).hooks.onProgress({ kind: 'progress', rows, jsonBytes: 0, bytes: 0, heapBytes: 0 });
  }

  async close(): Promise<void> {
    // There is nothing to end.
  }

  async #end(segment: number, outcome: Outcome<never>): Promise<void> {
    this.#of(segment).end(outcome);
    await settle();
  }

  #of(segment: number): Running {
    const running = this.#running.get(segment);
    if (running === undefined) throw new Error(`segment ${segment} does not run`);
    return running;
  }
}

/** Lets everything happen that needs no time, timers of 0 ms included. */
export async function settle(): Promise<void> {
  for (let turns = 0; turns < 5; turns += 1) {
    await turn();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function failed(failure: Partial<Failure>): Outcome<never> {
  const whole: Failure = {
    code: 'internal',
    stage: 'worker',
    transient: false,
    message: 'failed',
    hint: '',
    ...failure,
  };
  return { ok: false, failure: whole, peakHeapBytes: 0 };
}
