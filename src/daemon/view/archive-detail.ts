/** What the page of one archive has beside its state: its config, its next slots, and the commands for it. */
import { shellWord } from '../../base/shell-word.ts';
import { SERVICE_SOCKET } from '../../config/control-socket.ts';
import { archiveNamed } from '../../config/resolve.ts';
import type { ArchiveConfig, Config } from '../../config/schema.ts';
import { showArchive } from '../../config/show.ts';
import type { Standing } from '../slots/standings.ts';
import type { StateParts } from './state.ts';

export interface ArchiveDetail {
  name: string;
  /** YAML, with all defaults and without secrets. */
  config: string;
  /** The next times of its schedule, in ISO 8601; also of one that is paused. */
  nextSlots: string[];
  commands: Command[];
}

/** A command as it is typed on the host of the daemon. */
export interface Command {
  does: string;
  command: string;
}

const MOST_SLOTS = 5;
const SERVICE_CONFIG = '/etc/pgsluice/pgsluice.yaml';

type Parts = Pick<StateParts, 'generation' | 'schedule' | 'standings' | 'board'> & { configFile: string };

/** Undefined when the config has no archive of this name. */
export function describeArchive(parts: Parts, name: string, now = new Date()): ArchiveDetail | undefined {
  const { config } = parts.generation;
  const archive = archiveNamed(config, name);
  if (archive === undefined) return undefined;
  return {
    name,
    config: showArchive(config, archive),
    nextSlots: nextSlots(parts, name, now),
    commands: commandsFor(parts, config, archive),
  };
}

function nextSlots({ schedule }: Parts, name: string, now: Date): string[] {
  const slots = schedule.slotsOf(name);
  const found: string[] = [];
  for (let next = slots?.next(now); next !== undefined && found.length < MOST_SLOTS; next = slots?.next(next))
    found.push(next.toISOString());
  return found;
}

function commandsFor(parts: Parts, config: Config, archive: ArchiveConfig): Command[] {
  const { name } = archive;
  const standing = parts.standings.of(name);
  const isService = config.control === SERVICE_SOCKET;
  const ours = (command: string, ...rest: string[]): string =>
    [isService ? 'sudo pgsluice' : 'pgsluice', command, ...rest, ...configOption(parts.configFile)].join(' ');
  const entry = parts.board.entryOf(name);
  const failed = failedRun(standing);
  const good = standing?.lastSuccess?.run;
  const isPaused = standing?.schedule === 'paused';
  const commands: (Command | undefined)[] = [
    entry !== undefined && entry.state !== 'standby'
      ? { does: 'stop the run in progress; what is done of it is kept', command: ours('cancel', name) }
      : undefined,
    failed === undefined || entry !== undefined
      ? undefined
      : { does: 'go on with the run that failed', command: ours('trigger', name, '--run-id', failed) },
    entry === undefined ? { does: 'begin a new run now', command: ours('trigger', name) } : undefined,
    archive.schedule === undefined
      ? undefined
      : isPaused
        ? { does: 'let its schedule go on', command: ours('resume', name) }
        : { does: 'hold its schedule', command: ours('pause', name) },
    { does: 'test its config, source and destination', command: ours('check', '--online') },
    { does: 'see what a run would read', command: ours('plan', name) },
    { does: 'see its runs', command: ours('list', name) },
    good === undefined ? undefined : { does: 'prove its last good run', command: ours('verify', name, good) },
    good === undefined
      ? undefined
      : {
          does: 'bring its last good run back, into a new table',
          command: ours('restore', name, good, '--into', 'public.pgsluice_restored', '--create'),
        },
    isService
      ? { does: 'read its log', command: `journalctl --unit pgsluice --since yesterday --grep ${shellWord(name)}` }
      : undefined,
  ];
  return commands.filter((command) => command !== undefined);
}

function failedRun(standing: Readonly<Standing> | undefined): string | undefined {
  return standing?.health === 'failing' ? standing.lastFailure?.run : undefined;
}

/** The commands find the service's config by themselves. */
function configOption(file: string): string[] {
  return file === SERVICE_CONFIG ? [] : ['--config', shellWord(file)];
}
