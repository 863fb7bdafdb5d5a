/** Calls when an archive's slot comes (node-cron). The only importer of node-cron besides the config's validation. */
import { createTask, type ScheduledTask } from 'node-cron';
import { errorText } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { ArchiveConfig } from '../config/schema.ts';

/** A slot is taken up to this late, when the machine slept or was busy: a late archive is better than none. */
const LATE_TOLERANCE_MS = 3600_000;

export interface Schedules {
  /** When the archive's next slot is; undefined when it has no schedule. */
  nextSlot: (archive: string) => Date | undefined;
  stop: () => Promise<void>;
}

/** Schedules all archives that have a schedule. `onSlot` gets the slot's time, to the second, and must not throw. */
export async function startSchedules(
  archives: readonly ArchiveConfig[],
  log: Log,
  onSlot: (archive: string, slot: Date) => void,
): Promise<Schedules> {
  const tasks = new Map<string, ScheduledTask>();
  for (const archive of archives) {
    if (archive.schedule === undefined) continue;
    const task = createTask(
      archive.schedule,
      ({ date }) => {
        onSlot(archive.name, date);
      },
      {
        name: archive.name,
        timezone: archive.timezone,
        missedExecutionTolerance: LATE_TOLERANCE_MS,
        logger: cronLogger(log),
      },
    );
    task.on('execution:missed', ({ date }) => {
      log.error(
        { archive: archive.name, slot: date.toISOString() },
        'a slot was missed: the process was stopped or blocked',
      );
    });
    tasks.set(archive.name, task);
    await task.start();
  }
  return {
    nextSlot: (archive) => tasks.get(archive)?.getNextRun() ?? undefined,
    stop: async () => {
      for (const task of tasks.values()) await task.destroy();
    },
  };
}

/** What the library has to say goes into our log. */
function cronLogger(log: Log): {
  info: (text: string) => void;
  warn: (text: string) => void;
  error: (text: string | Error) => void;
  debug: (text: string | Error) => void;
} {
  return {
    info: (text) => {
      log.debug({ from: 'node-cron' }, text);
    },
    warn: (text) => {
      log.warn({ from: 'node-cron' }, text);
    },
    error: (text) => {
      log.error({ from: 'node-cron' }, errorText(text));
    },
    debug: (text) => {
      log.trace({ from: 'node-cron' }, errorText(text));
    },
  };
}
