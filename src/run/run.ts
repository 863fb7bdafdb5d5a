/** The parts of one run that do not change while it goes on. */
import type { Log } from '../base/log.ts';
import { destinationOf, sourceOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config, DestinationConfig, SourceConfig } from '../config/schema.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import { archivePrefix } from '../ledger/names.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import type { LockTarget } from './lock.ts';

export interface Run {
  archive: ArchiveConfig;
  /** The run id. */
  id: string;
  source: SourceConfig;
  destination: DestinationConfig;
  store: Store;
  /** All of the run that lies in the store. */
  folder: RunFolder;
  lock: LockTarget;
  log: Log;
  startedAt: Date;
}

/** Opens a run's destination; the caller closes `store`. */
export function openRun(config: Config, archive: ArchiveConfig, id: string, log: Log): Run {
  const destination = destinationOf(config, archive);
  const store = openStore(destination);
  return {
    archive,
    id,
    source: sourceOf(config, archive),
    destination,
    store,
    folder: new RunFolder(store, archive.name, id),
    lock: lockTargetOf(config, archive, store),
    log,
    startedAt: new Date(),
  };
}

/** What the runs of an archive lock, all over the hosts. */
export function lockTargetOf(config: Config, archive: ArchiveConfig, store: Store): LockTarget {
  const { name } = archive;
  return { source: sourceOf(config, archive), archive: name, folderUrl: store.url + archivePrefix(name) };
}
