/** At the start of the daemon: runs that a stopped or killed process left unfinished are taken up, and its uploads aborted. */
import { toFailure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { destinationOf, sourceOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { endConnection } from '../postgres/connect.ts';
import { findUnfinished } from '../run/history.ts';
import { placeOf } from '../run/run.ts';
import { openLock } from '../run/session.ts';
import { sweepUploads } from '../run/sweep.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';

/**
 * Run ids of the archive that were begun and not committed, oldest first. When there is none, its unfinished uploads are
 * swept now; else the run that is taken up does it. Never throws: what could not be looked at is logged.
 */
export async function lookForLeftovers(config: Config, archive: ArchiveConfig, log: Log): Promise<string[]> {
  const store = openStore(destinationOf(config, archive));
  try {
    const unfinished = await findUnfinished(store, archive.name);
    if (unfinished.length === 0) await sweepUnderLock(config, archive, store, log);
    return unfinished;
  } catch (error) {
    const failure = toFailure(error, 'lock');
    if (failure.code === 'locked')
      log.info({ archive: archive.name }, 'nothing is taken up: a run of the archive is on elsewhere');
    else
      log.warn(
        { archive: archive.name, failure },
        'unfinished runs and uploads could not be looked for; the next run does it',
      );
    return [];
  } finally {
    store.close();
  }
}

/** Under the archive's lock, so that what another host is uploading right now is left alone. */
async function sweepUnderLock(config: Config, archive: ArchiveConfig, store: Store, log: Log): Promise<void> {
  const client = await openLock(sourceOf(config, archive), archive.name, placeOf(store, archive.name));
  try {
    await sweepUploads(store, archive.name, log);
  } finally {
    await endConnection(client);
  }
}
