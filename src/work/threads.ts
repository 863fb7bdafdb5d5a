/** The worker threads: each task runs in a heap of its own that is capped (piscina, resourceLimits). */
import path from 'node:path';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { errorText, fail, type Failure } from '../base/errors.ts';
import { formatCount } from '../base/units.ts';
import { terminateBackend } from '../postgres/cancel.ts';
import {
  WARM_UP,
  type AbortMessage,
  type FactsOf,
  type Outcome,
  type Task,
  type WorkerMessage,
} from '../segment/task.ts';
import { openStore } from '../store/open.ts';
import { FairQueue } from './fair-queue.ts';
import type { Place, TaskHooks } from './place.ts';

export interface ThreadLimits {
  threads: number;
  maxOldGenerationSizeMb: number;
  maxYoungGenerationSizeMb: number;
}

/** An idle thread is kept this long for the next task. */
const IDLE_TIMEOUT_MS = 10_000;
/** How long a worker that was asked to drop its segment may take, before its thread is ended. */
const ABORT_GRACE_MS = 15_000;

/** In the sources this is a .ts file, in the package a .js one. */
const WORKER_FILE = path.join(import.meta.dirname, `../segment/worker${path.extname(import.meta.filename)}`);

/** What is known of a task from its messages, for the clean-up when its thread dies. */
interface Trace {
  backendPid: number | undefined;
  uploadId: string | undefined;
  rows: number;
  peakHeapBytes: number;
}

export class Threads implements Place {
  readonly #piscina: Piscina<unknown, Outcome<never>>;
  readonly #queue: FairQueue;
  readonly #limits: ThreadLimits;
  /** Fails a task that no thread has taken up yet. */
  readonly #notBegun = new Set<(error: unknown) => void>();
  /** The first task waits for it, as it would start another thread otherwise. */
  #warming: Promise<unknown> | undefined;

  constructor(limits: ThreadLimits) {
    this.#limits = limits;
    this.#queue = new FairQueue(limits.threads);
    this.#piscina = new Piscina({
      filename: WORKER_FILE,
      minThreads: 0,
      maxThreads: limits.threads,
      idleTimeout: IDLE_TIMEOUT_MS,
      concurrentTasksPerWorker: 1,
      // The default freezes a worker's event loop between tasks, and with it the keep-alive of its sockets.
      atomics: 'disabled',
      resourceLimits: {
        maxOldGenerationSizeMb: limits.maxOldGenerationSizeMb,
        maxYoungGenerationSizeMb: limits.maxYoungGenerationSizeMb,
      },
    });
    // A thread that dies at work reports through the promise of its task. One that cannot even start has no task yet, and
    // those that wait for it would wait for ever.
    this.#piscina.on('error', (error: unknown) => {
      for (const fail of this.#notBegun) fail(error);
    });
  }

  get load(): { active: number; waiting: number } {
    return { active: this.#queue.active, waiting: this.#queue.waiting };
  }

  async run<T extends Task>(task: T, signal: AbortSignal, hooks: TaskHooks): Promise<Outcome<FactsOf<T>>> {
    return this.#queue.run(`${task.archive}/${task.run}`, signal, () => {
      hooks.onBegin();
      return this.#runNow(task, signal, hooks);
    });
  }

  /** Starts a thread while there is no task yet: it takes as long to load as a run to be planned. */
  warmUp(): void {
    // If it fails, so does the first task, which tells.
    this.#warming = this.#piscina.run(WARM_UP).catch(() => undefined);
  }

  async close(): Promise<void> {
    await this.#piscina.destroy();
  }

  async #runNow<T extends Task>(task: T, signal: AbortSignal, hooks: TaskHooks): Promise<Outcome<FactsOf<T>>> {
    const trace: Trace = { backendPid: undefined, uploadId: undefined, rows: 0, peakHeapBytes: 0 };
    const { port1, port2 } = new MessageChannel();
    const { promise: neverBegan, reject: failUnbegun } = Promise.withResolvers<never>();
    this.#notBegun.add(failUnbegun);
    port1.on('message', (message: WorkerMessage) => {
      this.#notBegun.delete(failUnbegun);
      follow(trace, message);
      if (message.kind === 'progress') hooks.onProgress(message);
    });
    const stop = abortInTwoSteps(port1, signal);
    try {
      const warming = this.#warming;
      this.#warming = undefined;
      await Promise.race([warming, neverBegan]);
      const running = this.#piscina.run({ task, port: port2 }, { transferList: [port2], signal: stop.killSignal });
      return await Promise.race([running, neverBegan]);
    } catch (error) {
      await cleanUpAfterDeath(task, trace);
      return { ok: false, failure: this.#deathFailure(task, trace, error), peakHeapBytes: trace.peakHeapBytes };
    } finally {
      this.#notBegun.delete(failUnbegun);
      stop.dispose();
      port1.close();
    }
  }

  #deathFailure(task: Task, trace: Trace, error: unknown): Failure {
    const { archive, run, segment } = task;
    const details = { archive, run, segment, stage: 'worker', cause: errorText(error) } as const;
    const where = placeOf(task, trace);
    if (!(error instanceof Error && Reflect.get(error, 'code') === 'ERR_WORKER_OUT_OF_MEMORY'))
      return fail('worker-died', { ...details, message: `the worker thread ended while it ${where}` }).failure;
    const heapMb = this.#limits.maxOldGenerationSizeMb;
    return fail('worker-out-of-memory', {
      ...details,
      message: `the worker ran out of its heap of ${heapMb} MiB while it ${where}`,
      hint: `A row there is too wide for this heap. Raise workers.maxOldGenerationSizeMb above ${heapMb}, or leave the wide column out with exclude or where.`,
    }).failure;
  }
}

function placeOf(task: Task, { rows }: Trace): string {
  return task.kind === 'archive-segment'
    ? `read ${task.subject}, after row ${formatCount(rows)} of segment ${task.segment}`
    : `restored ${task.key} into ${task.subject}, after its line ${formatCount(rows)}`;
}

function follow(trace: Trace, message: WorkerMessage): void {
  switch (message.kind) {
    case 'backend':
      trace.backendPid = message.pid;
      break;
    case 'upload':
      trace.uploadId = message.uploadId;
      break;
    case 'progress':
      trace.rows = message.rows;
      trace.peakHeapBytes = Math.max(trace.peakHeapBytes, message.heapBytes);
      break;
  }
}

/** Asks the worker first, so that it can abort its upload; ends the thread only when it does not answer in time. */
function abortInTwoSteps(port: MessagePort, signal: AbortSignal): { killSignal: AbortSignal; dispose: () => void } {
  const kill = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const ask = (): void => {
    port.postMessage({ kind: 'abort', reason: errorText(signal.reason) } satisfies AbortMessage);
    timer = setTimeout(() => {
      kill.abort();
    }, ABORT_GRACE_MS);
  };
  if (signal.aborted) ask();
  else signal.addEventListener('abort', ask, { once: true });
  return {
    killSignal: kill.signal,
    dispose: () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', ask);
    },
  };
}

/** A thread that died could clean up nothing: its query is stopped and its upload aborted from here. Best effort. */
async function cleanUpAfterDeath(task: Task, trace: Trace): Promise<void> {
  const database = task.kind === 'archive-segment' ? task.source : task.target;
  if (trace.backendPid !== undefined) await terminateBackend(database, trace.backendPid);
  const store = openStore(task.destination);
  try {
    if (trace.uploadId !== undefined) await store.abortUpload(task.key, trace.uploadId);
  } catch {
    // What could not be aborted now is found by the sweep at the next start.
  } finally {
    store.close();
  }
}
