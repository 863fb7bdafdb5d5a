/** Opens the pace of a run or a purge; it lives as long as that, over all its connections. */
import type { Log } from '../base/log.ts';
import type { ArchiveConfig, SourceConfig } from '../config/schema.ts';
import { Pace } from './pace.ts';

/** `source` is the database that is worked on: what is read, or what is purged. To be closed in the end. */
export function openPace(archive: ArchiveConfig, _source: SourceConfig, log: Log): Pace {
  return new Pace({ pace: archive.pace ?? {}, timezone: archive.timezone, log });
}
