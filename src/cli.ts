#!/usr/bin/env node
/** argv -> one command. The only importer of the CLI library, and the one place that ends the process. */
import { Command, CommanderError } from 'commander';
import { errorText, FailureError, UsageError } from './base/errors.ts';
import { keepProcessSmall } from './base/process-memory.ts';
import { scrub } from './base/secrets.ts';
import { TOOL } from './base/tool.ts';
import { checkCommand } from './commands/check.ts';
import { describeFailure } from './commands/terminal/failure.ts';
import { EXIT, type Invocation } from './commands/invocation.ts';

const DEFAULT_CONFIG = '/etc/pgsluice/pgsluice.yaml';

type Options = Record<string, unknown> & { config?: string; json?: boolean };

/** The rest of each command is loaded when it is asked for: `check` needs no thread pool, and `list` no scheduler. */
function buildProgram(
  run: (work: (invocation: Invocation) => Promise<number>, options: Options) => Promise<void>,
): Command {
  const program = new Command(TOOL.name)
    .description('Archives large Postgres tables to S3 as gzipped JSON Lines, on a schedule, in flat memory.')
    .version(TOOL.version)
    .exitOverride()
    .showHelpAfterError('(--help shows the usage)');

  const command = (usage: string, description: string, example: string): Command =>
    program
      .command(usage)
      .description(description)
      .option('--config <file>', `config file (default: $PGSLUICE_CONFIG, then ${DEFAULT_CONFIG})`)
      .option('--json', 'print one JSON document on stdout; logs go to stderr')
      .addHelpText('after', `\nExample:\n  $ ${example}`);

  command(
    'check',
    'validate the config, and print what memory it can need',
    'pgsluice check --online --config ./pgsluice.yaml',
  )
    .option('--online', 'also connect: grants, tables, bucket, clocks')
    .action((options: Options) =>
      run((invocation) => checkCommand(invocation, { online: options['online'] === true }), options),
    );

  command(
    'plan [archive...]',
    'show what a run would do: segments, keys, estimated rows; writes nothing',
    'pgsluice plan fetch_queue',
  )
    .option('--run-id <id>', 'plan for this run id, a time in UTC such as 20261123T021500Z')
    .action((names: string[], options: Options) =>
      run(
        async (invocation) => (await import('./commands/plan.ts')).planCommand(invocation, names, runId(options)),
        options,
      ),
    );

  command('run [archive...]', 'archive now, in the foreground', 'pgsluice run fetch_queue --run-id 20261123T021500Z')
    .option('--all', 'run all archives of the config')
    .option('--run-id <id>', 'run under this id, a time in UTC; a run that was begun under it goes on')
    .option(
      '--verify-source',
      'before the commit, compare the archive with a digest that the server computes of the rows',
    )
    .action((names: string[], options: Options) =>
      run(
        async (invocation) =>
          (await import('./commands/run.ts')).runCommand(invocation, names, {
            all: options['all'] === true,
            verifySource: options['verifySource'] === true,
            ...runId(options),
          }),
        options,
      ),
    );

  command(
    'daemon',
    'run on schedule until SIGTERM; SIGHUP reloads the config',
    'pgsluice daemon --config /etc/pgsluice/pgsluice.yaml',
  ).action((options: Options) =>
    run(async (invocation) => (await import('./commands/daemon.ts')).daemonCommand(invocation), options),
  );

  const daemonCommand = (usage: string, description: string, example: string): Command =>
    command(usage, description, example)
      .option('--socket <path>', "the daemon's unix socket (default: the config's)")
      .option('--url <url>', 'its HTTP address instead; the token comes from $PGSLUICE_TOKEN');

  daemonCommand('status', 'show how the daemon and its archives are', 'pgsluice status').action((options: Options) =>
    run(
      async (invocation) => (await import('./commands/status.ts')).statusCommand(invocation, controlOptions(options)),
      options,
    ),
  );

  daemonCommand('trigger <archive>', 'let the daemon run an archive now', 'pgsluice trigger fetch_queue')
    .option('--run-id <id>', 'run under this id, a time in UTC; a run that was begun under it goes on')
    .action((name: string, options: Options) =>
      run(
        async (invocation) =>
          (await import('./commands/trigger.ts')).triggerCommand(invocation, name, {
            ...controlOptions(options),
            ...runId(options),
          }),
        options,
      ),
    );

  daemonCommand(
    'cancel <archive>',
    'drop the run of an archive that is on, cleanly',
    'pgsluice cancel fetch_queue',
  ).action((name: string, options: Options) =>
    run(
      async (invocation) =>
        (await import('./commands/cancel.ts')).cancelCommand(invocation, name, controlOptions(options)),
      options,
    ),
  );

  daemonCommand(
    'pause <archive>',
    'hold the schedule of an archive, over restarts as well',
    'pgsluice pause fetch_queue',
  ).action((name: string, options: Options) =>
    run(
      async (invocation) =>
        (await import('./commands/pause.ts')).pauseCommand(invocation, name, controlOptions(options)),
      options,
    ),
  );

  daemonCommand(
    'resume <archive>',
    'let the schedule of an archive go on',
    'pgsluice resume fetch_queue --url http://127.0.0.1:8432',
  ).action((name: string, options: Options) =>
    run(
      async (invocation) =>
        (await import('./commands/pause.ts')).resumeCommand(invocation, name, controlOptions(options)),
      options,
    ),
  );

  command('list [archive]', 'show the runs that the destination holds', 'pgsluice list fetch_queue --json').action(
    (name: string | undefined, options: Options) =>
      run(async (invocation) => (await import('./commands/list.ts')).listCommand(invocation, name), options),
  );

  command(
    'verify <archive> [run]',
    'read the objects of a run again and prove them; the latest committed one unless it is named',
    'pgsluice verify fetch_queue 20261123T021500Z',
  )
    .option('--sample <n>', 'read only so many objects, evenly spread, the first and the last among them')
    .action((name: string, id: string | undefined, options: Options) =>
      run(
        async (invocation) =>
          (await import('./commands/verify.ts')).verifyCommand(invocation, name, {
            ...(id === undefined ? {} : { run: id }),
            ...(typeof options['sample'] === 'string' ? { sample: options['sample'] } : {}),
          }),
        options,
      ),
    );

  command(
    'restore <archive> [run]',
    'bring the rows of a run back into Postgres; the latest committed one by default',
    'pgsluice restore fetch_queue 20261123T021500Z --into public.fetch_queue_old --create',
  )
    .requiredOption('--into <schema.table>', 'the table that is filled')
    .option('--source <name>', "the database, as the config names it (default: the archive's own)")
    .option('--create', "make the table, from the manifest's columns and key")
    .option('--on-conflict <rule>', 'fail, or skip rows whose key is there already', 'fail')
    .option('--key-from <key>', 'only rows from this key on; values of several columns with commas between')
    .option('--key-to <key>', 'only rows up to this key')
    .action((name: string, runId: string | undefined, options: Options) =>
      run(
        async (invocation) =>
          (await import('./commands/restore.ts')).restoreCommand(invocation, name, {
            ...(runId === undefined ? {} : { run: runId }),
            ...textOptions(options, ['into', 'source', 'keyFrom', 'keyTo']),
            create: options['create'] === true,
            onConflict: String(options['onConflict']),
          }),
        options,
      ),
    );

  command(
    'demo',
    'show the main job on an embedded Postgres and an embedded S3 endpoint',
    'pgsluice demo --rows 100000',
  )
    .option('--rows <n>', 'rows of the table', '466000')
    .option('--keep', 'leave the servers up until Ctrl-C, and print how to connect')
    .option('--serve', 'then go on as the daemon, with its status page and a run every minute, until Ctrl-C')
    .action((options: Options) =>
      run(
        async (invocation) =>
          (await import('./commands/demo.ts')).demoCommand(invocation, {
            rows: String(options['rows']),
            keep: options['keep'] === true,
            serve: options['serve'] === true,
          }),
        options,
      ),
    );

  return program;
}

