/**
 * Which unfinished runs a daemon goes on with by itself: those that its config could have made. Whoever can write to the
 * destination can put a plan there; that alone must not make the source be read.
 */
import { FailureError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { WindowCalendar } from '../calendar/windows.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import { parseRunId } from '../ledger/run-id.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import type { WindowOption } from '../run/window.ts';
import type { Store } from '../store/store.ts';
import type { History } from './history/history.ts';
import type { Schedule } from './slots/schedule.ts';

/** What this host knows of its runs by itself, without a word of the destination. */
export interface KnownRuns {
  schedule: Pick<Schedule, 'slotsOf'>;
  history: Pick<History, 'hasStarted'>;
}

/** Another host's clock may be ahead of ours by so much. */
const CLOCK_TOLERANCE_MS = 60_000;
const MOST_NAMED = 10;

/** Chooses from an archive's unfinished runs those that are ours; the others are left, and named in one line. */
export async function chooseOwnRuns(
  known: KnownRuns,
  store: Store,
  archive: ArchiveConfig,
  unfinished: readonly string[],
  log: Log,
): Promise<string[]> {
  const own: string[] = [];
  for (const run of unfinished)
    if (isKnown(known, archive, run) || (await isSignedByUs(store, archive.name, run))) own.push(run);
  const others = unfinished.filter((run) => !own.includes(run));
  if (others.length > 0)
    log.warn(
      { archive: archive.name, runs: others.slice(0, MOST_NAMED), count: others.length },
      'unfinished runs are left as they are, as nothing says that they are ours: each is no slot of the schedule, was not begun by this host, and is not signed; `pgsluice run --run-id` goes on with one',
    );
  return own;
}

function isKnown({ schedule, history }: KnownRuns, archive: ArchiveConfig, run: string): boolean {
  const { name, window } = archive;
  if (history.hasStarted(name, run)) return true;
  return window === undefined ? isSlot(schedule, name, run) : beginsWindow({ ...archive, window }, run);
}

/**
 * Whether a window that is over begins at the time of the run, whatever the type of its column. Which partitions there are, only
 * the source says: the next slot makes what it lacks.
 */
function beginsWindow({ window, timezone }: ArchiveConfig & { window: WindowOption }, run: string): boolean {
  const { every } = window;
  if (every === 'partition') return false;
  const startMs = parseRunId(run).getTime();
  return (['timestamptz', 'timestamp'] as const).some((kind) => {
    const stretch = new WindowCalendar(kind, every, timezone).startingAt(startMs);
    return stretch !== undefined && stretch.fromMs <= Date.now() + CLOCK_TOLERANCE_MS;
  });
}

/** Whether the run is one that the schedule has made by now, on whatever host. */
function isSlot(schedule: KnownRuns['schedule'], archive: string, run: string): boolean {
  const time = parseRunId(run);
  if (time.getTime() > Date.now() + CLOCK_TOLERANCE_MS) return false;
  const justBefore = new Date(time.getTime() - 1);
  return (schedule.slotsOf(archive)?.between(justBefore, time, 1).length ?? 0) > 0;
}

/** Whether one who holds a trusted key has planned it. A plan that cannot be believed says nothing. */
async function isSignedByUs(store: Store, archive: string, run: string): Promise<boolean> {
  const { signing } = store;
  if (signing === undefined || signing.trust.size === 0 || signing.allowUnsigned) return false;
  try {
    return (await new RunFolder(store, archive, run).owner()) !== undefined;
  } catch (error) {
    if (error instanceof FailureError && !error.failure.transient) return false;
    throw error;
  }
}
