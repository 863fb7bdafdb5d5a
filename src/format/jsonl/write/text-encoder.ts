/** Turns rows of text values, as Postgres prints them, into JSON Lines: byte for byte what row_to_json prints. */
import type { Column, Encoding } from '../../../postgres/columns.ts';
import { lineFrame } from '../frame.ts';
import { unquote } from './json-text.ts';

/** A row as the driver gives it: one text or null for each column. */
export type TextRow = readonly (string | null)[];

/** Bytes of JSON that are gathered before they are handed on, and the most characters of one value that are encoded at once. */
const PIECE_CHARS = 64 * 1024;

type EncodeValue = (text: string) => string;

/** JSON.stringify escapes exactly what Postgres's escape_json does, in the same form; text from Postgres holds no lone surrogate. */
const quote: EncodeValue = (text) => JSON.stringify(text);

const ENCODERS: Record<Encoding, EncodeValue> = {
  boolean: (text) => (text === 't' ? 'true' : 'false'),
  integer: (text) => text,
  number: encodeNumber,
  string: quote,
  date: quote,
  timestamp: (text) => quote(isoTimestamp(text)),
  timestamptz: (text) => quote(isoTimestamptz(text)),
  json: unbreakLines,
  jsonb: (text) => text,
  server: unbreakLines,
  text: quote,
};

const STRING_PIECES = { edge: '"', encode: (text: string): string => JSON.stringify(text).slice(1, -1) };

/** Encodings whose values may be long, and how a piece of a value becomes a piece of JSON. */
const PIECEWISE: Partial<Record<Encoding, { edge: string; encode: EncodeValue }>> = {
  string: STRING_PIECES,
  text: STRING_PIECES,
  json: { edge: '', encode: unbreakLines },
  jsonb: { edge: '', encode: (text) => text },
  server: { edge: '', encode: unbreakLines },
};

interface ColumnEncoder {
  /** What stands before its value in a line. */
  prefix: string;
  encode: EncodeValue;
  pieces: { edge: string; encode: EncodeValue } | undefined;
}

/** Encodes rows of the given columns. */
export class TextEncoder {
  readonly #columns: ColumnEncoder[];
  readonly #end: string;
  /** Rows encoded so far. */
  rows = 0;

  constructor(columns: readonly Column[]) {
    const { prefixes, end } = lineFrame(columns.map(({ name }) => name));
    this.#columns = columns.map(({ encoding }, index) => ({
      prefix: prefixes[index] ?? '',
      encode: ENCODERS[encoding],
      pieces: PIECEWISE[encoding],
    }));
    this.#end = end;
  }

  /** Yields the lines of `rows` in buffers of about 64 KiB, which the receiver owns. */
  *encode(rows: Iterable<TextRow>): Generator<Buffer, void, undefined> {
    let text = '';
    for (const row of rows) {
      for (let at = 0; at < this.#columns.length; at += 1) {
        const column = this.#columns[at];
        const value = row[at];
        if (column === undefined || value === undefined) throw new Error(`a row has ${row.length} values`);
        text += column.prefix;
        if (value === null) text += 'null';
        else if (value.length < PIECE_CHARS || column.pieces === undefined) text += column.encode(value);
        else {
          yield Buffer.from(text + column.pieces.edge);
          for (const piece of piecesOf(value)) yield Buffer.from(column.pieces.encode(piece));
          text = column.pieces.edge;
        }
        // Within a row, too: many columns of some length make a line that no heap has room for.
        if (text.length >= PIECE_CHARS) {
          yield Buffer.from(text);
          text = '';
        }
      }
      text += this.#end;
      this.rows += 1;
      if (text.length >= PIECE_CHARS) {
        yield Buffer.from(text);
        text = '';
      }
    }
    if (text !== '') yield Buffer.from(text);
  }
}

/** A value as it is in JSON, but without quotes. */
export function plainValue(column: Column, text: string): string {
  return unquote(ENCODERS[column.encoding](text));
}

/** NaN and the infinities are no JSON numbers: Postgres puts them in quotes. All other numbers start with a digit or a minus. */
function encodeNumber(text: string): string {
  const first = text.charCodeAt(text.charCodeAt(0) === 0x2d ? 1 : 0);
  return first >= 0x30 && first <= 0x39 ? text : `"${text}"`;
}

/** `2024-02-29 12:00:00.5 BC` becomes `2024-02-29T12:00:00.5 BC`; the infinities have no blank at that place. */
function isoTimestamp(text: string): string {
  const blank = text.indexOf(' ');
  return blank < 0 ? text : `${text.slice(0, blank)}T${text.slice(blank + 1)}`;
}

/** As {@link isoTimestamp}, and the zone, which is `+00` as the session is in UTC, gets its minutes. */
function isoTimestamptz(text: string): string {
  const zone = text.indexOf('+00');
  return zone < 0 ? text : `${isoTimestamp(text.slice(0, zone))}+00:00${text.slice(zone + 3)}`;
}

/** Line breaks in JSON are white space (inside strings they are escaped), and a line must stay one line. */
function unbreakLines(text: string): string {
  return text.includes('\n') || text.includes('\r') ? text.replaceAll(/[\n\r]/g, ' ') : text;
}

/** Cuts a long text between characters, never inside a surrogate pair. */
function* piecesOf(text: string): Generator<string, void, undefined> {
  for (let start = 0; start < text.length;) {
    let end = Math.min(start + PIECE_CHARS, text.length);
    if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end -= 1;
    yield text.slice(start, end);
    start = end;
  }
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}
