/** Sends through the command systemd-notify: slower by far than a call to libc, but it needs nothing but systemd. */
import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { errorText } from '../../base/errors.ts';
import type { Sender } from './sender.ts';

const COMMANDS = ['/usr/bin/systemd-notify', '/bin/systemd-notify'];
const TIMEOUT_MS = 5000;

/** Signs of life come every half minute or so; a longer queue means that the command hangs each time. */
const MAX_WAITING = 8;

/** Rejects when systemd-notify is not installed. */
export async function openCommandSender(socket: string, onProblem: (message: string) => void): Promise<Sender> {
  const command = await findCommand();
  let last = Promise.resolve();
  let waiting = 0;
  return {
    via: 'systemd-notify',
    send(lines) {
      if (waiting >= MAX_WAITING) {
        onProblem(`${command} does not keep up: a message was dropped`);
        return;
      }
      waiting += 1;
      // One after the other, as systemd would otherwise see READY=1 before or after the RELOADING=1 by chance.
      last = last.then(async () => {
        const problem = await runCommand(command, socket, lines).catch(errorText);
        waiting -= 1;
        if (problem !== undefined) onProblem(`${command} failed: ${problem}`);
      });
    },
    close: () => last,
  };
}

async function findCommand(): Promise<string> {
  for (const command of COMMANDS) {
    const found = await access(command, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return command;
  }
  throw new Error('systemd-notify is not installed');
}

/** What went wrong; undefined when the message was sent. The command waits by itself until systemd has read it. */
function runCommand(command: string, socket: string, lines: readonly string[]): Promise<string | undefined> {
  const options = { env: { NOTIFY_SOCKET: socket }, timeout: TIMEOUT_MS };
  return new Promise((resolve) => {
    execFile(command, [...lines], options, (error, _stdout, stderr) => {
      resolve(error === null ? undefined : stderr.trim() || error.message);
    });
  });
}
