/** What every command is given: where its config is, where its output goes, and when to stop. */
import { fail, UsageError, type Failure } from '../base/errors.ts';
import { createLog, isSystemdJournal, type Log } from '../base/log.ts';
import { ownEntry } from '../base/own.ts';
import { registerSecret } from '../base/secrets.ts';
import { nearestName } from '../base/suggest.ts';
import { readServiceEnvironment } from '../config/environment-file.ts';
import { exposureWarnings, fileWarnings, userWarnings } from '../config/exposure.ts';
import { checkRuntime } from '../config/limits.ts';
import { loadConfig } from '../config/load.ts';
import { loadTyped, type TypedConfig } from '../config/typed.ts';
import { archiveNamed } from '../config/resolve.ts';
import { memoryLimit } from '../config/memory-limit.ts';
import { secretValues } from '../config/secrets.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { archiveOfPatterns } from '../config/tables.ts';
import { configWarnings } from '../config/warnings.ts';
import { engineFallbacks, engineProblems } from '../run/engines.ts';
import { expandEntries, withExpanded, type Expanded } from '../run/expand.ts';

export interface Invocation {
  configFile: string;
  /** What was typed in the place of a config file. */
  typed?: TypedConfig | undefined;
  json: boolean;
  /** Whether documents without a signature are believed where the config says whom to trust. */
  allowUnsigned?: boolean;
  environment: NodeJS.ProcessEnv;
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
}

/** Loads the config and refuses what cannot run safely on this machine. Throws UsageError with all problems. */
export function openConfig(invocation: Invocation): Config {
  const config = loadWithService(invocation);
  for (const secret of secretValues(config)) registerSecret(secret);
  const problems = checkRuntime(config, {
    nodeOptions: invocation.environment['NODE_OPTIONS'],
    execArgv: process.execArgv,
    memoryLimitBytes: memoryLimit().bytes,
  });
  problems.push(...engineProblems(config));
  if (problems.length > 0) throw new UsageError(problems);
  return invocation.allowUnsigned === true ? believeUnsigned(config) : config;
}

/**
 * The service has variables that an operator's shell does not have. Those that are not set here are taken from its file, also
 * for the libraries, which look for theirs by themselves.
 */
function loadWithService({ configFile, typed, environment }: Invocation): Config {
  const { values, problem } = readServiceEnvironment(configFile);
  for (const [name, value] of Object.entries(values)) environment[name] ??= value;
  try {
    return typed === undefined ? loadConfig(configFile, environment) : loadTyped(typed, environment);
  } catch (error) {
    const isUnset = error instanceof UsageError && error.problems.some((text) => text.includes('environment variable'));
    throw isUnset && problem !== undefined ? new UsageError([...error.problems, problem]) : error;
  }
}

function believeUnsigned(config: Config): Config {
  const destinations = Object.entries(config.destinations).map(([name, destination]) => [
    name,
    { ...destination, allowUnsigned: true },
  ]);
  return { ...config, destinations: Object.fromEntries(destinations) as Config['destinations'] };
}

/** What can be said against a config without a connection. */
export function offlineWarnings({ configFile, environment }: Invocation, config: Config): string[] {
  return [
    ...configWarnings(config),
    ...engineFallbacks(config),
    ...exposureWarnings(config, environment),
    ...fileWarnings(configFile, config),
  ];
}

/** The same, and what can be said against how the service is run: a command is given as root, to find the service's variables. */
export function serviceWarnings(invocation: Invocation, config: Config): string[] {
  return [...offlineWarnings(invocation, config), ...userWarnings(process.getuid?.())];
}

/** The log of a command, on stderr, as stdout belongs to the data. */
export function openLog({ environment, stderr }: Invocation, { log }: Pick<Config, 'log'>, how: LogChoice = {}): Log {
  const { NO_COLOR = '', TERM } = environment;
  return createLog({
    level: how.level ?? log.level,
    format: log.format,
    destination: 'stderr',
    systemdJournal: isSystemdJournal(2, environment),
    color: NO_COLOR === '' && TERM !== 'dumb',
    write: stderr.isTTY ? how.above : writeElsewhere(stderr),
  });
}

