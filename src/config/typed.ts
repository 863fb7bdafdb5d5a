/** A config of what was typed, for a command that does without a file. It goes through the same schema as one from a file. */
import { UsageError } from '../base/errors.ts';
import { parseConfig } from './load.ts';
import type { Config } from './schema.ts';

/** Values as they were typed. */
export interface TypedEnds {
  /** A URL, or a reference such as `${DATABASE_URL}`. */
  source: string;
  destination: string;
  region?: string;
  endpoint?: string;
  forcePathStyle?: boolean;
}

export interface TypedArchive {
  table: string;
  where?: string;
  /** As an option of an archive is written; for what was not typed. */
  [option: string]: unknown;
}

/** All that such a config is of: archives by name. */
export interface TypedConfig {
  ends: TypedEnds;
  archives: Readonly<Record<string, TypedArchive>>;
}

/** The options on the command line, for messages. */
const FLAGS: Readonly<Record<string, string>> = {
  source: '--source',
  destination: '--to',
  region: '--region',
  endpoint: '--endpoint',
  forcePathStyle: '--force-path-style',
  table: '--table',
  where: '--where',
};

const FILE = 'command line';
/** What a line is of that begins an archive, whose name was typed as well. */
const ARCHIVE = 'archive';

/** Throws UsageError with all problems, each of which names the option in the place of a line. Nothing but the source may refer to variables. */
export function loadTyped({ ends, archives }: TypedConfig, environment: NodeJS.ProcessEnv): Config {
  const { source, destination, ...s3 } = ends;
  const lines: [text: string, option?: string][] = [
    ['sources:'],
    ['  default:'],
    [`    url: ${JSON.stringify(source)}`, 'source'],
    ['destinations:'],
    ['  default:'],
    [`    url: ${literal(destination)}`, 'destination'],
    ...optionLines(s3),
    ['archives:'],
    ...Object.entries(archives).flatMap(([name, archive]): typeof lines => [
      [`  ${JSON.stringify(name)}:`, ARCHIVE],
      ...optionLines(archive),
    ]),
  ];
  try {
    return parseConfig(FILE, lines.map(([text]) => `${text}\n`).join(''), environment);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(error.problems.map((problem) => nameOption(problem, lines)));
  }
}

function optionLines(options: object): [text: string, option: string][] {
  return Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [`    ${name}: ${literal(value)}`, name]);
}

/** JSON is YAML; and `${` stands for itself in what was typed. */
function literal(value: unknown): string {
  return JSON.stringify(value).replaceAll('${', () => '$${');
}

/** `--region: is for s3:// only` for `command line:7:5: destinations.default.region: is for s3:// only`. */
function nameOption(problem: string, lines: readonly [text: string, option?: string][]): string {
  const [, line, message] = /^command line:(\d+):\d+: (?:[\w.[\]-]+: )?(.*)$/s.exec(problem) ?? [];
  const [text = '', option] = lines[Number(line) - 1] ?? [];
  if (option === ARCHIVE) {
    const name = JSON.parse(text.trim().slice(0, -1)) as string;
    return problem.replace(/^command line:\d+:\d+: /, '').replace(`archives.${name}: `, `archive ${name}: `);
  }
  const flag = option === undefined ? undefined : FLAGS[option];
  return flag === undefined || message === undefined ? problem : `${flag}: ${message}`;
}
