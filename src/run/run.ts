/** The parts of one run that do not change while it goes on. */
import type { Log } from '../base/log.ts';
import { destinationOf, sourceOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config, DestinationConfig, SourceConfig } from '../config/schema.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import { archivePrefix } from '../ledger/names.ts';

export interface Run {
  archive: ArchiveConfig;
  /** The run id. */
  id: string;
  source: SourceConfig;
  destination: DestinationConfig;
  store: Store;
  /** URL of the archive's folder in its destination; the lock goes by it. */
  place: string;
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
    place: placeOf(store, archive.name),
    log,
    startedAt: new Date(),
  };
}

/** What the lock of an archive goes by: where it writes to, whatever the config calls it. */
export function placeOf(store: Store, archive: string): string {
  return store.url + archivePrefix(archive);
}
