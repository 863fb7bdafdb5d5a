/** The runs of the daemon: which are on and which wait. One run of an archive at a time; a run that waits holds nothing. */
import type { Log } from '../base/log.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import type { FairQueue } from '../run/fair-queue.ts';
import type { WorkerPool } from '../run/pool.ts';
import type { ProgressSnapshot } from '../run/progress.ts';
import { runArchive, type RunResult } from '../run/run-archive.ts';

/** What a run goes by from its start to its end, whatever is reloaded meanwhile. */
export interface Generation {
  config: Config;
  pool: WorkerPool;
  queue: FairQueue;
}

/** A run that is on, or waits for its turn. */
export interface BoardEntry {
  archive: string;
  run: string;
  state: 'waiting' | 'running';
  progress: ProgressSnapshot | undefined;
}

interface Entry extends BoardEntry {
  abort: AbortController;
  done: Promise<void>;
}

export class RunBoard {
  readonly #log: Log;
  readonly #entries = new Map<string, Entry>();
  readonly #onChange: () => void;
  readonly #drain = new AbortController();

  constructor(log: Log, onChange: () => void) {
    this.#log = log;
    this.#onChange = onChange;
  }

  get entries(): readonly BoardEntry[] {
    return [...this.#entries.values()];
  }

  /**
   * Starts a run, or lets it wait until a thread's worth of runs has ended. Returns false, and says so, when a run of
   * this archive is on already.
   */
  start(generation: Generation, archive: ArchiveConfig, run: string, reason: string): boolean {
    const other = this.#entries.get(archive.name);
    if (other !== undefined) {
      this.#log.warn(
        { archive: archive.name, run, status: 'skipped', reason, busyWith: other.run },
        'run skipped: the run before it has not ended',
      );
      return false;
    }
    const entry: Entry = {
      archive: archive.name,
      run,
      state: 'waiting',
      progress: undefined,
      abort: new AbortController(),
      done: Promise.resolve(),
    };
    this.#entries.set(archive.name, entry);
    entry.done = this.#follow(generation, archive, entry);
    this.#onChange();
    return true;
  }

  /** Resolves when no run of this archive is on or waits. */
  async idle(archive: string): Promise<void> {
    await this.#entries.get(archive)?.done;
  }

  /** Drops what waits, lets the segments that are on end, and resolves when that is so. */
  async drain(reason: Error): Promise<void> {
    this.#drain.abort(reason);
    for (const entry of this.#entries.values()) if (entry.state === 'waiting') entry.abort.abort(reason);
    await this.settled();
  }

  /** Aborts everything; resolves when it has ended. */
  async abort(reason: Error): Promise<void> {
    for (const entry of this.#entries.values()) entry.abort.abort(reason);
    await this.settled();
  }

  async settled(): Promise<void> {
    await Promise.all([...this.#entries.values()].map((entry) => entry.done));
  }

  async #follow(generation: Generation, archive: ArchiveConfig, entry: Entry): Promise<void> {
    try {
      await generation.queue.run(archive.name, entry.abort.signal, () => this.#run(generation, archive, entry));
    } catch {
      this.#log.warn(
        { archive: entry.archive, run: entry.run, status: 'skipped' },
        'run skipped: it was dropped before it began',
      );
    } finally {
      this.#entries.delete(archive.name);
      this.#onChange();
    }
  }

  async #run(generation: Generation, archive: ArchiveConfig, entry: Entry): Promise<RunResult> {
    entry.state = 'running';
    this.#onChange();
    const { config, pool } = generation;
    return runArchive(
      {
        config,
        pool,
        log: this.#log,
        signal: entry.abort.signal,
        drain: this.#drain.signal,
        onProgress: (progress) => {
          entry.progress = progress;
        },
      },
      archive,
      entry.run,
    );
  }
}
