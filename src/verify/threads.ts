/** Threads that read objects again, beside the one that asks for it. */
import { availableParallelism } from 'node:os';
import { FailureError } from '../base/errors.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import type { RunFolder } from '../ledger/run-folder.ts';
import type { ObjectToVerify } from '../segment/verify/object.ts';
import type { Problems } from '../segment/verify/problems.ts';
import type { VerifyTask } from '../segment/verify/task.ts';
import { Bindings } from '../work/bindings.ts';
import type { Threads } from '../work/threads.ts';

/** Reads one object; `segment` is its index in the manifest. As `verifyObject` does, wherever it is done. */
export type ObjectReader = (
  toVerify: ObjectToVerify & { segment: number },
  problems: Problems,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
) => Promise<void>;

/** Less JSON Lines than that for each thread: until it has started, the thread that asks has done most of it. */
const LEAST_JSON_BYTES = 64 * 1024 ** 2;

export class VerifyThreads {
  readonly #most: number;
  readonly #open: () => Promise<Threads>;
  #threads: Promise<Threads> | undefined;
  readonly #generation: number;
  readonly #archive: Pick<ArchiveConfig, 'source' | 'destination'>;
  readonly #leastJsonBytes: number;

  /** As many as the config has threads for, and the machine cores; the one that asks is among them. None starts before there is work. */
  constructor(
    config: Pick<Config, 'workers' | 'sources' | 'destinations'>,
    archive: Pick<ArchiveConfig, 'source' | 'destination'>,
    leastJsonBytes = LEAST_JSON_BYTES,
  ) {
    const { workers } = config;
    this.#most = Math.min(workers.threads, availableParallelism()) - 1;
    const bindings = new Bindings();
    this.#generation = bindings.add(config);
    this.#open = async () => {
      const { Threads } = await import('../work/threads.ts');
      const threads = new Threads({ ...workers, threads: this.#most }, bindings, { use: 'verify' });
      threads.warmUp();
      return threads;
    };
    this.#archive = archive;
    this.#leastJsonBytes = leastJsonBytes;
  }

  /** Starts what threads are worth it for so much that is to be read of a run, and returns a reader for each. */
  start({ archive, run }: Pick<RunFolder, 'archive' | 'run'>, objects: number, jsonBytes: number): ObjectReader[] {
    const worth = Math.floor(jsonBytes / this.#leastJsonBytes);
    const count = Math.max(0, Math.min(this.#most, Math.min(objects, worth) - 1));
    if (count > 0) this.#threads ??= this.#open();
    // Whoever needs one hears of it, and there may be nothing left to do by then.
    this.#threads?.catch(() => undefined);
    const { source, destination } = this.#archive;
    const common = { archive, run, attempt: 1, generation: this.#generation, source, destination };
    return Array.from({ length: count }, () => (toVerify, problems, signal, onBytes) => {
      const { segment, key, object, columns, keyColumns, windowBytes } = toVerify;
      const names = columns.map(({ name }) => ({ name }));
      const task = { ...common, segment, key, object, columns: names, keyColumns, windowBytes };
      return this.#read({ kind: 'verify-object', ...task }, problems, signal, onBytes);
    });
  }

  /** Nothing may be running any more. */
  async close(): Promise<void> {
    await (await this.#threads)?.close();
  }

  async #read(
    task: VerifyTask,
    problems: Problems,
    signal: AbortSignal,
    onBytes: (bytes: number) => void,
  ): Promise<void> {
    let seenBytes = 0;
    const seen = (bytes: number): void => {
      onBytes(bytes - seenBytes);
      seenBytes = bytes;
    };
    this.#threads ??= this.#open();
    const outcome = await (
      await this.#threads
    ).run(task, signal, {
      onBegin: () => undefined,
      onProgress: ({ bytes }) => {
        seen(bytes);
      },
    });
    signal.throwIfAborted();
    if (!outcome.ok) throw new FailureError(outcome.failure);
    const { facts } = outcome;
    seen(facts.bytes);
    problems.addAll(facts.problems, facts.furtherProblems);
  }
}
