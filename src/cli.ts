/** argv -> one command of the table. The only importer of the CLI library, and the one place that ends the process. */
import { Command, CommanderError } from 'commander';
import { errorText, FailureError, UsageError } from './base/errors.ts';
import { tuneAllocator } from './base/process-memory.ts';
import { scrub } from './base/secrets.ts';
import { stackOf } from './base/stack.ts';
import { TOOL } from './base/tool.ts';
import { COMMANDS } from './commands/commands.ts';
import { COMMON_OPTIONS, DEFAULT_CONFIG, EXIT, Given, PURPOSE, type CommandEntry } from './commands/entry.ts';
import { describeEnd } from './commands/help.ts';
import type { Invocation } from './commands/invocation.ts';
import { describeFailure } from './commands/terminal/failure.ts';
import { printLines } from './commands/terminal/print.ts';

type Options = Record<string, unknown> & { config?: string; json?: boolean };

process.on('uncaughtExceptionMonitor', (error: unknown) => {
  if (error instanceof Error) error.stack = stackOf(error) ?? error.message;
});
let isUnwritten = false;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (!isClosedPipe(error)) endInFailure(error);
});
process.stderr.on('error', isClosedPipe);
process.exitCode = await main();

async function main(): Promise<number> {
  hideSecrets();
  let exitCode: number = EXIT.done;
  const program = new Command(TOOL.name)
    .description(PURPOSE)
    .version(TOOL.version)
    .exitOverride()
    .showHelpAfterError('(--help shows the usage)');
  for (const entry of COMMANDS) {
    addCommand(program, entry, async (given, options) => {
      tuneAllocator();
      exitCode = await entry.run(invocationOf(options), new Given(given, options));
    });
  }
  try {
    await program.parseAsync();
    // In the place of the `^C` that a terminal prints, so that the shell goes on in a line of its own.
    if (exitCode === EXIT.interrupted && process.stderr.isTTY) process.stderr.write('\r\u001b[Kinterrupted\n');
    return exitCode;
  } catch (error) {
    return reportError(error);
  }
}

/** Every user of the machine can read the command line of a process, but for one that has another title. */
function hideSecrets(): void {
  const [, , command = '', ...rest] = process.argv;
  if (rest.some((text) => scrub(text) !== text)) process.title = `${TOOL.name} ${command}`;
}

function addCommand(
  program: Command,
  entry: CommandEntry,
  run: (given: string[], options: Options) => Promise<void>,
): void {
  const command = program
    .command(`${entry.name} ${entry.arguments}`.trimEnd())
    .description(entry.does)
    .addHelpText('after', describeEnd(entry));
  for (const { flags, does, required, repeats, default: byDefault } of [...COMMON_OPTIONS, ...entry.options]) {
    if (repeats === true)
      command.option(flags, does, (one: string, others: string[] | undefined) => [...(others ?? []), one]);
    else if (required === true) command.requiredOption(flags, does, byDefault);
    else command.option(flags, does, byDefault);
  }
  // The library gives the arguments one by one, several as an array, then the options and the command itself.
  command.action((...parts: unknown[]) => {
    const given = parts
      .slice(0, -2)
      .flat()
      .filter((part) => typeof part === 'string');
    return run(given, parts.at(-2) as Options);
  });
}

function invocationOf(options: Options): Invocation {
  return {
    configFile: options.config ?? process.env['PGSLUICE_CONFIG'] ?? DEFAULT_CONFIG,
    json: options.json === true,
    allowUnsigned: options['allowUnsigned'] === true,
    environment: process.env,
    stdout: process.stdout,
    stderr: process.stderr,
  };
}

function reportError(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  printLines({ stdout: process.stderr }, describeError(error));
  return error instanceof UsageError ? EXIT.usage : EXIT.failed;
}

function describeError(error: unknown): readonly string[] {
  if (error instanceof UsageError) return error.problems;
  if (error instanceof FailureError) return describeFailure(error.failure);
  // The message is shown once, as one line: the lines of the stack are those that name a place.
  const places =
    error instanceof Error ? (stackOf(error) ?? '').split('\n').filter((line) => /^ {4}at /.test(line)) : [];
  return [errorText(error), ...places];
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