/** The log goes to the descriptor, past the stream of the process; to any other stream like what else is said there. */
function writeElsewhere(stderr: NodeJS.WriteStream): ((text: string) => void) | undefined {
  return stderr === process.stderr ? undefined : (text) => void stderr.write(text);
}

/** How a command's log differs from what the config says. */
export interface LogChoice {
  level?: string;
  /** Writes above what is redrawn in place on a terminal. */
  above?: (text: string) => void;
}

/**
 * The archives of these names, each once. No source is asked: a name that an entry with `tables` could have given is taken, as
 * what lies in a destination is found by names alone. Throws UsageError that names all that are unknown.
 */
export function chooseArchives(config: Config, names: readonly string[]): ArchiveConfig[] {
  const archiveOf = (name: string): ArchiveConfig | undefined =>
    archiveNamed(config, name) ?? archiveOfPatterns(config, name);
  const unknown = names.filter((name) => archiveOf(name) === undefined);
  if (unknown.length > 0) throw new UsageError(unknown.map((name) => describeUnknown(config, name)));
  return [...new Set(names)].flatMap((name) => archiveOf(name) ?? []);
}

/** What is to be worked on, with the config that has it; and what entries with `tables` could not be asked or not take. */
export interface Chosen {
  config: Config;
  archives: ArchiveConfig[];
  expanded: Expanded[];
  failures: Failure[];
}

/** The same for commands that read sources, which are asked for what entries with `tables` stand for; without names, all. */
export async function chooseWithTables(config: Config, names: readonly string[]): Promise<Chosen> {
  const isPlain = names.length > 0 && names.every((name) => archiveNamed(config, name) !== undefined);
  const isOfEntry = (name: string): boolean => ownEntry(config.patterns, name) !== undefined;
  if (names.length > 0)
    chooseArchives(
      config,
      names.filter((name) => !isOfEntry(name)),
    );
  const expanded = isPlain ? [] : await expandEntries(config);
  const whole = withExpanded(config, expanded);
  const archivesOf = (name: string): ArchiveConfig[] => {
    const group = isOfEntry(name) ? expanded.find(({ entry }) => entry.name === name) : undefined;
    return group?.archives ?? [archiveNamed(whole, name) ?? []].flat();
  };
  const failuresOf = (name: string): Failure[] => {
    if (archiveNamed(whole, name) !== undefined && !isOfEntry(name)) return [];
    const entry = isOfEntry(name) ? name : archiveOfPatterns(config, name)?.entry;
    const found = expanded.find((one) => one.entry.name === entry);
    if (found === undefined || found.failures.length > 0) return found?.failures ?? [];
    if (isOfEntry(name)) return [];
    const message = `the entry ${found.entry.name} finds no table for an archive ${name}`;
    return [fail('no-such-tables', { stage: 'plan', archive: name, message }).failure];
  };
  const wanted = names.length === 0 ? Object.keys(whole.archives) : [...new Set(names)];
  return {
    config: whole,
    expanded,
    archives: [...new Set(wanted.flatMap(archivesOf))],
    failures: [
      ...new Set(names.length === 0 ? expanded.flatMap(({ failures }) => failures) : wanted.flatMap(failuresOf)),
    ],
  };
}

function describeUnknown(config: Config, name: string): string {
  if (ownEntry(config.patterns, name) !== undefined)
    return `"${name}" stands for several tables; name the archive of one of them, as \`pgsluice list\` shows them`;
  const known = Object.keys(config.archives).concat(Object.keys(config.patterns));
  const near = nearestName(name, known);
  const all = known.length === 0 ? 'none' : known.join(', ');
  const advice = near === undefined ? `the config has ${all}` : `did you mean "${near}"?`;
  return `there is no archive "${name}"; ${advice}`;
}