/** Those of the options that were given, as text. */
function textOptions<K extends string>(options: Options, names: readonly K[]): Partial<Record<K, string>> {
  return Object.fromEntries(
    names.filter((name) => options[name] !== undefined).map((name) => [name, String(options[name])]),
  ) as Partial<Record<K, string>>;
}

function controlOptions(options: Options): { socket?: string; url?: string } {
  return textOptions(options, ['socket', 'url']);
}

function runId(options: Options): { runId?: string } {
  return typeof options['runId'] === 'string' ? { runId: options['runId'] } : {};
}

async function main(): Promise<number> {
  let exitCode: number = EXIT.done;
  const program = buildProgram(async (work, options) => {
    exitCode = await work({
      configFile: options.config ?? process.env['PGSLUICE_CONFIG'] ?? DEFAULT_CONFIG,
      json: options.json === true,
      environment: process.env,
      stdout: process.stdout,
      stderr: process.stderr,
    });
  });
  try {
    await program.parseAsync();
    return exitCode;
  } catch (error) {
    return reportError(error);
  }
}

function reportError(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  process.stderr.write(
    describeError(error)
      .map((line) => `${scrub(line)}\n`)
      .join(''),
  );
  return error instanceof UsageError ? EXIT.usage : EXIT.failed;
}

function describeError(error: unknown): readonly string[] {
  if (error instanceof UsageError) return error.problems;
  if (error instanceof FailureError) return describeFailure(error.failure);
  return [error instanceof Error ? (error.stack ?? error.message) : errorText(error)];
}

keepProcessSmall();
process.exitCode = await main();
