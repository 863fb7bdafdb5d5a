/** What a windowed archive would make now: for `plan`, and for `check --online`. */
import { countOf } from '../base/units.ts';
import { NEVER } from '../base/signals.ts';
import { sourceOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { withConnection, type Client } from '../postgres/connect.ts';
import { isTable } from '../run/same-table.ts';
import { isWindowed } from '../run/subject.ts';
import { readCommitted, type DamagedRun } from './committed.ts';
import { archivedWindows, type ArchivedWindow } from './count-late.ts';
import { damagedWindows } from './damaged.ts';
import { filterOfNow } from './filter.ts';
import { openKnownRuns } from './known-runs.ts';
import { missingWindows, MOST_WINDOWS, type FoundWindow, type MissingInput } from './missing.ts';
import { openWindowSource, type WindowedArchive, type WindowSource } from './window-source.ts';

export interface WindowsLook {
  source: WindowSource;
  /** Committed runs that can be read. */
  committed: number;
  /** Those that cannot, and whose windows have nothing else. */
  damaged: DamagedRun[];
  /** Oldest first. */
  missing: FoundWindow[];
  /** Whether there are more than are listed. */
  more: boolean;
  /** A window that is old enough, and the transaction that keeps it open. */
  heldOpen: { run: string; what: string } | undefined;
  /** Rows that lie in no window; undefined when they were not counted. */
  outside: number | undefined;
  /** Windows whose latest run was made by another filter, or query, than there is now, oldest first. */
  otherFilter: ArchivedWindow[];
  /** The same of another table: the archive's was renamed, or is another one now. */
  otherTable: ArchivedWindow[];
}

/** Throws FailureError. */
export async function lookAtWindows(client: Client, config: Config, archive: WindowedArchive): Promise<WindowsLook> {
  const input = await readInput(client, config, archive);
  const { source, committed } = input;
  const archived = archivedWindows(input);
  const look: WindowsLook = {
    ...{ source, committed: committed.length, missing: [], more: false, heldOpen: undefined },
    damaged: damagedWindows(source.calendar, archive, input),
    outside: await source.countOutside(),
    otherFilter: archived.filter(
      ({ stretch, latest }) => latest !== undefined && latest.filter !== filterOfNow(archive, source, stretch),
    ),
    otherTable: archived.filter(
      ({ latest }) =>
        archive.table !== undefined && latest?.table !== undefined && !isTable(archive.table, latest.table),
    ),
  };
  const onHeldOpen = ({ run }: FoundWindow, what: string): void => {
    look.heldOpen ??= { run, what };
  };
  for await (const window of missingWindows({ ...input, onHeldOpen })) {
    look.more = look.missing.length === MOST_WINDOWS;
    if (look.more) break;
    look.missing.push(window);
  }
  return look;
}

/** What a look for windows goes by. Throws FailureError. */
export async function readInput(client: Client, config: Config, archive: WindowedArchive): Promise<MissingInput> {
  const source = await openWindowSource(client, archive);
  return { archive, source, ...(await readCommitted(config, archive, openKnownRuns(config, archive), NEVER)) };
}

/** Whether all windows that are to be there are, and whole as far as is known, by the source and the destination. False where that cannot be asked. */
export async function nothingMissing(config: Config, archive: ArchiveConfig): Promise<boolean> {
  if (!isWindowed(archive)) return false;
  try {
    const target = { url: sourceOf(config, archive).url, applicationName: `pgsluice windows ${archive.name}` };
    return await withConnection(target, async (client) => {
      const input = await readInput(client, config, archive);
      if (damagedWindows(input.source.calendar, archive, input).length > 0) return false;
      const first = await missingWindows(input).next();
      return first.done === true;
    });
  } catch {
    return false;
  }
}

/** What an operator should know of the windows besides. */
export function windowWarnings(archive: WindowedArchive, look: WindowsLook): string[] {
  const { source, heldOpen, outside } = look;
  const { column } = archive.window;
  const index =
    source.createIndex === undefined
      ? []
      : [
          `no index leads with ${column}, so that each look for rows and each window reads the whole table: ${source.createIndex}`,
        ];
  const uncounted = outside === undefined ? [`rows that lie in no window were not counted`] : [];
  const lost =
    outside === undefined || outside === 0
      ? []
      : [
          `${countOf(outside, 'row')} ${outside === 1 ? 'lies' : 'lie'} in no window (${source.outsideOf}): never archived`,
        ];
  const open = heldOpen === undefined ? [] : [`the window of run ${heldOpen.run} is held open by ${heldOpen.what}`];
  const option = archive.query === undefined ? 'where' : 'query';
  const others = [
    ...madeByAnother(archive, look, `\`${option}\``, look.otherFilter),
    ...madeByAnother(archive, look, '`table`', look.otherTable),
  ];
  return [...index, ...lost, ...uncounted, ...open, ...others, ...damageOf(look)];
}

/** Nothing is made again for that, as nobody knows which of the two was meant for what is archived. */
function madeByAnother(
  { name }: WindowedArchive,
  { source: { calendar } }: WindowsLook,
  what: string,
  windows: readonly ArchivedWindow[],
): string[] {
  const [first, last] = [windows[0], windows.at(-1)];
  if (first === undefined || last === undefined) return [];
  const [from, to] = [calendar.format(first.stretch.fromMs), calendar.format(last.stretch.toMs)];
  return [
    `another ${what} than that of now made ${countOf(windows.length, 'window')} from ${from} to ${to}; nothing is made again for that: pgsluice run ${name} --from ${from} --to ${to} --again does it`,
  ];
}

/** Runs that are named in a warning. */
const MOST_NAMED = 5;

function damageOf({ damaged }: WindowsLook): string[] {
  if (damaged.length === 0) return [];
  const named = damaged.slice(0, MOST_NAMED).map(({ run, failure }) => `${run} (${failure.code})`);
  const more = damaged.length > MOST_NAMED ? ' and more' : '';
  return [
    `${countOf(damaged.length, 'committed run')} cannot be believed, and nothing is made in their place: ${named.join(', ')}${more}`,
  ];
}
