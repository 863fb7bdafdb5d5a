/** The line that `systemctl status` shows. */
import type { RunBoard } from '../run-board.ts';
import type { Schedule } from '../slots/schedule.ts';

export function statusLine(
  board: RunBoard,
  schedule: Schedule,
  archives: readonly string[],
  isStopping: boolean,
): string {
  const { entries, standbys } = board;
  if (isStopping) return `stopping, ${entries.length === 1 ? '1 run' : `${entries.length} runs`} in progress`;
  const running = entries.filter((entry) => entry.state === 'running').map((entry) => entry.archive);
  const waiting = entries.length - running.length;
  const now = running.length === 0 ? 'idle' : `running ${running.join(', ')}`;
  const parts = [now, waiting === 0 ? undefined : `${waiting} waiting`];
  return [...parts, standbys.length === 0 ? undefined : `${standbys.length} on standby`, nextLine(schedule, archives)]
    .filter((part) => part !== undefined)
    .join('; ');
}

function nextLine(schedule: Schedule, archives: readonly string[]): string | undefined {
  const next = archives
    .flatMap((archive) => {
      const slot = schedule.nextSlot(archive);
      return slot === undefined ? [] : [{ archive, slot }];
    })
    .sort((a, b) => a.slot.getTime() - b.slot.getTime())[0];
  return next === undefined ? undefined : `next is ${next.archive} at ${next.slot.toISOString()}`;
}
