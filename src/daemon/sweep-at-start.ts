/** At the start of the daemon: finds multipart uploads that a killed process left behind, and aborts them. */
import { toFailure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { destinationOf, sourceOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { endConnection } from '../postgres/connect.ts';
import { openLock } from '../run/session.ts';
import { archivePrefix } from '../run/keys.ts';
import { sweepUploads } from '../run/sweep.ts';
import { openStore } from '../store/open.ts';

/** Sweeps each archive under its lock, so that what another host is uploading right now is left alone. Never throws. */
export async function sweepAtStart(config: Config, log: Log): Promise<void> {
  for (const archive of Object.values(config.archives)) {
    try {
      await sweepArchive(config, archive, log);
    } catch (error) {
      const failure = toFailure(error, 'lock');
      if (failure.code === 'locked')
        log.info({ archive: archive.name }, 'unfinished uploads are not looked for: a run of the archive is on');
      else
        log.warn(
          { archive: archive.name, failure },
          'unfinished uploads could not be looked for; the next run does it',
        );
    }
  }
}

async function sweepArchive(config: Config, archive: ArchiveConfig, log: Log): Promise<void> {
  const store = openStore(destinationOf(config, archive));
  try {
    const client = await openLock(sourceOf(config, archive), archive.name, store.url + archivePrefix(archive.name));
    try {
      await sweepUploads(store, archive.name, log);
    } finally {
      await endConnection(client);
    }
  } finally {
    store.close();
  }
}
