/** A run: all of it that does not change from its begin to its end, whatever its sessions. */
import { randomUUID } from 'node:crypto';
import type { Log } from '../base/log.ts';
import { destinationOf, sourceOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config, DestinationConfig } from '../config/schema.ts';
import { archivePrefix } from '../ledger/names.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import { openPace } from '../pace/open.ts';
import type { Pace } from '../pace/pace.ts';
import type { Place } from '../work/place.ts';
import type { RunProgress } from '../work/progress.ts';
import { noteTrouble } from '../work/trouble-log.ts';
import { type ProgressListener } from '../work/progress.ts';
import type { LockTarget } from './lock.ts';
import { openSession, type Session } from './session.ts';

export interface Run {
  archive: ArchiveConfig;
  /** The run id. */
  id: string;
  /** With it begin the owners in all plans that are written for this run here. */
  owner: string;
  config: Config;
  /** Of the config, as the place knows it. */
  generation: number;
  place: Place;
  /** Over all its sessions. */
  pace: Pace;
  destination: DestinationConfig;
  /** All of the run that lies in its destination. */
  folder: RunFolder;
  log: Log;
  /** It is told what happens. */
  progress: RunProgress;
  startedAt: Date;
  /** Drops the run at once. */
  signal: AbortSignal;
  /** No segment is begun once this aborts; those in progress end. */
  drain: AbortSignal;
  /** Endings of the last try after which nothing is begun: those of another host, or of this one before a restart. */
  leaves: readonly LeftEnding[];
  /** Does what takes long and needs no place among the archives; see {@link RunOptions.aside}. */
  aside: Aside;
  /** Whether the archive is compared with its source before the commit. */
  verifySource: boolean;
  /** Takes the archive's lock, and a snapshot with it. Throws FailureError, and the signal's reason. */
  openSession: () => Promise<Session>;
  /** Closes the destination, and the pace. */
  close: () => Promise<void>;
}

/** Gives up the run's place among the archives while `work` is done, so that others can go on. */
export type Aside = <T>(work: () => Promise<T>) => Promise<T>;

export type LeftEnding = 'cancelled' | 'failed';

/** How runs of a config are to be done. */
export interface RunOptions {
  config: Config;
  generation: number;
  place: Place;
  log: Log;
  signal: AbortSignal;
  drain?: AbortSignal;
  /** Absent: whatever its last try ended as, a run is gone on with. */
  leaves?: readonly LeftEnding[];
  verifySource?: boolean;
  /** Absent: the run has no place that anybody waits for. */
  aside?: Aside;
  onProgress?: ProgressListener;
  /** How long without progress is told of; for tests. */
  stalledAfterMs?: number;
  /** Gets the run's progress, to be looked at while the run is in progress and after it. */
  onBegin?: (progress: RunProgress) => void;
}

/** Opens the destination of a run; whoever does closes it. */
export function openRun(options: RunOptions, archive: ArchiveConfig, id: string, progress: RunProgress): Run {
  const { config, generation, place, log, signal } = options;
  const destination = destinationOf(config, archive);
  const store = openStore(destination, signal, (trouble) => {
    noteTrouble(log, progress, trouble);
  });
  const lock = lockTargetOf(config, archive, store);
  const pace = openPace(archive, lock.source, log);
  progress.follow(pace.pauses);
  return {
    archive,
    id,
    owner: randomUUID(),
    config,
    generation,
    place,
    pace,
    destination,
    folder: new RunFolder(store, archive.name, id),
    log,
    progress,
    startedAt: new Date(),
    signal,
    drain: options.drain ?? new AbortController().signal,
    leaves: options.leaves ?? [],
    verifySource: options.verifySource ?? false,
    aside: options.aside ?? ((work) => work()),
    openSession: () => openSession(lock, signal),
    close: async () => {
      store.close();
      await pace.close();
    },
  };
}

/** What the runs of an archive lock, over all hosts. */
export function lockTargetOf(config: Config, archive: ArchiveConfig, store: Store): LockTarget {
  const { name } = archive;
  return { source: sourceOf(config, archive), archive: name, folderUrl: store.url + archivePrefix(name) };
}
