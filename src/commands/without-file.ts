/** What of a command line takes the place of a config file: a source, a destination and one archive. */
import { FailureError, UsageError } from '../base/errors.ts';
import { shellWord } from '../base/shell-word.ts';
import { loneArchiveName } from '../config/archive-name.ts';
import type { TypedConfig, TypedEnds } from '../config/typed.ts';
import { parseTableName } from '../postgres/identifiers.ts';
import { writeTableName } from '../postgres/table-pattern.ts';
import { isUrl, type Given } from './entry.ts';

/** The environment, and not the command line, is where a password can stand: others see that. */
const DEFAULT_SOURCE = '${DATABASE_URL}';
/** For what opens no source, and for what is known from the manifest alone: a config has both. */
const NO_SOURCE = 'postgres://no-source.invalid/';
const NO_TABLE = 'as_the_manifest_says';
const PLACES = 's3://bucket/prefix or file:///folder';

/** Of `run`: undefined where archives of the config file are meant. Throws UsageError with all that does not go together. */
export function typedRun(given: Given): TypedConfig | undefined {
  const { source, table, to, where } = given.texts('source', 'table', 'to', 'where');
  const isTyped = source !== undefined || table !== undefined || isUrl(to);
  if (!isTyped) {
    const stray = [...strayEnds(given), ...(where === undefined ? [] : ['--where'])];
    if (stray.length > 0) throw new UsageError(`${stray.join(', ')}: only together with --table and --to`);
    return undefined;
  }
  const problems: string[] = [];
  if (given.arguments.length > 0)
    problems.push(`with --table, --to or --source no archive of a config is named: leave ${given.arguments[0]} out`);
  if (table === undefined) problems.push('--table is missing: the table to archive, such as public.events');
  if (to === undefined) problems.push(`--to is missing: where to archive to, ${PLACES}`);
  else if (!isUrl(to)) problems.push(`--to must be ${PLACES} with --table`);
  problems.push(...ofFileAlone(given, ['all', 'again']));
  const name = table === undefined ? undefined : nameOf(table, problems);
  if (problems.length > 0 || name === undefined || table === undefined || to === undefined)
    throw new UsageError(problems);
  const archive = { table, ...(where === undefined ? {} : { where }) };
  return { ends: endsOf(given, source ?? DEFAULT_SOURCE, to), archives: { [name]: archive } };
}

/** What a command that reads an archive takes. */
export interface ReadingOptions {
  needsSource?: boolean;
  /** Whether --to is a date of windows where it is no place. */
  takesDates?: boolean;
}

/** Of a command that reads what a run has archived; undefined where the config file says where that is. */
export function typedReading(given: Given, takes: ReadingOptions): TypedConfig | undefined {
  const { needsSource = false, takesDates = false } = takes;
  const { to, source } = given.texts('to', 'source');
  if (to === undefined || !isUrl(to)) {
    if (to !== undefined && !takesDates)
      throw new UsageError(`--to ${to}: must be ${PLACES}, where the archive lies; no date is taken here`);
    const stray = strayEnds(given);
    if (stray.length > 0) throw new UsageError(`${stray.join(', ')}: only together with --to ${PLACES}`);
    return undefined;
  }
  const problems = ofFileAlone(given, ['all', 'windows']);
  if (given.archive === '') problems.push(`name the archive that lies in ${to}: it is called as its table is`);
  if (problems.length > 0) throw new UsageError(problems);
  const ends = endsOf(given, needsSource ? (source ?? DEFAULT_SOURCE) : NO_SOURCE, to);
  return { ends, archives: { [given.archive]: { table: NO_TABLE } } };
}

function endsOf(given: Given, source: string, destination: string): TypedEnds {
  const isPathStyle = given.flag('forcePathStyle');
  return {
    source,
    destination,
    ...given.texts('region', 'endpoint'),
    ...(isPathStyle ? { forcePathStyle: true } : {}),
  };
}

/** Problems of what is given although it means something in a config file alone. */
function ofFileAlone(given: Given, flags: readonly string[]): string[] {
  const names = [...Object.keys(given.texts('config', 'from')), ...flags.filter((name) => given.flag(name))];
  return names.map((name) => `--${name} is for archives of a config file: leave it out`);
}

function strayEnds(given: Given): string[] {
  const texts = Object.keys(given.texts('region', 'endpoint')).map((name) => `--${name}`);
  return given.flag('forcePathStyle') ? [...texts, '--force-path-style'] : texts;
}

function nameOf(table: string, problems: string[]): string | undefined {
  try {
    return loneArchiveName(parseTableName(table));
  } catch (error) {
    if (!(error instanceof FailureError)) throw error;
    problems.push(`--table ${table}: must be schema.table, with double quotes around names with capitals or dots`);
    return undefined;
  }
}

/** The commands for what such a run has made. */
export function nextCommands({ ends, archives }: TypedConfig): string[] {
  const [name = ''] = Object.keys(archives);
  const table = archives[name]?.table ?? '';
  const options = [
    `--to ${shellWord(ends.destination)}`,
    ...(ends.region === undefined ? [] : [`--region ${shellWord(ends.region)}`]),
    ...(ends.endpoint === undefined ? [] : [`--endpoint ${shellWord(ends.endpoint)}`]),
    ...(ends.forcePathStyle === true ? ['--force-path-style'] : []),
  ].join(' ');
  // Not the URL itself, which may have a password.
  const source = ends.source === DEFAULT_SOURCE ? '' : ' --source URL';
  return [
    `list it:     pgsluice list ${name} ${options}`,
    `prove it:    pgsluice verify ${name} ${options}`,
    `bring back:  pgsluice restore ${name} ${options}${source} --into ${shellWord(besides(table))} --create`,
  ];
}

/** A table beside the one that was archived. */
function besides(table: string): string {
  const { schema = 'public', table: name } = parseTableName(table);
  return writeTableName({ schema, table: `${name}_restored` });
}
