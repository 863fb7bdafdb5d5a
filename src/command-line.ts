/** argv -> one command of the table. The only importer of the CLI library; it knows its process by what it is given of it. */
import { Command, CommanderError } from 'commander';
import { errorText, FailureError, UsageError } from './base/errors.ts';
import { stackOf } from './base/stack.ts';
import { TOOL } from './base/tool.ts';
import { COMMANDS } from './commands/commands.ts';
import { COMMON_OPTIONS, DEFAULT_CONFIG, EXIT, Given, PURPOSE, type CommandEntry } from './commands/entry.ts';
import { describeEnd } from './commands/help.ts';
import type { Invocation } from './commands/invocation.ts';
import { describeFailure } from './commands/terminal/failure.ts';
import { printLines } from './commands/terminal/print.ts';

/** What a process has and a command line does not say. */
export interface Surroundings extends Pick<Invocation, 'environment' | 'stdout' | 'stderr'> {
  /** Called before the command that was typed; not for help, and not where nothing can be done. */
  prepare?: () => void;
}

type Options = Record<string, unknown> & { config?: string; json?: boolean };

/** Does what was typed after the name of the program, and resolves to the exit code. It does not throw. */
export async function runCommandLine(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const { stdout, stderr, prepare } = surroundings;
  let exitCode: number = EXIT.done;
  const program = new Command(TOOL.name)
    .description(PURPOSE)
    .version(TOOL.version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
    })
    .showHelpAfterError('(--help shows the usage)');
  for (const entry of COMMANDS) {
    addCommand(program, entry, async (given, options) => {
      prepare?.();
      exitCode = await entry.run(invocationOf(options, surroundings), new Given(given, options));
    });
  }
  try {
    await program.parseAsync(args, { from: 'user' });
    // In the place of the `^C` that a terminal prints, so that the shell goes on in a line of its own.
    if (exitCode === EXIT.interrupted && stderr.isTTY) stderr.write('\r\u001b[Kinterrupted\n');
    return exitCode;
  } catch (error) {
    return reportError(error, surroundings);
  }
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

function invocationOf(options: Options, { environment, stdout, stderr }: Surroundings): Invocation {
  return {
    configFile: options.config ?? environment['PGSLUICE_CONFIG'] ?? DEFAULT_CONFIG,
    json: options.json === true,
    allowUnsigned: options['allowUnsigned'] === true,
    environment,
    stdout,
    stderr,
  };
}

function reportError(error: unknown, { stderr }: Surroundings): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  printLines({ stdout: stderr }, describeError(error));
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
