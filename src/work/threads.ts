/** The worker threads: each task runs in a heap of its own that is capped (piscina, resourceLimits). */
import { Piscina } from 'piscina';
import { ownModule } from '../base/own-files.ts';
import { bindTask } from '../segment/binding.ts';
import { WARM_UP, type WorkerInput } from '../segment/messages.ts';
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

/** An idle thread is kept this long for the next task. */
const IDLE_TIMEOUT_MS = 10_000;

export class Threads implements Place {
  readonly #piscina: Piscina<unknown, Outcome<never>>;
  readonly #queue: FairQueue;
  readonly #limits: ThreadLimits;
  readonly #bindings: Bindings;
  /** Fails a task that no thread has taken up yet. */
  readonly #notBegun = new Set<(error: unknown) => void>();
  /** The first task waits for it, as it would start another thread otherwise. */
  #warming: Promise<unknown> | undefined;

  /** No thread starts before there is work. Tasks may name any generation of the config that `bindings` has. */
  constructor(limits: ThreadLimits, bindings: Bindings) {
    this.#limits = limits;
    this.#bindings = bindings;
    this.#queue = new FairQueue(limits.threads);
    this.#piscina = new Piscina({
      filename: ownModule('segment/worker'),
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
