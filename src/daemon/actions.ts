/** What can be asked of the daemon: run now, cancel, pause, resume. */
import type { Log } from '../base/log.ts';
import { formatRunId, isRunId } from '../ledger/run-id.ts';
import type { Purges } from './purges.ts';
import type { Rehearsals } from './rehearsals.ts';
import type { BoardEntry, RunBoard } from './run-board.ts';
import type { Standings } from './slots/standings.ts';

export interface Refused {
  refused: 'no-such-archive' | 'busy' | 'not-running' | 'stopping' | 'bad-run-id';
  message: string;
}

export interface Done {
  archive: string;
  /** Of `run` and `cancel`. */
  run?: string;
  /** Of `pause` and `resume`. */
  paused?: boolean;
}

export interface Actions {
  run: (archive: string, runId?: string) => Promise<Done | Refused>;
  cancel: (archive: string) => Promise<Done | Refused>;
  pause: (archive: string) => Promise<Done | Refused>;
  resume: (archive: string) => Promise<Done | Refused>;
}

export interface ActionParts {
  board: RunBoard;
  standings: Standings;
  purges: Purges;
  rehearsals: Pick<Rehearsals, 'cancel' | 'currentOf'>;
  log: Log;
  isStopping: () => boolean;
  /** Whether the config has an entry of patterns by this name. */
  isEntry: (name: string) => boolean;
  changed: () => void;
}

export function createActions({
  board,
  standings,
  purges,
  rehearsals,
  log,
  isStopping,
  isEntry,
  changed,
}: ActionParts): Actions {
  const refuse = (archive: string): Refused | undefined => {
    if (standings.of(archive) !== undefined) return undefined;
    const message = isEntry(archive)
      ? `"${archive}" stands for several tables; name the archive of one of them, as \`pgsluice status\` shows them`
      : `there is no archive "${archive}" in the config`;
    return { refused: 'no-such-archive', message };
  };

  const setPaused = async (archive: string, paused: boolean): Promise<Done | Refused> => {
    const refused = refuse(archive);
    if (refused !== undefined) return refused;
    standings.setPaused(archive, paused, new Date());
    log.info({ archive, paused }, paused ? 'the schedule is paused' : 'the schedule is resumed');
    if (paused) await Promise.all([purges.paused(archive), rehearsals.cancel(archive)]);
    else purges.offer(archive);
    changed();
    return { archive, paused };
  };

  return {
    async run(archive, runId) {
      const refused = refuse(archive);
      if (refused !== undefined) return refused;
      if (runId !== undefined && !isRunId(runId))
        return { refused: 'bad-run-id', message: 'a run id is a time in UTC such as 20261123T021500Z' };
      if (isStopping()) return { refused: 'stopping', message: 'the daemon is stopping' };
      if (board.isBusy(archive)) {
        const current = board.entryOf(archive);
        return {
          refused: 'busy',
          message: `${archive} is busy${current === undefined ? '' : ` with run ${whereIs(current)}`}`,
        };
      }
      const run = runId ?? formatRunId(new Date());
      log.info({ archive, run }, 'a run is started by hand');
      board.offer(archive, { run, trigger: 'by hand', whenBusy: 'append', isWindow: runId !== undefined });
      return { archive, run };
    },
    async cancel(archive) {
      // A run goes on when its archive is taken out, such as that of a table that is gone.
      const refused = board.entryOf(archive) === undefined ? refuse(archive) : undefined;
      if (refused !== undefined) return refused;
      const purge = board.purgeOf(archive);
      if (purge !== undefined) {
        log.info({ archive, run: purge.run }, 'a purge is cancelled by hand; it goes on at the next slot');
        await board.stopPurge(archive);
        return { archive, run: purge.run };
      }
      const entry = board.entryOf(archive);
      if (entry?.state === 'standby')
        return { refused: 'not-running', message: `run ${whereIs(entry)}: cancel it there` };
      const current = entry?.run;
      const rehearsed = current === undefined ? rehearsals.currentOf(archive)?.run : undefined;
      if (rehearsed !== undefined) {
        log.info({ archive, run: rehearsed }, 'a rehearsal is cancelled by hand');
        await rehearsals.cancel(archive);
        return { archive, run: rehearsed };
      }
      if (current === undefined) return { refused: 'not-running', message: `no run of ${archive} is in progress` };
      log.info({ archive, run: current }, 'a run is cancelled by hand');
      return { archive, run: (await board.cancel(archive)) ?? current };
    },
    pause: (archive) => setPaused(archive, true),
    resume: (archive) => setPaused(archive, false),
  };
}

function whereIs({ run, state, holder = 'another host' }: BoardEntry): string {
  return state === 'standby' ? `${run}, which is in progress on ${holder}` : run;
}
