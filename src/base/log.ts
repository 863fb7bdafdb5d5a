/**
 * The log: pino's JSON lines, or the same as text for people, without secrets, and without what a terminal would obey. The
 * only importer of pino.
 */
import { fstatSync } from 'node:fs';
import { isatty } from 'node:tty';
import { pino } from 'pino';
import { failureReference } from './failures.ts';
import { LineWriter } from './line-writer.ts';
import { describeRecord, type TextOptions } from './log-text.ts';
import { scrub } from './secrets.ts';
import { visible, visibleJson } from './visible.ts';

/** pino's logger, so that callers need not import pino. */
export type Log = pino.Logger;

/** `text` is for people, `json` for programs; `auto` is text on a terminal and in the journal, and JSON elsewhere. */
export type LogFormat = 'auto' | 'text' | 'json';

/** What {@link createLog} needs to know. */
export interface LogOptions {
  /** `trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`. */
  level: string;
  /** Default `stderr`, as stdout is for the data that a command prints. */
  destination?: 'stderr' | 'stdout';
  /** Whether to start each line with the level in the form that journald reads; see {@link isSystemdJournal}. */
  systemdJournal?: boolean;
  /** Default `json`. */
  format?: LogFormat;
  /** Whether text may have colours, where it goes to a terminal. */
  color?: boolean;
  /** Takes the place of the descriptor: a progress bar that has lines above it. Gets one record, each line with its line break. */
  write?: ((text: string) => void) | undefined;
  /** Fields that every line carries, beside the process id. */
  base?: Record<string, unknown>;
}

const FD = { stdout: 1, stderr: 2 };

/** Opens the log. Every line is written before the call returns, so that none is lost in a crash or a worker's end. */
export function createLog(options: LogOptions): Log {
  const fd = FD[options.destination ?? 'stderr'];
  const journal = options.systemdJournal ?? false;
  const writer = new LineWriter(fd);
  return pino(
    {
      level: options.level,
      base: { pid: process.pid, ...options.base },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { error: addReference, failure: addReference },
    },
    openDestination(options.write ?? ((text) => writer.write(text)), journal, formatOf(options, fd)),
  );
}

/** A failure, with where the documentation tells more of it. Anything else is left as it is. */
function addReference(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const code: unknown = Reflect.get(value, 'code');
  const see = typeof code === 'string' ? failureReference(code) : undefined;
  return see === undefined ? value : { ...value, see };
}

/**
 * Whether what is written to `fd` goes straight to the systemd journal. systemd puts the device and inode of the
 * journal's socket in JOURNAL_STREAM; they differ from the descriptor's when someone redirected it.
 */
export function isSystemdJournal(fd: number, env: Readonly<Record<string, string | undefined>>): boolean {
  const stream = env['JOURNAL_STREAM'];
  if (stream === undefined || stream === '') return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/** How a record without secrets is written: each line that it takes, without its line break. */
type Format = (record: string) => readonly string[];

function formatOf({ format = 'json', systemdJournal = false, color = false }: LogOptions, fd: number): Format {
  const isTerminal = isatty(fd);
  const isText = format === 'text' || (format === 'auto' && (isTerminal || systemdJournal));
  if (!isText) return (record) => [visibleJson(record)];
  return (record) => describeLine(record, { time: !systemdJournal, color: color && isTerminal });
}

function describeLine(record: string, options: TextOptions): string[] {
  try {
    return describeRecord(JSON.parse(record) as Record<string, unknown>, options);
  } catch {
    return [visible(record)];
  }
}

/** A destination for pino, which sets `lastLevel` before each write when the metadata symbol asks for it. */
function openDestination(write: (text: string) => void, toSystemd: boolean, format: Format): pino.DestinationStream {
  return {
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 30,
    write(line: string): void {
      const start = toSystemd ? `<${syslogPriority(this.lastLevel)}>` : '';
      const lines = format(cleanLine(line.trimEnd()));
      write(lines.map((text) => `${start}${text}\n`).join(''));
    },
  } as pino.DestinationStream & { lastLevel: number };
}

/** syslog's priority for a pino level; systemd takes it from the start of a line (sd-daemon(3)). */
function syslogPriority(level: number): number {
  if (level >= 60) return 2;
  if (level >= 50) return 3;
  if (level >= 40) return 4;
  return level >= 30 ? 6 : 7;
}

const SECRET_KEYS = new Set([
  'url',
  'password',
  'secretaccesskey',
  'accesskeyid',
  'sessiontoken',
  'token',
  'authorization',
]);
const SECRET_KEY_IN_JSON = new RegExp(`"(?:${[...SECRET_KEYS].join('|')})":`, 'i');

/**
 * The line without secrets. pino's own redaction reaches a fixed depth only, and does not look inside of texts; here,
 * a line that holds anything suspicious is parsed, and cleaned value by value, so that it stays valid JSON.
 */
function cleanLine(line: string): string {
  if (!SECRET_KEY_IN_JSON.test(line) && scrub(line) === line) return line;
  try {
    return JSON.stringify(JSON.parse(line, cleanValue));
  } catch {
    return scrub(line);
  }
}

function cleanValue(key: string, value: unknown): unknown {
  if (SECRET_KEYS.has(key.toLowerCase()) && value !== null) return '***';
  return typeof value === 'string' ? scrub(value) : value;
}
