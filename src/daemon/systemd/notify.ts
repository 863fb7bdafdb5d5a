/** Reports to systemd how the daemon is: ready, reloading, stopping, alive. See sd_notify(3) for the protocol. */
import { errorText } from '../../base/errors.ts';
import { openCommandSender } from './notify-command.ts';
import { openLibcSender } from './notify-libc.ts';
import type { OpenSender, Sender } from './sender.ts';

/** The daemon's line to systemd. Without systemd every call does nothing; no call ever throws. */
export interface Notify {
  /** How messages are sent; `none` without systemd. */
  readonly via: Sender['via'] | 'none';
  /** How often {@link Notify.watchdog} must be called; undefined when the unit has no watchdog. */
  readonly watchdogIntervalMs: number | undefined;
  /** The start, or a reload, is complete. `status` is the line that `systemctl status` shows. */
  ready(status: string): void;
  /** A reload begins; {@link Notify.ready} ends it. */
  reloading(): void;
  /**
   * The daemon drains, which takes so long at most: systemd is asked for as much where TimeoutStopSec is less. Without
   * `status`, systemctl would go on to show the last one.
   */
  stopping(status: string, atMostMs: number): void;
  status(text: string): void;
  /** A sign of life. */
  watchdog(): void;
  close(): Promise<void>;
}

type Environment = Record<string, string | undefined>;

/**
 * Opens the line to systemd, and takes NOTIFY_SOCKET out of `environment`, which should be the process's own: a child
 * that inherited it could speak in the daemon's name. Trouble is reported once through `onProblem`, as it would come
 * back with every sign of life.
 */
export async function openNotify(
  environment: Environment,
  onProblem: (message: string) => void,
  ways: readonly OpenSender[] = [openLibcSender, openCommandSender],
): Promise<Notify> {
  const socket = environment['NOTIFY_SOCKET'] ?? '';
  delete environment['NOTIFY_SOCKET'];
  const sender = socket === '' ? undefined : await openFirst(ways, socket, once(onProblem));
  const send = (...lines: string[]): void => sender?.send(lines);
  return {
    via: sender?.via ?? 'none',
    watchdogIntervalMs: sender && watchdogIntervalMs(environment),
    ready: (status) => send('READY=1', statusLine(status)),
    // systemd distinguishes this reload from an older one by the time, which must be CLOCK_MONOTONIC: hrtime is.
    reloading: () => send('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
    stopping: (status, atMostMs) =>
      send('STOPPING=1', `EXTEND_TIMEOUT_USEC=${Math.ceil(atMostMs * 1000)}`, statusLine(status)),
    status: (text) => send(statusLine(text)),
    watchdog: () => send('WATCHDOG=1'),
    close: async () => sender?.close(),
  };
}

async function openFirst(
  ways: readonly OpenSender[],
  socket: string,
  onProblem: (message: string) => void,
): Promise<Sender | undefined> {
  const reasons: string[] = [];
  for (const open of ways) {
    try {
      return await open(socket, onProblem);
    } catch (error) {
      reasons.push(errorText(error));
    }
  }
  onProblem(`cannot tell systemd that the service is ready: ${reasons.join('; ')}`);
  return undefined;
}

/** Half of what the unit allows, as sd_watchdog_enabled(3) advises. The variables may be meant for another process. */
function watchdogIntervalMs(environment: Environment): number | undefined {
  const pid = environment['WATCHDOG_PID'] ?? '';
  if (pid !== '' && Number(pid) !== process.pid) return undefined;
  const allowedUsec = Number(environment['WATCHDOG_USEC'] ?? '');
  return Number.isSafeInteger(allowedUsec) && allowedUsec > 0 ? allowedUsec / 2000 : undefined;
}

const MAX_STATUS_CHARS = 500;

/** A line break would begin another variable, so it becomes a space. */
function statusLine(text: string): string {
  return `STATUS=${text.slice(0, MAX_STATUS_CHARS).replace(/[\r\n\0]+/g, ' ')}`;
}

function once(report: (message: string) => void): (message: string) => void {
  let reported = false;
  return (message) => {
    if (reported) return;
    reported = true;
    report(message);
  };
}
