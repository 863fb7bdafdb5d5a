/** The pace of an archive, as far as it holds for what reads its objects and not its database. */
import type { Log } from '../base/log.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import { Pace } from '../pace/pace.ts';

/** The database takes no part in it: its replicas need not be waited for. */
export function auditPace({ pace: { between, bytesPerSecond } = {}, timezone }: ArchiveConfig, log: Log): Pace {
  const limits = { ...(between && { between }), ...(bytesPerSecond && { bytesPerSecond }) };
  return new Pace({ pace: limits, timezone, log });
}
