/** The table of all commands: a new one is one entry. A command's module is loaded when it is asked for. */
import {
  DEFAULT_CONFIG,
  isUrl,
  type CommandEntry,
  type CommandOption,
  type ExitMeanings,
  type Given,
  type VariableName,
} from './entry.ts';
import type { Invocation } from './invocation.ts';
import type { ReadingOptions } from './without-file.ts';

const RUN_ID: CommandOption = {
  flags: '--run-id <id>',
  does: 'run under this id, a time in UTC; a run that was begun under it goes on',
};
const CONTROL: readonly CommandOption[] = [
  { flags: '--socket <path>', does: "the daemon's unix socket (default: the config's)" },
  { flags: '--url <url>', does: 'its HTTP address instead; the token comes from $PGSLUICE_TOKEN' },
];
const CONTROL_EXITS: ExitMeanings = { 1: 'the daemon refused, or none answers', 2: 'usage or config' };
const CONTROL_VARIABLES: readonly VariableName[] = ['RUNTIME_DIRECTORY', 'STATE_DIRECTORY', 'PGSLUICE_TOKEN'];
const ALLOW_UNSIGNED = {
  flags: '--allow-unsigned',
  does: 'believe runs without a signature, from before signing was switched on',
};

/** Of a destination that is named on the command line. */
const S3: readonly CommandOption[] = [
  { flags: '--region <region>', does: "the bucket's region (default: as the AWS SDK finds it)" },
  { flags: '--endpoint <url>', does: 'of an S3-compatible server (default: AWS)' },
  { flags: '--force-path-style', does: 'the bucket goes into the path, as most S3-compatible servers need it' },
];

const WINDOWS: readonly CommandOption[] = [
  { flags: '--from <date>', does: 'of an archive of windows: those that end after this date' },
  {
    flags: '--to <date-or-url>',
    does: 'of an archive of windows: those that begin before this date; or s3://bucket/prefix or file:///folder: where the archive lies, without a config file',
  },
  ...S3,
  { flags: '--all', does: 'of an archive of windows: all of them' },
];

const PARTITION: CommandOption = {
  flags: '--partition <column=value>',
  does: 'of a run with partitionBy: only this value; `column=` is the empty text, `column` NULL; once for each column',
  repeats: true,
};

/** Of a command that opens sources and destinations. */
const BOTH_ENDS: readonly VariableName[] = ['NODE_OPTIONS', 'AWS_*', 'PG*'];
const INTERRUPTED = 'interrupted';

/** The invocation of a command that reads an archive, which may lie where the command line says. */
async function reading(invocation: Invocation, given: Given, takes: ReadingOptions = {}): Promise<Invocation> {
  return { ...invocation, typed: (await import('./without-file.ts')).typedReading(given, takes) };
}

