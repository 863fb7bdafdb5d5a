/** The worker threads: each task runs in a heap of its own that is capped (piscina, resourceLimits). */
import { once } from 'node:events';
import { MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { ownModule } from '../base/own-files.ts';
import { giveBackFreed } from '../base/process-memory.ts';
import { bindTask } from '../segment/binding.ts';
import { LET_GO, WARM_UP, type OfAPool, type ThreadUse, type WorkerInput } from '../segment/messages.ts';
import type { FactsOf, Outcome, Task } from '../segment/task.ts';
import type { Bindings } from './bindings.ts';
import { Conversation } from './conversation.ts';
import { FairQueue } from './fair-queue.ts';
import type { Place, TaskHooks } from './place.ts';
import { cleanUpAfterDeath, deathFailure } from './thread-death.ts';

export interface ThreadLimits {
  threads: number;
  maxOldGenerationSizeMb: number;
  maxYoungGenerationSizeMb: number;
}

/** How tasks come to threads. */
export interface ThreadChoices {
  /** Whether a segment without rows is done in the main thread where no thread is there yet: the start of one takes longer. */
  doesEmptyHere?: boolean;
  /** By default they archive. */
  use?: ThreadUse;
}

/** A segment that turns out to have more than so many bytes of lines is no empty one. No request was sent for it by then. */
const EMPTY_BYTES = 1024 ** 2;

/** An idle thread is kept this long for the next task. */
const IDLE_TIMEOUT_MS = 10_000;
/** Those of V8's young generation. */
const YOUNG_SPACES = 3;
/** Threads that are to be ended have this long to close what they keep. */
const FAREWELL_MS = 1000;

/**
 * What V8 is to be told so that it keeps within `mostMb`: it makes the young generation of three spaces of one size, which it rounds up to a
 * power of two. Of 16 it would make 24.
 */
export function youngGenerationMb(mostMb: number): number {
  return mostMb < YOUNG_SPACES ? mostMb : YOUNG_SPACES * 2 ** Math.floor(Math.log2(mostMb / YOUNG_SPACES));
}

export class Threads implements Place {
  readonly #piscina: Piscina<unknown, Outcome<never>>;
  readonly #queue: FairQueue;
  readonly #limits: ThreadLimits;
  readonly #choices: ThreadChoices;
  readonly #bindings: Bindings;
  /** One to each thread that has loaded. */
  readonly #ports = new Set<MessagePort>();
  /** Fails a task that no thread has taken up yet. */
  readonly #notBegun = new Set<(error: unknown) => void>();
  /** The first task waits for it, as it would start another thread otherwise. */
  #warming: Promise<unknown> | undefined;

  /** No thread starts before there is work. Tasks may name any generation of the config that `bindings` has. */
  constructor(limits: ThreadLimits, bindings: Bindings, choices: ThreadChoices = {}) {
    this.#limits = limits;
    this.#choices = choices;
    this.#bindings = bindings;
    this.#queue = new FairQueue(limits.threads);
    this.#piscina = new Piscina({
      filename: ownModule('segment/worker'),
      workerData: { isOfAPool: true, use: choices.use ?? 'archive' } satisfies OfAPool,
      minThreads: 0,
      maxThreads: limits.threads,
      idleTimeout: IDLE_TIMEOUT_MS,
      concurrentTasksPerWorker: 1,
      // The default freezes a worker's event loop between tasks, and with it the keep-alive of its sockets.
      atomics: 'disabled',
      resourceLimits: {
        maxOldGenerationSizeMb: limits.maxOldGenerationSizeMb,
        maxYoungGenerationSizeMb: youngGenerationMb(limits.maxYoungGenerationSizeMb),
      },
    });
    this.#piscina.on('message', (message: unknown) => {
      if (message instanceof MessagePort) this.#keepPort(message);
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

  /** Starts a thread where there is none: while it loads, its run is made ours. */
  warmUp(): void {
    if (!this.#isCold) return;
    giveBackFreed();
    // If it fails, so does the first task, which tells.
    this.#warming = this.#piscina.run(WARM_UP).catch(() => undefined);
  }

  /** Whether there is no thread, and none to come. */
  get #isCold(): boolean {
    return this.#piscina.threads.length === 0 && this.#warming === undefined;
  }

  async close(): Promise<void> {
    await this.#letGo();
    await this.#piscina.destroy();
  }

  #keepPort(port: MessagePort): void {
    this.#ports.add(port);
    // As its thread has ended.
    port.once('close', () => this.#ports.delete(port));
    port.unref();
  }

  async #letGo(): Promise<void> {
    const late = AbortSignal.timeout(FAREWELL_MS);
    const answers = [...this.#ports].map(async (port) => {
      port.postMessage(LET_GO);
      // One that ends meanwhile keeps nothing either.
      await Promise.race([once(port, 'message', { signal: late }), once(port, 'close', { signal: late })]);
    });
    await Promise.allSettled(answers);
  }

  async #runNow<T extends Task>(task: T, signal: AbortSignal, hooks: TaskHooks): Promise<Outcome<FactsOf<T>>> {
    const isEmpty = task.kind === 'archive-segment' && task.isExpectedEmpty === true;
    const here = isEmpty && this.#choices.doesEmptyHere === true && this.#isCold;
    return (here ? await this.#runHere(task, signal, hooks) : undefined) ?? this.#runInThread(task, signal, hooks);
  }

  /** Does what a thread does, in the thread that calls. Undefined where there are rows after all, and the task is still to be done. */
  async #runHere<T extends Task>(
    task: T,
    signal: AbortSignal,
    hooks: TaskHooks,
  ): Promise<Outcome<FactsOf<T>> | undefined> {
    const { default: work } = await import('../segment/worker.ts');
    const binding = this.#bindings.of(task.generation);
    const talk = new Conversation({ binding, signal, hooks, onFirstWord: () => undefined });
    try {
      const input = { task, generations: this.#bindings.generations, port: talk.port, mostJsonBytes: EMPTY_BYTES };
      return (await work(input)) as Outcome<FactsOf<T>> | undefined;
    } finally {
      talk.close();
    }
  }

  async #runInThread<T extends Task>(task: T, signal: AbortSignal, hooks: TaskHooks): Promise<Outcome<FactsOf<T>>> {
    if (this.#isCold) giveBackFreed();
    const binding = this.#bindings.of(task.generation);
    const ends = bindTask(task, binding);
    const { promise: neverBegan, reject: failUnbegun } = Promise.withResolvers<never>();
    this.#notBegun.add(failUnbegun);
    const onFirstWord = (): void => {
      this.#notBegun.delete(failUnbegun);
    };
    const talk = new Conversation({ binding, signal, hooks, onFirstWord });
    try {
      const warming = this.#warming;
      this.#warming = undefined;
      await Promise.race([warming, neverBegan]);
      return await Promise.race([this.#handOver(task, talk), neverBegan]);
    } catch (error) {
      await cleanUpAfterDeath(task, ends, talk.trace);
      const failure = deathFailure(task, talk.trace, error, this.#limits.maxOldGenerationSizeMb);
      return { ok: false, failure, peakHeapBytes: talk.trace.peakHeapBytes };
    } finally {
      this.#notBegun.delete(failUnbegun);
      talk.close();
    }
  }

  #handOver(task: Task, { port, killSignal }: Conversation): Promise<Outcome<never>> {
    const input: WorkerInput = { task, generations: this.#bindings.generations, port };
    return this.#piscina.run(input, { transferList: [port], signal: killSignal });
  }
}
