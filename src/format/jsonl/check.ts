/**
 * Checks JSON Lines byte by byte as they stream by: that each line is one JSON object with exactly the wanted columns, in
 * their order. It holds no line: one of 500 MB costs as little memory as one of 5 bytes. The hot loop of `verify`.
 *
 * Where our writer leaves no choice (braces, names of columns, commas between them) the bytes must be the very ones that
 * it writes; the values between follow the grammar of RFC 8259, with UTF-8 that is valid.
 */
import { lineFrame } from './frame.ts';
import { KeyValue } from './key-value.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const LINE_FEED = 0x0a;
/** What is below stands in a text as an escape alone. */
const FIRST_PRINTABLE = 0x20;

/** What must come next. */
const IN = {
  /** The fixed bytes around the values of the columns. */
  frame: 0,
  value: 1,
  /** After `[`: a value, or its end. */
  arrayStart: 2,
  string: 3,
  escape: 4,
  hexDigits: 5,
  /** The further bytes of a character in UTF-8. */
  character: 6,
  afterMinus: 7,
  afterZero: 8,
  integer: 9,
  afterDot: 10,
  fraction: 11,
  afterE: 12,
  afterExponentSign: 13,
  exponent: 14,
  /** The rest of true, false or null. */
  word: 15,
  afterValue: 16,
  /** The name of a member of an object inside of a value. */
  name: 17,
  /** After `{`: a name, or its end. */
  objectStart: 18,
  colon: 19,
  /** The line is bad; the next one begins after the line feed. */
  badLine: 20,
} as const;