/** The bounds of windows. */
function datesOf(given: Given): { from?: string; to?: string } {
  const { to, ...dates } = given.texts('from', 'to');
  return isUrl(to) || to === undefined ? dates : { ...dates, to };
}

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'init',
    arguments: '',
    does: 'look at a database, and write a first config: its tables, and what a purge of each would meet',
    example: 'pgsluice init --to s3://acme-archive/pg --region eu-west-1',
    options: [
      {
        flags: '--source <url>',
        does: "the database (default: $DATABASE_URL, or it is asked for). The config gets \${DATABASE_URL} in its place; '\${NAME}' and '\${file:/path}' are taken as they are",
      },
      { flags: '--to <url>', does: 's3://bucket/prefix or file:///folder; asked for at a terminal' },
      ...S3,
      {
        flags: '--table <schema.table>',
        does: 'a table to archive, once for each (default: the 20 largest)',
        repeats: true,
      },
      {
        flags: '--output <file>',
        does: `the file to write, - for stdout (default: that of --config or $PGSLUICE_CONFIG; then as root ${DEFAULT_CONFIG}, else ./pgsluice.yaml)`,
      },
      { flags: '--force', does: 'replace a file that is there' },
      {
        flags: '--write-environment',
        does: 'put the URL, and AWS keys of this shell, into the file `environment` beside the config, mode 0600',
      },
    ],
    exits: {
      1: 'the database or the destination does not answer, is not there or not granted; nothing was written',
      2: 'usage, or the file is there already',
      130: INTERRUPTED,
    },
    variables: [...BOTH_ENDS, 'DATABASE_URL'],
    run: async (invocation, given) =>
      (await import('./init.ts')).initCommand(invocation, {
        ends: {
          ...given.texts('source', 'to', 'region', 'endpoint'),
          ...(given.flag('forcePathStyle') ? { forcePathStyle: true } : {}),
        },
        ...given.texts('output', 'config'),
        tables: given.list('table'),
        force: given.flag('force'),
        writeEnvironment: given.flag('writeEnvironment'),
      }),
  },
  {
    name: 'check',
    arguments: '',
    does: 'validate the config, and print what memory it can need',
    example: 'pgsluice check --online --config ./pgsluice.yaml',
    options: [{ flags: '--online', does: 'also connect: grants, tables, bucket, clocks' }],
    exits: {
      1: 'something that the config names does not answer, is not there or not granted',
      2: 'the config is bad',
    },
    variables: BOTH_ENDS,
    run: async (invocation, given) =>
      (await import('./check.ts')).checkCommand(invocation, { online: given.flag('online') }),
  },
  {
    name: 'plan',
    arguments: '[archive...]',
    does: 'show what a run would do: segments, keys, estimated rows; writes nothing',
    example: 'pgsluice plan fetch_queue',
    options: [
      { flags: '--run-id <id>', does: 'plan for this run id, a time in UTC such as 20261123T021500Z' },
      {
        flags: '--late',
        does: 'of archives of windows: count the rows of windows that are archived, and tell which have more now',
      },
      { flags: '--from <date>', does: 'with --late: only windows that end after this date' },
      { flags: '--to <date>', does: 'with --late: only windows that begin before this date' },
    ],
    exits: { 2: 'usage or config, or an archive cannot be planned', 130: INTERRUPTED },
    variables: BOTH_ENDS,
    run: async (invocation, given) =>
      given.flag('late')
        ? (await import('./plan-late.ts')).planLateCommand(
            invocation,
            given.arguments,
            given.texts('runId', 'from', 'to'),
          )
        : (await import('./plan.ts')).planCommand(invocation, given.arguments, given.texts('runId', 'from', 'to')),
  },
  {
    name: 'run',
    arguments: '[archive...]',
    does: 'archive now, in the foreground',
    example: 'pgsluice run fetch_queue --run-id 20261123T021500Z',
    options: [
      ALLOW_UNSIGNED,
      { flags: '--all', does: 'run all archives of the config' },
      RUN_ID,
      { flags: '--from <date>', does: 'of an archive of windows: only those that end after this date' },
      {
        flags: '--to <date-or-url>',
        does: 'of an archive of windows: only those that begin before this date; or s3://bucket/prefix or file:///folder: archive --table to there, without a config file',
      },
      { flags: '--table <schema.table>', does: 'archive this table once, without a config file; needs --to' },
      {
        flags: '--source <url>',
        does: "of --table: its database (default: ${DATABASE_URL}). A password on a command line can be seen by others until the program has started: set the variable, or refer to it or to a file, as '${file:/path}'",
      },
      { flags: '--where <sql>', does: 'of --table: only these rows; :slot is the time of the run' },
      ...S3,
      { flags: '--again', does: 'make a further run of windows that are there already' },
      {
        flags: '--verify-source',
        does: 'before the commit, compare the archive with a digest that the server computes of the rows',
      },
    ],
    exits: { 1: 'a run failed', 2: 'usage or config', 130: INTERRUPTED },
    variables: [...BOTH_ENDS, 'DATABASE_URL'],
    run: async (invocation, given) => {
      const { runCommand } = await import('./run.ts');
      const typed = (await import('./without-file.ts')).typedRun(given);
      const verifySource = given.flag('verifySource');
      if (typed !== undefined)
        return runCommand({ ...invocation, typed }, Object.keys(typed.archives), {
          ...{ all: false, verifySource },
          ...given.texts('runId'),
        });
      return runCommand(invocation, given.arguments, {
        ...{ all: given.flag('all'), verifySource },
        ...given.texts('runId', 'from', 'to'),
        ...(given.flag('again') ? { again: true } : {}),
      });
    },
  },
  {
    name: 'daemon',
    arguments: '',
    does: 'run on schedule until SIGTERM; SIGHUP reloads the config',
    example: 'pgsluice daemon --config /etc/pgsluice/pgsluice.yaml',
    options: [],
    exits: { 1: 'the daemon could not go on', 2: 'usage or config' },
    variables: [
      ...BOTH_ENDS,
      'STATE_DIRECTORY',
      'RUNTIME_DIRECTORY',
      'NOTIFY_SOCKET',
      'WATCHDOG_USEC, WATCHDOG_PID',
      'JOURNAL_STREAM',
    ],
    run: async (invocation) => (await import('./daemon.ts')).daemonCommand(invocation),
  },
  {
    name: 'worker',
    arguments: '',
    does: 'work on segments of runs that other hosts lead, until SIGTERM; SIGHUP reloads the config',
    example: 'pgsluice worker --config /etc/pgsluice/pgsluice.yaml',
    options: [],
    exits: { 1: 'the worker could not go on', 2: 'usage or config', 130: 'a second signal' },
    variables: [...BOTH_ENDS, 'NOTIFY_SOCKET', 'WATCHDOG_USEC, WATCHDOG_PID', 'JOURNAL_STREAM'],
    run: async (invocation) => (await import('./worker.ts')).workerCommand(invocation),
  },
  {
    name: 'status',
    arguments: '',
    does: 'show how the daemon and its archives are: failing, late, standby, paused, and what comes next',
    example: 'pgsluice status',
    options: CONTROL,
    exits: {
      1: 'an archive is failing, late or damaged, a pattern of tables fails, or no daemon answers',
      2: 'usage or config',
    },
    variables: CONTROL_VARIABLES,
    run: async (invocation, given) =>
      (await import('./status.ts')).statusCommand(invocation, given.texts('socket', 'url')),
  },
  {
    name: 'trigger',
    arguments: '<archive>',
    does: 'let the daemon run an archive now',
    example: 'pgsluice trigger fetch_queue',
    options: [...CONTROL, RUN_ID],
    exits: CONTROL_EXITS,
    variables: CONTROL_VARIABLES,
    run: async (invocation, given) =>
      (await import('./trigger.ts')).triggerCommand(invocation, given.archive, given.texts('socket', 'url', 'runId')),
  },
  {
    name: 'cancel',
    arguments: '<archive>',
    does: 'drop the run of an archive that is in progress, cleanly',
    example: 'pgsluice cancel fetch_queue',
    options: CONTROL,
    exits: CONTROL_EXITS,
    variables: CONTROL_VARIABLES,
    run: async (invocation, given) =>
      (await import('./cancel.ts')).cancelCommand(invocation, given.archive, given.texts('socket', 'url')),
  },
  {
    name: 'pause',
    arguments: '<archive>',
    does: 'hold the schedule of an archive, over restarts as well',
    example: 'pgsluice pause fetch_queue',
    options: CONTROL,
    exits: CONTROL_EXITS,
    variables: CONTROL_VARIABLES,
    run: async (invocation, given) =>
      (await import('./pause.ts')).pauseCommand(invocation, given.archive, given.texts('socket', 'url')),
  },
  {
    name: 'resume',
    arguments: '<archive>',
    does: 'let the schedule of an archive go on',
    example: 'pgsluice resume fetch_queue --url http://127.0.0.1:8432',
    options: CONTROL,
    exits: CONTROL_EXITS,
    variables: CONTROL_VARIABLES,
    run: async (invocation, given) =>
      (await import('./pause.ts')).resumeCommand(invocation, given.archive, given.texts('socket', 'url')),
  },
  {
    name: 'list',
    arguments: '[archive]',
    does: 'show the runs that the destination holds, also of archives that are not in the config any more',
    example: 'pgsluice list fetch_queue --json',
    options: [
      ALLOW_UNSIGNED,
      { flags: '--windows', does: 'of an archive of windows: a calendar of them' },
      PARTITION,
      {
        flags: '--to <url>',
        does: 's3://bucket/prefix or file:///folder: where the archive lies, without a config file',
      },
      ...S3,
    ],
    exits: { 1: 'the destination does not answer', 2: 'usage or config' },
    variables: ['NODE_OPTIONS', 'AWS_*'],
    run: async (invocation, given) =>
      (await import('./list.ts')).listCommand(await reading(invocation, given), given.arguments[0], {
        windows: given.flag('windows'),
        partition: given.list('partition'),
      }),
  },
  {
    name: 'verify',
    arguments: '<archive> [run]',
    does: 'read the objects of a run again and prove them; the latest committed one unless it is named',
    example: 'pgsluice verify fetch_queue 20261123T021500Z',
    options: [
      ALLOW_UNSIGNED,
      ...WINDOWS,
      {
        flags: '--sample <n>',
        does: 'read only so many objects, evenly spread, the first and the last among them',
      },
      PARTITION,
      {
        flags: '--chain',
        does: 'read no data: look whether a manifest was taken away, replaced or put in since it was committed',
      },
      { flags: '--head <sha256>', does: 'with --chain: the head that was noted elsewhere must be in the chain' },
    ],
    exits: {
      1: 'the destination does not answer',
      2: 'usage or config, or there is no such run',
      3: 'there is a difference, or no committed run',
      130: INTERRUPTED,
    },
    variables: ['NODE_OPTIONS', 'AWS_*'],
    run: async (invocation, given) =>
      (await import('./verify.ts')).verifyCommand(
        await reading(invocation, given, { takesDates: true }),
        given.archive,
        {
          ...given.run(),
          ...given.texts('sample', 'head'),
          ...datesOf(given),
          ...(given.flag('all') ? { all: true } : {}),
          ...(given.flag('chain') ? { chain: true } : {}),
          partition: given.list('partition'),
        },
      ),
  },
  {
    name: 'restore',
    arguments: '<archive> [run]',
    does: 'bring the rows of a run back into Postgres; the latest committed one by default',
    example: 'pgsluice restore fetch_queue 20261123T021500Z --into public.fetch_queue_old --create',
    options: [
      ALLOW_UNSIGNED,
      ...WINDOWS,
      { flags: '--into <schema.table>', does: 'the table that is filled', required: true },
      {
        flags: '--source <name>',
        does: "the database, as the config names it (default: the archive's own); without a config file, its URL (default: ${DATABASE_URL})",
      },
      { flags: '--create', does: "make the table, from the manifest's columns and key" },
      { flags: '--on-conflict <rule>', does: 'fail, or skip rows whose key is there already', default: 'fail' },
      {
        flags: '--self-references <rule>',
        does: 'of a foreign key of the table to itself: refuse several objects; ordered, one after the other; or later, dropped meanwhile and validated at the end',
        default: 'refuse',
      },
      {
        flags: '--key-from <key>',
        does: 'only rows from this key on; values of several columns with commas between, \\, for a comma in one',
      },
      { flags: '--key-to <key>', does: 'only rows up to this key' },
      PARTITION,
    ],
    exits: { 1: 'the restore failed', 2: 'usage or config, or it was refused: nothing was written', 130: INTERRUPTED },
    variables: [...BOTH_ENDS, 'DATABASE_URL'],
    run: async (invocation, given) =>
      (await import('./restore.ts')).restoreCommand(
        await reading(invocation, given, { needsSource: true, takesDates: true }),
        given.archive,
        {
          ...given.run(),
          ...given.texts('into', 'keyFrom', 'keyTo'),
          ...datesOf(given),
          // With --to as a URL, --source is one as well.
          ...(isUrl(given.texts('to').to) ? {} : given.texts('source')),
          ...(given.flag('all') ? { all: true } : {}),
          create: given.flag('create'),
          partition: given.list('partition'),
          onConflict: given.text('onConflict'),
          selfReferences: given.text('selfReferences'),
        },
      ),
  },
  {
    name: 'purge',
    arguments: '<archive> [run...]',
    does: 'count the rows of the source that a run was proved to hold, or delete them; the latest run by default',
    example: 'pgsluice purge fetch_queue 20261123T021500Z --execute',
    options: [
      ALLOW_UNSIGNED,
      { flags: '--execute', does: 'delete them; without it, nothing is changed' },
      {
        flags: '--again',
        does: 'purge a run that is named anew, though it was purged, or its rows were restored, before',
      },
      { flags: '--yes', does: 'do not ask at a terminal' },
    ],
    exits: {
      1: 'the purge failed or was broken off; given again, it goes on',
      2: 'usage or config, or it was refused: nothing was deleted',
      3: 'the archive is not what its manifest says: nothing was deleted from then on',
      130: INTERRUPTED,
    },
    variables: BOTH_ENDS,
    run: async (invocation, given) =>
      (await import('./purge.ts')).purgeCommand(invocation, given.archive, {
        runs: given.arguments.slice(1),
        execute: given.flag('execute'),
        again: given.flag('again'),
        yes: given.flag('yes'),
      }),
  },
  {
    name: 'keygen',
    arguments: '<file>',
    does: 'make a key by which archives are signed: the private half goes into a new file, the public one is printed',
    example: 'pgsluice keygen /etc/pgsluice/signing.pem',
    options: [],
    exits: { 2: 'usage, or the file cannot be written' },
    variables: [],
    run: async (invocation, given) => (await import('./keygen.ts')).keygenCommand(invocation, given.arguments[0] ?? ''),
  },
  {
    name: 'demo',
    arguments: '',
    does: 'show the main job on an embedded Postgres and an embedded S3 endpoint',
    example: 'pgsluice demo --rows 100000',
    options: [
      { flags: '--rows <n>', does: 'rows of the table', default: '466000' },
      {
        flags: '--hosts <n>',
        does: 'have the segments done by so many workers, 2 to 16, one of which is killed in mid-run, and tell who did what',
      },
      { flags: '--keep', does: 'leave the servers up until Ctrl-C, and print how to connect' },
      {
        flags: '--serve',
        does: 'then go on as the daemon, with its status page and a run every minute, until Ctrl-C',
      },
    ],
    exits: { 1: 'the run failed', 2: 'usage', 3: 'the archive differs from the table', 130: INTERRUPTED },
    variables: ['NODE_OPTIONS'],
    run: async (invocation, given) =>
      (await import('./demo.ts')).demoCommand(invocation, {
        rows: given.text('rows'),
        ...given.texts('hosts'),
        keep: given.flag('keep'),
        serve: given.flag('serve'),
      }),
  },
];
