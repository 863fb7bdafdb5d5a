/** A line of the log as a person reads it: when, how bad, of which archive and run, what, and figures with their units. */
import { formatBytes, formatCount, formatDuration, formatLocalTime } from './units.ts';
import { visible } from './visible.ts';

export interface TextOptions {
  /** Whether each line begins with the time; the journal has its own. */
  time: boolean;
  /** Whether the level stands out by its colour. */
  color: boolean;
}

/** One of pino's lines, parsed. */
type LogRecord = Readonly<Record<string, unknown>>;

const LEVELS: readonly (readonly [from: number, word: string, color: number])[] = [
  [60, 'FATAL', 31],
  [50, 'ERROR', 31],
  [40, 'WARN', 33],
  [30, 'INFO', 0],
  [20, 'DEBUG', 2],
  [0, 'TRACE', 2],
];
const LEVEL_CHARS = 5;

/** Said at another place of the line, or by its words; `stage` is the program's own matter. */
const SAID = new Set(['level', 'time', 'pid', 'msg', 'archive', 'run', 'status', 'error', 'failure', 'err']);
const LABELS: Readonly<Record<string, string>> = { jsonBytes: 'JSONL', bytes: 'size', seconds: 'took' };
const ACRONYMS: Readonly<Record<string, string>> = { rss: 'RSS', url: 'URL', json: 'JSON', lsn: 'LSN' };
/** Numbers of these are names. */
const NAMED_BY_NUMBER = /pid$|port$|oid$|code$/i;
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/;
const MOST_ITEMS = 10;
const MOST_DEPTH = 3;

/** The lines for one record, each without its line break: the first one, and those on a failure, which are indented. */
export function describeRecord(record: LogRecord, { time, color }: TextOptions): string[] {
  const { archive, run, msg } = record;
  const failure = [record['error'], record['failure'], record['err']].find(isObject);
  const subject = [archive, run].filter((part) => typeof part === 'string').join(' ');
  const start = [...(time ? [describeTime(record['time'])] : []), describeLevel(Number(record['level']), color)];
  const message = `${subject === '' ? '' : `${subject}: `}${textOf(msg)}${describeReason(record, failure)}`;
  const figures = figuresOf(record, failure !== undefined);
  const first = `${start.join(' ')} ${visible(message)}${figures.length === 0 ? '' : ` (${visible(figures.join(', '))})`}`;
  return [first, ...(failure === undefined ? [] : describeFailure(failure))];
}

function describeTime(time: unknown): string {
  return typeof time === 'string' ? formatLocalTime(new Date(time)) : '';
}

function describeLevel(level: number, isColored: boolean): string {
  const [, word, color] = LEVELS.find(([from]) => level >= from) ?? [0, 'INFO', 0];
  const padded = word.padEnd(LEVEL_CHARS);
  return isColored && color !== 0 ? `\u001b[${color}m${padded}\u001b[0m` : padded;
}

/** `: the connection broke (session-lost)`. */
function describeReason(record: LogRecord, failure: LogRecord | undefined): string {
  if (failure === undefined) {
    const text = record['error'] ?? record['failure'];
    return typeof text === 'string' ? `: ${text}` : '';
  }
  const { message, code, type } = failure;
  const name = typeof code === 'string' ? code : type;
  const said = textOf(message);
  const isNew = said !== '' && !textOf(record['msg']).includes(said);
  return `${isNew ? `: ${said}` : ''}${typeof name === 'string' ? ` (${name})` : ''}`;
}

/** What to do stands last, where the eye is. A cause may be the stack of an error. */
function describeFailure({ cause, stack, hint, see }: LogRecord): string[] {
  const labelled: [string, unknown][] = [
    ['cause', cause ?? stack],
    ['hint', hint],
    ['see', see],
  ];
  return labelled.flatMap(([label, text]) =>
    textOf(text)
      .split('\n')
      .filter((line) => line !== '')
      .map((line, at) => `  ${(at === 0 ? label : '').padEnd(LEVEL_CHARS)}  ${visible(line)}`),
  );
}

/** Of what has failed, nothing is said of what there is none of. */
function figuresOf(record: LogRecord, hasFailed: boolean): string[] {
  return Object.entries(record).flatMap(([key, value]) =>
    SAID.has(key) || (hasFailed && value === 0) ? [] : describeFigure([key], value),
  );
}

/** `rows 20,000`, `peak heap 15.2 MiB`, `resumed`; of an object, each of its fields. What says nothing is left out. */
function describeFigure(path: readonly string[], value: unknown): string[] {
  const key = path.at(-1) ?? '';
  if (value === null || value === undefined || value === false || value === '') return [];
  if (value === true) return [labelOf(path)];
  if (typeof value === 'number') return [describeNumber(path, key, value)];
  if (Array.isArray(value)) return value.length === 0 ? [] : [`${labelOf(path)} ${describeList(value)}`];
  if (isObject(value) && path.length < MOST_DEPTH)
    return Object.entries(value).flatMap(([name, part]) => describeFigure([...path, name], part));
  return [`${labelOf(path)} ${textOf(value)}`];
}

function describeNumber(path: readonly string[], key: string, value: number): string {
  if (key === 'bytes' || key.endsWith('Bytes')) return `${labelOf(path, 'Bytes')} ${formatBytes(value)}`;
  if (key.endsWith('Ms')) return `${labelOf(path, 'Ms')} ${formatDuration(value)}`;
  if (key === 'seconds' || key.endsWith('Seconds'))
    return `${labelOf(path, 'Seconds')} ${formatDuration(value * 1000)}`;
  const isCount = Number.isSafeInteger(value) && !NAMED_BY_NUMBER.test(key);
  return `${labelOf(path)} ${isCount ? formatCount(value) : String(value)}`;
}

function describeList(items: readonly unknown[]): string {
  const shown = items.slice(0, MOST_ITEMS).map(textOf).join('; ');
  return items.length > MOST_ITEMS ? `${shown} and ${formatCount(items.length - MOST_ITEMS)} more` : shown;
}

/** `peakHeapBytes` is `peak heap`, of `estimate.rows` `estimate rows`. */
function labelOf(path: readonly string[], unit = ''): string {
  return path
    .map(
      (key) =>
        LABELS[key] ?? wordsOf(key.endsWith(unit) && key !== unit ? key.slice(0, key.length - unit.length) : key),
    )
    .join(' ');
}

function wordsOf(key: string): string {
  return key
    .replace(/(?<=[a-z])(?=[A-Z])/g, ' ')
    .toLowerCase()
    .split(' ')
    .map((word) => ACRONYMS[word] ?? word)
    .join(' ');
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return ISO_TIME.test(value) ? formatLocalTime(new Date(value)) : value;
  return JSON.stringify(value);
}

function isObject(value: unknown): value is LogRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
