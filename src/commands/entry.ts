/** What a command is to cli.ts: how it is typed, what its help says, and what is done. It loads nothing. */
import type { Invocation } from './invocation.ts';

/** One command of the table in `commands.ts`. */
export interface CommandEntry {
  name: string;
  /** As the usage shows them: `<archive> [run]`, `[archive...]`; empty for none. */
  arguments: string;
  does: string;
  /** What somebody would type. */
  example: string;
  /** Besides those that all commands have. */
  options: readonly CommandOption[];
  /** Besides 0; their meaning, by code. */
  exits: ExitMeanings;
  /** Variables of the environment that it looks at, besides those that all look at. */
  variables: readonly VariableName[];
  /** Loads the command's module, and runs it. Resolves to the exit code. */
  run: (invocation: Invocation, given: Given) => Promise<number>;
}

export interface CommandOption {
  /** `--all`, `--run-id <id>`. */
  flags: string;
  does: string;
  default?: string;
  required?: boolean;
  /** Whether it may be given several times. */
  repeats?: boolean;
}

/** What the program is for, in its help and its man page. */
export const PURPOSE = 'Archives large Postgres tables to S3 as gzipped JSON Lines, on a schedule, in flat memory.';

export const DEFAULT_CONFIG = '/etc/pgsluice/pgsluice.yaml';

/** Of all commands. */
export const COMMON_OPTIONS: readonly CommandOption[] = [
  { flags: '--config <file>', does: `config file (default: $PGSLUICE_CONFIG, then ${DEFAULT_CONFIG})` },
  { flags: '--json', does: 'print one JSON document on stdout; logs go to stderr' },
];

/** Exit codes of the contract. */
export const EXIT = { done: 0, failed: 1, usage: 2, different: 3, interrupted: 130 } as const;

export type ExitMeanings = Partial<Record<Exclude<(typeof EXIT)[keyof typeof EXIT], 0>, string>>;

/** All variables of the environment that the program looks at itself. */
export const VARIABLES = {
  PGSLUICE_CONFIG: 'the config file, where --config is not given',
  NAME: 'whatever the config takes by ${NAME} or ${NAME:-default}',
  STATE_DIRECTORY: 'the folder of the history, where the config has no state; systemd sets it',
  RUNTIME_DIRECTORY: "the folder of the daemon's socket, where the config has no control; systemd sets it",
  'CACHE_DIRECTORY, XDG_CACHE_HOME, HOME': "where V8's compiled code is kept for the next start, in this order",
  NODE_OPTIONS: 'read, and refused where it would lift the limits of memory',
  'AWS_*': 'credentials, profile and region, where the config has none',
  DATABASE_URL: 'the source of a command without a config file, where --source is not given',
  'PG*': 'password, TLS files and the like, where the url of a source has none',
  PGSLUICE_TOKEN: 'the http.token of the daemon, for --url',
  NOTIFY_SOCKET: 'where systemd is told that the daemon is ready, reloads and stops',
  'WATCHDOG_USEC, WATCHDOG_PID': 'how often systemd wants to hear of the daemon',
  JOURNAL_STREAM: 'tells the systemd journal, whose lines begin with their level',
} as const;

export type VariableName = keyof typeof VARIABLES;

/** Whether the value of an option such as --to, which may be a date or a name elsewhere, is a URL. */
export function isUrl(text: string | undefined): boolean {
  return text?.includes('://') === true;
}

/** What was typed after the name of the command. */
export class Given {
  /** Arguments without a dash, in their order. */
  readonly arguments: readonly string[];
  readonly #options: Readonly<Record<string, unknown>>;

  constructor(given: readonly string[], options: Readonly<Record<string, unknown>>) {
    this.arguments = given;
    this.#options = options;
  }

  /** The first argument, of a command that cannot be typed without one. */
  get archive(): string {
    return this.arguments[0] ?? '';
  }

  flag(name: string): boolean {
    return this.#options[name] === true;
  }

  /** An option that has a default. */
  text(name: string): string {
    return String(this.#options[name]);
  }

  /** All that an option that repeats was given; empty without. */
  list(name: string): string[] {
    const given = this.#options[name];
    return Array.isArray(given) ? given.map(String) : [];
  }

  /** Those of the options that were given. */
  texts<K extends string>(...names: K[]): Partial<Record<K, string>> {
    const given = names.filter((name) => this.#options[name] !== undefined);
    return Object.fromEntries(given.map((name) => [name, String(this.#options[name])])) as Partial<Record<K, string>>;
  }

  /** The second argument, as the run that is meant; absent when it was not given. */
  run(): { run?: string } {
    const [, run] = this.arguments;
    return run === undefined ? {} : { run };
  }
}
