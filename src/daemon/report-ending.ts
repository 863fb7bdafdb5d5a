/** The one place where a run that ended is kept, counted and reported; its line of the log has been written. */
import type { Alarms } from './alarms/alarms.ts';
import type { History } from './history/history.ts';
import type { PurgeEnding } from './purge-ending.ts';
import type { Purges } from './purges.ts';
import type { EndingDetails } from './run-board.ts';
import type { RunEnding } from './run-ending.ts';
import type { DueRuns } from './slots/due-runs.ts';
import type { Standings } from './slots/standings.ts';
import type { Live } from './view/live.ts';
import type { Metrics } from './view/metrics.ts';

export interface Reporters {
  history: History;
  live: Live;
  standings: Standings;
  metrics: Metrics;
  alarms: Alarms;
  due: DueRuns;
}

export function reportEnding(to: Reporters, ending: RunEnding, details: EndingDetails): void {
  const { archive, run } = ending;
  const before = to.standings.of(archive);
  const wasFailing = before?.health === 'failing';
  const isRepeated = wasFailing && before.lastFailure?.run === run;
  const settledUntil = to.standings.settledUntil(archive);
  to.history.add(ending);
  to.live.ended(details.progress);
  to.standings.ended(ending);
  to.metrics.ended(ending, details);
  to.alarms.ended(ending, wasFailing, isRepeated);
  to.due.ended(ending, details.failure, settledUntil);
}

/** The same of a purge. */
export function reportPurge(
  to: Pick<Reporters, 'history' | 'metrics' | 'alarms'> & { purges: Purges },
  ending: PurgeEnding,
): void {
  to.history.addPurge(ending);
  to.purges.ended(ending);
  to.metrics.purged(ending);
  to.alarms.purged(ending);
}