const PLAIN = tableOf((byte) => byte >= FIRST_PRINTABLE && byte < 0x80 && byte !== QUOTE && byte !== BACKSLASH);
const DIGIT = tableOf((byte) => byte >= ZERO && byte <= 0x39);
const HEX_DIGIT = tableOf((byte) => /[0-9a-fA-F]/.test(String.fromCharCode(byte)));
const ESCAPABLE = tableOf((byte) => byte < 0x80 && '"\\/bfnrt'.includes(String.fromCharCode(byte)));
/** Line breaks inside of a value are blanks in our lines. */
const BLANK = tableOf((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
const NO_BYTES = Buffer.alloc(0);
const WORDS = new Map(['true', 'false', 'null'].map((word) => [word.charCodeAt(0), Buffer.from(word)]));

/** Postgres itself refuses JSON that nests deeper than its stack allows, some 10,000 levels. */
const MAX_DEPTH = 100_000;

export class LineScanner {
  /** Line feeds so far. */
  lines = 0;
  readonly #frames: Buffer[];
  /** By column: which part of the key it is, or -1. */
  readonly #keyParts: Int32Array;
  readonly #onProblem: (line: number, message: string) => void;
  #state: number = IN.frame;
  #column = 0;
  /** Bytes of the frame, or of the word, that have been seen. */
  #matched = 0;
  #word = NO_BYTES;
  /** Levels of arrays and objects inside of a column's value; by level, 1 for an object. */
  #depth = 0;
  #levels = new Uint8Array(64);
  #isName = false;
  #hexLeft = 0;
  #characterLeft = 0;
  #characterLow = 0;
  #characterHigh = 0;
  /** Start of the line in the present chunk; negative when earlier ones hold some of it. */
  #lineStart = 0;
  #valueStart = 0;
  #present: KeyValue[];
  #last: KeyValue[];
  #firstKey: (string | undefined)[] | undefined;
  #lastIsWhole = false;

  /** `keyColumns` are indexes into `columns`; `onProblem` is called once a bad line. */
  constructor(
    columns: readonly string[],
    keyColumns: readonly number[],
    onProblem: (line: number, message: string) => void,
  ) {
    const { prefixes, end } = lineFrame(columns);
    this.#frames = [...prefixes, end].map((text) => Buffer.from(text));
    this.#keyParts = Int32Array.from(columns, (_, at) => keyColumns.indexOf(at));
    this.#onProblem = onProblem;
    this.#present = keyColumns.map(() => new KeyValue());
    this.#last = keyColumns.map(() => new KeyValue());
  }

  /** JSON of the key's values in the first line, if that was good; a part that is too long is undefined. */
  get firstKey(): (string | undefined)[] | undefined {
    return this.#firstKey;
  }

  /** The same of the last line. */
  get lastKey(): (string | undefined)[] | undefined {
    return this.#lastIsWhole ? this.#last.map(jsonOf) : undefined;
  }

  /** Takes the next bytes, and is done with them when it returns. */
  add(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) at = this.#step(chunk, at);
    this.#lineStart -= chunk.length;
    if (this.#isInKey()) this.#noteKey(chunk, chunk.length);
    this.#valueStart = 0;
    for (const value of this.#last) value.leaveChunk();
    for (const value of this.#present) value.leaveChunk();
  }

  /** To be called once, after the last bytes. */
  end(): void {
    if (this.#lineStart < 0) this.#onProblem(this.lines + 1, 'the last line has no end');
  }

  /** Goes on from `at`, and returns the place after what it took. */
  #step(chunk: Buffer, at: number): number {
    switch (this.#state) {
      case IN.frame:
        return this.#frame(chunk, at);
      case IN.value:
      case IN.arrayStart:
        return this.#value(chunk, at);
      case IN.string:
        return this.#string(chunk, at);
      case IN.escape:
        return this.#escape(chunk, at);
      case IN.hexDigits:
        return this.#hexDigits(chunk, at);
      case IN.character:
        return this.#character(chunk, at);
      case IN.word:
        return this.#wordRest(chunk, at);
      case IN.afterValue:
        return this.#afterValue(chunk, at);
      case IN.name:
      case IN.objectStart:
        return this.#name(chunk, at);
      case IN.colon:
        return this.#colon(chunk, at);
      case IN.badLine:
        return this.#skipLine(chunk, at);
      default:
        return this.#number(chunk, at);
    }
  }

  #frame(chunk: Buffer, start: number): number {
    const frame = this.#frames[this.#column] ?? NO_BYTES;
    let at = start;
    let matched = this.#matched;
    for (; matched < frame.length && at < chunk.length; matched += 1, at += 1) {
      if (chunk[at] !== frame[matched]) return this.#fail(chunk, at, describeFrame(frame));
    }
    this.#matched = matched < frame.length ? matched : 0;
    if (matched < frame.length) return at;
    if (this.#column === this.#frames.length - 1) this.#endLine(at, true);
    else {
      this.#state = IN.value;
      this.#valueStart = at;
    }
    return at;
  }

  #value(chunk: Buffer, start: number): number {
    const at = afterBlanks(chunk, start);
    if (at === chunk.length) return at;
    const byte = chunk[at] ?? 0;
    if (byte === QUOTE) {
      this.#isName = false;
      this.#state = IN.string;
    } else if (byte === ZERO) this.#state = IN.afterZero;
    else if (DIGIT[byte] === 1) this.#state = IN.integer;
    else if (byte === MINUS) this.#state = IN.afterMinus;
    else if (byte === OPEN_OBJECT) return this.#open(chunk, at, 1, IN.objectStart);
    else if (byte === OPEN_ARRAY) return this.#open(chunk, at, 0, IN.arrayStart);
    else if (byte === CLOSE_ARRAY && this.#state === IN.arrayStart) this.#close();
    else {
      const word = WORDS.get(byte);
      if (word === undefined) return this.#fail(chunk, at, 'a value');
      this.#word = word;
      this.#matched = 1;
      this.#state = IN.word;
    }
    return at + 1;
  }

  #open(chunk: Buffer, at: number, kind: number, next: number): number {
    if (this.#depth === MAX_DEPTH) return this.#fail(chunk, at, `no more than ${MAX_DEPTH} levels`);
    if (this.#depth === this.#levels.length) {
      const levels = new Uint8Array(this.#levels.length * 2);
      levels.set(this.#levels);
      this.#levels = levels;
    }
    this.#levels[this.#depth] = kind;
    this.#depth += 1;
    this.#state = next;
    return at + 1;
  }

  #close(): void {
    this.#depth -= 1;
    this.#state = IN.afterValue;
  }

  #string(chunk: Buffer, start: number): number {
    let at = start;
    for (;;) {
      while (at < chunk.length && PLAIN[chunk[at] ?? 0] === 1) at += 1;
      if (at === chunk.length) return at;
      const after = afterThreeBytes(chunk, at);
      if (after === at) break;
      at = after;
    }
    const byte = chunk[at] ?? 0;
    if (byte === QUOTE) this.#state = this.#isName ? IN.colon : IN.afterValue;
    else if (byte === BACKSLASH) this.#state = IN.escape;
    else if (byte < FIRST_PRINTABLE) return this.#fail(chunk, at, 'the rest of a text in quotes');
    else if (!this.#beginCharacter(byte)) return this.#fail(chunk, at, 'a character in UTF-8');
    return at + 1;
  }

  /** The ranges of the Unicode standard, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF. */
  #beginCharacter(byte: number): boolean {
    if (byte < 0xc2 || byte > 0xf4) return false;
    this.#characterLeft = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    this.#characterLow = byte === 0xe0 ? 0xa0 : byte === 0xf0 ? 0x90 : 0x80;
    this.#characterHigh = byte === 0xed ? 0x9f : byte === 0xf4 ? 0x8f : 0xbf;
    this.#state = IN.character;
    return true;
  }

  #character(chunk: Buffer, start: number): number {
    let at = start;
    for (; this.#characterLeft > 0 && at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0;
      if (byte < this.#characterLow || byte > this.#characterHigh)
        return this.#fail(chunk, at, 'the rest of a character in UTF-8');
      this.#characterLow = 0x80;
      this.#characterHigh = 0xbf;
      this.#characterLeft -= 1;
    }
    if (this.#characterLeft === 0) this.#state = IN.string;
    return at;
  }

  #escape(chunk: Buffer, at: number): number {
    const byte = chunk[at] ?? 0;
    if (ESCAPABLE[byte] === 1) this.#state = IN.string;
    else if (byte === 0x75) {
      this.#hexLeft = 4;
      this.#state = IN.hexDigits;
    } else return this.#fail(chunk, at, 'the rest of an escape');
    return at + 1;
  }

  #hexDigits(chunk: Buffer, start: number): number {
    let at = start;
    for (; this.#hexLeft > 0 && at < chunk.length; this.#hexLeft -= 1, at += 1) {
      if (HEX_DIGIT[chunk[at] ?? 0] !== 1) return this.#fail(chunk, at, 'a hex digit');
    }
    if (this.#hexLeft === 0) this.#state = IN.string;
    return at;
  }

  #number(chunk: Buffer, start: number): number {
    let state = this.#state;
    for (let at = start; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0;
      if (state === IN.integer && DIGIT[byte] === 1) continue;
      state = afterNumberByte(state, byte);
      if (state === IN.badLine) return this.#fail(chunk, at, 'the rest of a number');
      if (state !== IN.afterValue) continue;
      this.#state = state;
      return at;
    }
    this.#state = state;
    return chunk.length;
  }

  #wordRest(chunk: Buffer, start: number): number {
    let at = start;
    for (; this.#matched < this.#word.length && at < chunk.length; this.#matched += 1, at += 1) {
      if (chunk[at] !== this.#word[this.#matched]) return this.#fail(chunk, at, this.#word.toString());
    }
    if (this.#matched === this.#word.length) {
      this.#matched = 0;
      this.#state = IN.afterValue;
    }
    return at;
  }

  #afterValue(chunk: Buffer, start: number): number {
    if (this.#depth === 0) this.#noteKey(chunk, start);
    const at = afterBlanks(chunk, start);
    if (at === chunk.length) return at;
    if (this.#depth === 0) {
      this.#column += 1;
      this.#state = IN.frame;
      return at;
    }
    const isObject = this.#levels[this.#depth - 1] === 1;
    const byte = chunk[at] ?? 0;
    if (byte === COMMA) this.#state = isObject ? IN.name : IN.value;
    else if (byte === (isObject ? CLOSE_OBJECT : CLOSE_ARRAY)) this.#close();
    else return this.#fail(chunk, at, isObject ? '"," or "}"' : '"," or "]"');
    return at + 1;
  }

  #name(chunk: Buffer, start: number): number {
    const at = afterBlanks(chunk, start);
    if (at === chunk.length) return at;
    const byte = chunk[at];
    if (byte === QUOTE) {
      this.#isName = true;
      this.#state = IN.string;
    } else if (byte === CLOSE_OBJECT && this.#state === IN.objectStart) this.#close();
    else return this.#fail(chunk, at, 'a name in quotes');
    return at + 1;
  }

  #colon(chunk: Buffer, start: number): number {
    const at = afterBlanks(chunk, start);
    if (at === chunk.length) return at;
    if (chunk[at] !== COLON) return this.#fail(chunk, at, '":"');
    this.#state = IN.value;
    return at + 1;
  }

  /** Reports the line, and leaves the rest of it alone. */
  #fail(chunk: Buffer, at: number, expected: string): number {
    this.#onProblem(this.lines + 1, `at byte ${at - this.#lineStart + 1} comes ${show(chunk[at])}, not ${expected}`);
    this.#state = IN.badLine;
    return at;
  }

  #skipLine(chunk: Buffer, start: number): number {
    const at = chunk.indexOf(LINE_FEED, start);
    if (at < 0) return chunk.length;
    this.#endLine(at + 1, false);
    return at + 1;
  }

  #endLine(next: number, isGood: boolean): void {
    this.lines += 1;
    this.#lineStart = next;
    this.#state = IN.frame;
    this.#column = 0;
    this.#matched = 0;
    this.#depth = 0;
    if (this.#present.length === 0) return;
    this.#lastIsWhole = isGood;
    [this.#last, this.#present] = [this.#present, this.#last];
    if (isGood && this.lines === 1) this.#firstKey = this.#last.map(jsonOf);
    for (const value of this.#present) value.clear();
  }

  #isInKey(): boolean {
    const { frame, badLine } = IN;
    return this.#state !== frame && this.#state !== badLine && (this.#keyParts[this.#column] ?? -1) >= 0;
  }

  /** What there is of the value, as it may go on in the next chunk. */
  #noteKey(chunk: Buffer, end: number): void {
    this.#present[this.#keyParts[this.#column] ?? -1]?.note(chunk, this.#valueStart, end);
  }
}

