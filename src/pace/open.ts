/** Opens the pace of a run or a purge; it lives as long as that, over all its connections. */
import type { Log } from '../base/log.ts';
import type { ArchiveConfig, SourceConfig } from '../config/schema.ts';
import { REAL_CLOCK } from './clock.ts';
import { Pace } from './pace.ts';
import { serverGates } from './server-gates.ts';
import { SourceWatch } from './source-watch.ts';

/** `source` is the database that is worked on: what is read, or what is purged. To be closed in the end. */
export function openPace({ name, pace = {}, timezone }: ArchiveConfig, source: SourceConfig, log: Log): Pace {
  const watch = new SourceWatch({ url: source.url, applicationName: `pgsluice pace ${name}` });
  const gates = serverGates({ pace, watch, log, clock: REAL_CLOCK });
  return new Pace({ pace, timezone, log, gates: [...gates, watchGate(watch)] });
}

/** The connection is closed with the pace, after those who ask by it. */
function watchGate(watch: SourceWatch) {
  return { look: () => Promise.resolve(undefined), close: () => watch.close() };
}
