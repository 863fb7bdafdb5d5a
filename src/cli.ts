/** What the program does to its process, and has of it: the one place that ends it. */
import { errorText } from './base/errors.ts';
import { tuneAllocator } from './base/process-memory.ts';
import { scrub } from './base/secrets.ts';
import { stackOf } from './base/stack.ts';
import { TOOL } from './base/tool.ts';
import { runCommandLine } from './command-line.ts';
import { COMMANDS } from './commands/commands.ts';
import { EXIT } from './commands/entry.ts';
import { printLines } from './commands/terminal/print.ts';

let isUnwritten = false;

/** Does what was typed, and sets the exit code; it does not throw. */
export async function runProgram(): Promise<void> {
  process.on('uncaughtExceptionMonitor', (error: unknown) => {
    if (error instanceof Error) error.stack = stackOf(error) ?? error.message;
  });
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (!isClosedPipe(error)) endInFailure(error);
  });
  process.stderr.on('error', isClosedPipe);
  hideSecrets();
  process.exitCode = await runCommandLine(process.argv.slice(2), {
    environment: process.env,
    stdout: process.stdout,
    stderr: process.stderr,
    prepare: tuneAllocator,
  });
}

export function isCommand(name: string): boolean {
  return COMMANDS.some((command) => command.name === name);
}

/** Every user of the machine can read the command line of a process, but for one that has another title. */
function hideSecrets(): void {
  const [, , command = '', ...rest] = process.argv;
  if (rest.some((text) => scrub(text) !== text)) process.title = `${TOOL.name} ${command}`;
}

/** Whoever read has seen enough, as `head` has; the work goes on. */
function isClosedPipe({ code }: NodeJS.ErrnoException): boolean {
  return code === 'EPIPE';
}

/** As on a full disk: the work goes on, but what was asked for is nowhere to be read. */
function endInFailure(error: Error): void {
  if (isUnwritten) return;
  isUnwritten = true;
  printLines({ stdout: process.stderr }, [`what is printed cannot be written: ${errorText(error)}`]);
  process.once('exit', (code) => {
    if (code === EXIT.done) process.exitCode = EXIT.failed;
  });
}
