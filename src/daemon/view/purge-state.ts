/** How the purges of an archive stand, as the page, the events and `pgsluice status` show it. */
import type { Pause } from '../../pace/pauses.ts';
import type { Totals } from '../../ledger/purge.ts';
import type { PurgeEnding } from '../purge-ending.ts';
import type { PurgeStanding } from '../purges.ts';
import type { PurgeEntry } from '../run-board.ts';
import { showFailure, type ShownFailure } from '../run-ending.ts';

/** Times in ISO 8601 unless they say otherwise. */
export interface PurgeState {
  /** Runs that are due and not purged. */
  due: number;
  /** The one that has been due for longest, and since when. */
  oldestDue: { run: string; since: string } | null;
  current: PurgingRun | null;
  /** The latest one that ended. */
  last: PurgeEnding | null;
  /** Runs that are old enough and do not go by themselves, and why: some of them, and how many there are. */
  notPurgeable: (ShownFailure & { run: string })[];
  notPurgeableRuns: number;
  /** Why it could not be found out what is due; null when it could. */
  failure: ShownFailure | null;
}

export interface PurgingRun {
  /** Empty before it is known. */
  run: string;
  state: PurgeEntry['state'];
  /** Of the proof, or of the lines. */
  percent: number;
  lines: number;
  linesDone: number;
  totals: Totals | null;
  /** What is done with a partition that goes whole; null where rows are deleted. */
  step: string | null;
  elapsedSeconds: number;
  /** Why the pace lets nothing begin now; null when it goes on. */
  pause: Pause | null;
}

const MOST_SHOWN = 20;

/** Null for an archive that the daemon does not purge. */
export function describePurging(
  standing: PurgeStanding | undefined,
  entry: PurgeEntry | undefined,
  now: Date,
): PurgeState | null {
  if (standing === undefined) return null;
  const oldest = standing.due.reduce<(typeof standing.due)[number] | undefined>(
    (least, run) => (least === undefined || run.dueMs < least.dueMs ? run : least),
    undefined,
  );
  const left = notPurgeable(standing);
  return {
    due: standing.due.length,
    oldestDue: oldest === undefined ? null : { run: oldest.run, since: new Date(oldest.dueMs).toISOString() },
    current: entry === undefined ? null : describeEntry(entry, now),
    last: standing.last ?? null,
    notPurgeable: left.slice(0, MOST_SHOWN),
    notPurgeableRuns: left.length,
    failure: standing.failure ?? null,
  };
}

/** Runs that are old enough, and were refused, are damaged or are left to be purged by hand; each with the first reason. */
export function notPurgeable({ held, refused }: PurgeStanding): (ShownFailure & { run: string })[] {
  const found = held.map(({ run, failure }) => ({ run, ...showFailure(failure) }));
  for (const { run, status, problems } of refused.values()) {
    const [first] = problems;
    if (status !== 'failed' && first !== undefined) found.push({ run, ...first });
  }
  return found;
}

function describeEntry({ run, state, startedAt, proof, progress, pauses }: PurgeEntry, now: Date): PurgingRun {
  const { lines = 0, linesDone = 0, totals = null, step = null } = progress ?? {};
  const [done, all] = state === 'deleting' ? [linesDone, lines] : [proof?.bytesDone ?? 0, proof?.bytes ?? 0];
  return {
    ...{ run, state, lines, linesDone, totals, step },
    percent: all === 0 ? 0 : Math.min(100, Math.round((done / all) * 1000) / 10),
    elapsedSeconds: Math.round((now.getTime() - startedAt.getTime()) / 100) / 10,
    pause: pauses?.current ?? null,
  };
}
