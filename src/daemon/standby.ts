/**
 * Waits for runs that other hosts have: until a lock is free, or, where it is of another server, until a journal changes no
 * more. That costs a source one connection and one statement, however many archives wait, and no place among the runs.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { toFailure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { archiveNamed, destinationOf, sourceOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config, SourceConfig } from '../config/schema.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import { LIVENESS } from '../run/liveness.ts';
import { LockWatch } from '../run/lock-watch.ts';
import { lockTargetOf } from '../run/run.ts';
import { openStore } from '../store/open.ts';
import type { StandbyWait } from './run-board.ts';

export interface StandbyParts {
  log: Log;
  /** A paused archive is taken up by no schedule, and not by a standby. */
  isPaused: (archive: string) => boolean;
  /** The one in force. */
  config: () => Config;
}

/** One that waits for a lock. */
interface Waiter {
  archive: string;
  folderUrl: string;
  onHolder: (host: string) => void;
  free: () => void;
  /** Whether the config still means the same lock. */
  isCurrent: () => boolean;
}

export class Standby {
  readonly #parts: StandbyParts;
  /** By the URL of the source. */
  readonly #lines = new Map<string, LockLine>();

  constructor(parts: StandbyParts) {
    this.#parts = parts;
  }

  /** Resolves when the run may be free. Rejects with the signal's reason. */
  async wait(wait: StandbyWait, signal: AbortSignal): Promise<void> {
    const { archive, run, failure } = wait;
    const { log } = this.#parts;
    log.info(
      { archive: archive.name, run, holder: failure.host },
      'stands by: the run is taken up if its host is gone',
    );
    // The stage says whose word it is: the lock's, or the journal's.
    if (failure.code === 'locked' && failure.stage === 'journal') await this.#watchJournal(wait, signal);
    else await this.#watchLock(wait, signal);
    signal.throwIfAborted();
  }

  async #watchLock(wait: StandbyWait, signal: AbortSignal): Promise<void> {
    const { archive, config, onHolder } = wait;
    const store = openStore(destinationOf(config, archive), signal);
    const { source, folderUrl } = lockTargetOf(config, archive, store);
    store.close();
    const line = this.#lines.get(source.url) ?? new LockLine(source, this.#parts, () => this.#lines.delete(source.url));
    this.#lines.set(source.url, line);
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const free = (): void => {
      resolve(undefined);
    };
    const isCurrent = (): boolean => this.#isCurrent(wait);
    const waiter = { archive: archive.name, folderUrl, onHolder, free, isCurrent };
    signal.addEventListener('abort', free, { once: true });
    line.add(waiter);
    try {
      if (!signal.aborted) await promise;
    } finally {
      signal.removeEventListener('abort', free);
      line.remove(waiter);
    }
  }

  /** Its host gives signs of life more often than we look. What has ended or is committed changes no more either. */
  async #watchJournal(wait: StandbyWait, signal: AbortSignal): Promise<void> {
    const { archive } = wait;
    let before = await this.#journalOf(wait, signal);
    for (;;) {
      await sleep(LIVENESS.journalLookMs, undefined, { signal });
      const now = await this.#journalOf(wait, signal);
      if (!this.#isCurrent(wait)) return;
      if (now !== undefined && now === before && !this.#parts.isPaused(archive.name)) return;
      before = now;
    }
  }

  /** After a reload that changed where the run reads from or writes to, it is tried under the new config. */
  #isCurrent({ archive: { name }, config: before }: StandbyWait): boolean {
    const config = this.#parts.config();
    const archive = archiveNamed(config, name);
    return archive !== undefined && placesOf(config, archive) === placesOf(before, archive);
  }

  /** Undefined when the destination does not answer. */
  async #journalOf({ archive, config, run }: StandbyWait, signal: AbortSignal): Promise<string | undefined> {
    const store = openStore(destinationOf(config, archive), signal);
    try {
      return await new RunFolder(store, archive.name, run).journalDigest();
    } catch {
      return undefined;
    } finally {
      store.close();
    }
  }
}

function placesOf(config: Config, { name }: ArchiveConfig): string {
  const archive = archiveNamed(config, name);
  return archive === undefined
    ? ''
    : JSON.stringify([sourceOf(config, archive), destinationOf(config, archive).location]);
}

/** All that wait for locks of one source. */
class LockLine {
  readonly #watch: LockWatch;
  readonly #parts: StandbyParts;
  readonly #onEmpty: () => void;
  readonly #waiters = new Set<Waiter>();
  readonly #stop = new AbortController();
  #isTroubled = false;

  constructor(source: SourceConfig, parts: StandbyParts, onEmpty: () => void) {
    this.#watch = new LockWatch(source);
    this.#parts = parts;
    this.#onEmpty = onEmpty;
    void this.#look();
  }

  add(waiter: Waiter): void {
    this.#waiters.add(waiter);
  }

  /** The last one takes the connection with it. */
  remove(waiter: Waiter): void {
    this.#waiters.delete(waiter);
    if (this.#waiters.size > 0) return;
    this.#onEmpty();
    this.#stop.abort();
  }

  async #look(): Promise<void> {
    const { signal } = this.#stop;
    const isOver = (): boolean => signal.aborted;
    while (!isOver()) {
      await sleep(LIVENESS.lockLookMs, undefined, { signal }).catch(() => undefined);
      if (isOver()) break;
      await this.#ask();
      for (const waiter of this.#waiters) if (!waiter.isCurrent()) waiter.free();
    }
    await this.#watch.close();
  }

  async #ask(): Promise<void> {
    const asked = [...this.#waiters];
    try {
      const holders = await this.#watch.holders(asked.map(({ folderUrl }) => folderUrl));
      this.#isTroubled = false;
      for (const waiter of asked) {
        const holder = holders.get(waiter.folderUrl);
        if (holder !== undefined && holder !== '') waiter.onHolder(holder);
        if (holder === undefined && !this.#parts.isPaused(waiter.archive)) waiter.free();
      }
    } catch (error) {
      if (!this.#isTroubled)
        this.#parts.log.warn(
          { failure: toFailure(error, 'lock') },
          'a source does not say whose its locks are; it is asked again',
        );
      this.#isTroubled = true;
    }
  }
}
