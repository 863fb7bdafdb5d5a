/** The log: pino's JSON lines, without secrets, and without what a terminal would obey. The only importer of pino. */
import { fstatSync } from 'node:fs';
import { pino } from 'pino';
import { failureReference } from './failures.ts';
import { LineWriter } from './line-writer.ts';
import { scrub } from './secrets.ts';
import { visibleJson } from './visible.ts';

/** pino's logger, so that callers need not import pino. */
export type Log = pino.Logger;

/** What {@link createLog} needs to know. */
export interface LogOptions {
  /** `trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`. */
  level: string;
  /** Default `stderr`, as stdout is for the data that a command prints. */
  destination?: 'stderr' | 'stdout';
  /** Whether to start each line with the level in the form that journald reads; see {@link isSystemdJournal}. */
  systemdJournal?: boolean;
  /** Fields that every line carries, beside the process id. */
  base?: Record<string, unknown>;
}

const FD = { stdout: 1, stderr: 2 };

/** Opens the log. Every line is written before the call returns, so that none is lost in a crash or a worker's end. */
export function createLog(options: LogOptions): Log {
  const fd = FD[options.destination ?? 'stderr'];
  return pino(
    {
      level: options.level,
      base: { pid: process.pid, ...options.base },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { error: addReference, failure: addReference },
    },
    openDestination(new LineWriter(fd), options.systemdJournal ?? false),
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

/** A destination for pino, which sets `lastLevel` before each write when the metadata symbol asks for it. */
function openDestination(writer: LineWriter, toSystemd: boolean): pino.DestinationStream {
  return {
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 30,
    write(line: string): void {
      const clean = visibleJson(cleanLine(line));
      writer.write(toSystemd ? `<${syslogPriority(this.lastLevel)}>${clean}` : clean);
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
    return `${JSON.stringify(JSON.parse(line, cleanValue))}\n`;
  } catch {
    return scrub(line);
  }
}

function cleanValue(key: string, value: unknown): unknown {
  if (SECRET_KEYS.has(key.toLowerCase()) && value !== null) return '***';
  return typeof value === 'string' ? scrub(value) : value;
}