/** A short cut for the most common of the longer characters, U+1000 to U+CFFF; the same place where another one stands. */
function afterThreeBytes(chunk: Buffer, at: number): number {
  const first = chunk[at] ?? 0;
  if (first <= 0xe0 || first >= 0xed || at + 2 >= chunk.length) return at;
  const areRest = ((chunk[at + 1] ?? 0) & 0xc0) === 0x80 && ((chunk[at + 2] ?? 0) & 0xc0) === 0x80;
  return areRest ? at + 3 : at;
}

/** The state after one more byte of a number; `afterValue` when the byte is no longer part of it, `badLine` when it cannot be. */
function afterNumberByte(state: number, byte: number): number {
  const isDigit = DIGIT[byte] === 1;
  switch (state) {
    case IN.afterMinus:
      return byte === ZERO ? IN.afterZero : isDigit ? IN.integer : IN.badLine;
    case IN.afterDot:
    case IN.fraction:
      if (isDigit) return IN.fraction;
      return state === IN.afterDot ? IN.badLine : afterDigits(byte);
    case IN.afterE:
      if (byte === MINUS || byte === 0x2b) return IN.afterExponentSign;
      return isDigit ? IN.exponent : IN.badLine;
    case IN.afterExponentSign:
      return isDigit ? IN.exponent : IN.badLine;
    case IN.exponent:
      return isDigit ? IN.exponent : IN.afterValue;
    default:
      if (isDigit) return state === IN.integer ? IN.integer : IN.badLine;
      return byte === DOT ? IN.afterDot : afterDigits(byte);
  }
}

function afterDigits(byte: number): number {
  return byte === 0x65 || byte === 0x45 ? IN.afterE : IN.afterValue;
}

function afterBlanks(chunk: Buffer, start: number): number {
  let at = start;
  while (at < chunk.length && BLANK[chunk[at] ?? 0] === 1) at += 1;
  return at;
}

function describeFrame(frame: Buffer): string {
  const text = frame.toString();
  return text.endsWith('\n') ? `${text.slice(0, -1)} and the end of the line` : text;
}

function show(byte: number | undefined): string {
  if (byte === LINE_FEED) return 'the end of the line';
  return byte !== undefined && byte > 0x20 && byte < 0x7f
    ? String.fromCharCode(byte)
    : `0x${(byte ?? 0).toString(16).padStart(2, '0')}`;
}

function jsonOf({ json }: KeyValue): string | undefined {
  return json;
}

function tableOf(isIn: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (isIn(byte) ? 1 : 0));
}
