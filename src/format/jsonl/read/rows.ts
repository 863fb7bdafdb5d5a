/** Turns JSON Lines into the rows of COPY in text format, byte by byte: a row may be of any width. */
import { fail, type FailureError } from '../../../base/errors.ts';
import { formatBytes, formatCount } from '../../../base/units.ts';
import type { RestoreColumn, ValueForm } from '../forms.ts';
import { lineFrame } from '../frame.ts';
import { AttributeGone, inputText } from './nested.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const SLASH = 0x2f;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const LETTER_N = 0x6e;
const LETTER_T = 0x74;
const LETTER_U = 0x75;
const TAB = 0x09;
const LINE_FEED = 0x0a;

/** Where the machine stands between two bytes. */
const State = {
  /** In the bytes between two values, which are known: `,"name":` and the like. */
  between: 0,
  /** At the first byte of a value. */
  start: 1,
  /** Inside a string that is decoded. */
  string: 2,
  /** Behind the backslash of such a string. */
  escape: 3,
  /** In the four hex digits of a `\u`. */
  hex: 4,
  /** Inside a value that is taken as it stands, up to the comma or brace behind it. */
  raw: 5,
  /** In what may be `null`. */
  null: 6,
} as const;

/** COPY knows the same letters, so these escapes stay as they are. */
const LETTER_ESCAPES = new Set(Buffer.from('bfnrt'));
/** Characters that COPY gives a meaning, by the letter that stands for them. */
const COPY_LETTERS: Record<number, number> = { 0x08: 0x62, 0x09: 0x74, 0x0a: 0x6e, 0x0c: 0x66, 0x0d: 0x72 };
const COPY_ESCAPES: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const NULL_JSON = Buffer.from('null');

/** Of a string no longer than this, the bytes are copied one by one. */
const SHORT_STRING_BYTES = 48;

interface Place {
  /** What stands between the value before and this one. */
  prefix: Buffer;
  form: ValueForm | undefined;
  /** Whether a tab goes before the value. */
  tab: boolean;
}

/** Follows the bytes of JSON Lines whose objects have exactly `columns`, in their order. */
export class CopyRows {
  /** Rows whose line feed has been seen. */
  rows = 0;
  readonly #places: Place[];
  readonly #lineEnd: Buffer;
  readonly #maxValueBytes: number;
  /** Gathers what goes out. */
  #output = Buffer.alloc(0);
  #length = 0;
  #state: number = State.between;
  #column = 0;
  #expected: Buffer;
  #matched = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #hex = 0;
  #hexDigits = 0;
  #highSurrogate = 0;
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  /** In the input of the moment; what lies before the byte at hand is out of date. */
  #nextBackslash = -1;

  /** Arrays and composites are gathered whole: none may be longer than `maxValueBytes`. */
  constructor(columns: readonly RestoreColumn[], maxValueBytes: number) {
    const { prefixes, end } = lineFrame(columns.map(({ name }) => name));
    let written = 0;
    this.#places = columns.map(({ form }, index) => {
      if (form !== undefined) written += 1;
      return { prefix: Buffer.from(prefixes[index] ?? ''), form, tab: form !== undefined && written > 1 };
    });
    this.#lineEnd = Buffer.from(end);
    this.#maxValueBytes = maxValueBytes;
    this.#expected = this.#places[0]?.prefix ?? this.#lineEnd;
  }

  /**
   * Yields the rows of the next bytes, cut anywhere. A buffer is lent until the next one is asked for: one that is made anew for
   * each would keep the collector busy for longer than all the rest takes. Throws FailureError `bad-line`.
   */
  *push(input: Buffer): Generator<Buffer, void, undefined> {
    this.#length = 0;
    this.#nextBackslash = -1;
    if (this.#output.length < roomFor(input.length)) this.#output = Buffer.allocUnsafeSlow(roomFor(input.length));
    for (let at = 0; at < input.length;) {
      switch (this.#state) {
        case State.between:
          at = this.#matchBetween(input, at);
          break;
        case State.start:
          at = this.#startValue(input, at);
          break;
        case State.string:
          at = this.#passString(input, at);
          break;
        case State.escape:
          at = this.#unescape(input, at);
          break;
        case State.hex:
          at = this.#takeHexDigit(input, at);
          break;
        case State.null:
          at = this.#matchNull(input, at);
          break;
        default: {
          at = this.#passRaw(input, at);
          const literal = this.#state === State.between ? this.#takeNested() : undefined;
          if (literal === undefined) break;
          if (this.#length + literal.length + roomFor(input.length - at) <= this.#output.length) {
            this.#length += literal.copy(this.#output, this.#length);
            break;
          }
          if (this.#length > 0) yield this.#output.subarray(0, this.#length);
          this.#length = 0;
          yield literal;
        }
      }
    }
    if (this.#length > 0) yield this.#output.subarray(0, this.#length);
  }

  /** To be called behind the last byte. Throws FailureError unless that was the end of a line. */
  end(): void {
    if (this.#state !== State.between || this.#column !== 0 || this.#matched !== 0) throw this.#badLine('is cut off');
  }

  #matchBetween(input: Buffer, start: number): number {
    const expected = this.#expected;
    const { length } = expected;
    let matched = this.#matched;
    let at = start;
    for (; at < input.length && matched < length; at += 1, matched += 1)
      if (input[at] !== expected[matched]) throw this.#unexpected();
    this.#matched = matched;
    if (matched === length) this.#passBetween();
    return at;
  }

  #passBetween(): void {
    this.#matched = 0;
    const place = this.#places[this.#column];
    if (place?.prefix === this.#expected) {
      if (place.tab) this.#put(TAB);
      this.#state = State.start;
      return;
    }
    this.#put(LINE_FEED);
    this.rows += 1;
    this.#column = 0;
    this.#expected = this.#places[0]?.prefix ?? this.#lineEnd;
  }

  #endValue(): void {
    this.#column += 1;
    this.#expected = this.#places[this.#column]?.prefix ?? this.#lineEnd;
    this.#state = State.between;
  }

  #startValue(input: Buffer, at: number): number {
    const form = this.#places[this.#column]?.form;
    const first = input[at];
    if (form?.kind === 'value' && first === QUOTE) {
      this.#state = State.string;
      return at + 1;
    }
    this.#state = first === LETTER_N && form !== undefined ? State.null : State.raw;
    return at;
  }

  /** The hot loop: nearly all bytes of most tables go through here. A call to copy costs as much as a short string. */
  #passString(input: Buffer, start: number): number {
    const output = this.#output;
    const end = input.length;
    const soon = Math.min(end, start + SHORT_STRING_BYTES);
    let length = this.#length;
    let at = start;
    let byte = 0;
    for (; at < soon; at += 1) {
      byte = input[at] ?? 0;
      if (byte === QUOTE || byte === BACKSLASH) break;
      output[length] = byte;
      length += 1;
    }
    if (at === soon && soon < end) {
      const stop = this.#findStringStop(input, at);
      input.copy(output, length, at, stop);
      length += stop - at;
      at = stop;
    }
    this.#length = length;
    if (at === end) return at;
    if (input[at] === QUOTE) this.#endValue();
    else this.#state = State.escape;
    return at + 1;
  }

  /** Where the next quote or backslash stands, or the end. The backslash is looked for once, however many strings come before it. */
  #findStringStop(input: Buffer, at: number): number {
    if (this.#nextBackslash < at) this.#nextBackslash = indexOrEnd(input, BACKSLASH, at);
    return Math.min(indexOrEnd(input, QUOTE, at), this.#nextBackslash);
  }

  #unescape(input: Buffer, at: number): number {
    const letter = input[at] ?? 0;
    this.#state = State.string;
    if (letter === LETTER_U) {
      this.#state = State.hex;
      this.#hex = 0;
      this.#hexDigits = 0;
    } else if (letter === QUOTE || letter === SLASH) this.#put(letter);
    else if (letter === BACKSLASH || LETTER_ESCAPES.has(letter)) {
      this.#put(BACKSLASH);
      this.#put(letter);
    } else throw this.#badLine('has an unknown escape');
    return at + 1;
  }

  #takeHexDigit(input: Buffer, at: number): number {
    const digit = Number.parseInt(String.fromCharCode(input[at] ?? 0), 16);
    if (Number.isNaN(digit)) throw this.#badLine('has a \\u without four hex digits');
    this.#hex = this.#hex * 16 + digit;
    this.#hexDigits += 1;
    if (this.#hexDigits === 4) {
      this.#state = State.string;
      this.#putCodeUnit(this.#hex);
    }
    return at + 1;
  }

  #putCodeUnit(unit: number): void {
    const copyLetter = COPY_LETTERS[unit];
    if (copyLetter !== undefined || unit === BACKSLASH) {
      this.#put(BACKSLASH);
      this.#put(copyLetter ?? BACKSLASH);
    } else if (unit === 0) throw this.#badLine('has a \\u0000, which no text of Postgres can hold');
    else if (unit < 0x80) this.#put(unit);
    else if (unit >= 0xd800 && unit < 0xdc00) this.#highSurrogate = unit;
    else {
      const pair = unit >= 0xdc00 && unit < 0xe000 ? [this.#highSurrogate, unit] : [unit];
      this.#length += this.#output.write(String.fromCharCode(...pair), this.#length);
    }
  }

  /** A value that only begins like a null is a json one with blanks around it. */
  #matchNull(input: Buffer, start: number): number {
    let at = start;
    while (at < input.length && this.#matched < NULL_JSON.length) {
      if (input[at] !== NULL_JSON[this.#matched]) throw this.#unexpected();
      at += 1;
      this.#matched += 1;
    }
    if (at === input.length) return at;
    this.#matched = 0;
    const form = this.#places[this.#column]?.form;
    const isSqlNull = form?.kind !== 'json' || form.notNull !== true;
    if (isSqlNull && (input[at] === COMMA || input[at] === CLOSE_BRACE)) {
      this.#put(BACKSLASH);
      this.#put(0x4e);
      this.#endValue();
    } else {
      this.#takeRaw(NULL_JSON);
      this.#state = State.raw;
    }
    return at;
  }

  #passRaw(input: Buffer, start: number): number {
    const kind = this.#places[this.#column]?.form?.kind;
    const isPlain = kind === 'value' || kind === 'json';
    const end = this.#followRaw(input, start, isPlain ? this.#output : undefined);
    if (!isPlain) this.#gather(input.subarray(start, end));
    if (end < input.length) this.#endValue();
    return end;
  }

  /**
   * Resolves to where the comma or brace behind the value stands, or the end of the input. What it passes goes to `output`: in a json
   * value, blanks between its parts may be tabs. As hot as strings, so that all that it counts stands in variables.
   */
  #followRaw(input: Buffer, start: number, output: Buffer | undefined): number {
    const end = input.length;
    let depth = this.#depth;
    let inString = this.#inString;
    let escaped = this.#escaped;
    let length = this.#length;
    let at = start;
    for (; at < end; at += 1) {
      const byte = input[at] ?? 0;
      // Inside a string it would be escaped, and between values it is a blank: a value never spans lines.
      if (byte === LINE_FEED) throw this.#unexpected();
      if (escaped) escaped = false;
      else if (inString) {
        if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
      } else if (byte === QUOTE) inString = true;
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1;
      else if (depth > 0) {
        if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth -= 1;
      } else if (byte === COMMA || byte === CLOSE_BRACE) break;
      if (output === undefined) continue;
      if (byte === BACKSLASH || byte === TAB) {
        output[length] = BACKSLASH;
        length += 1;
      }
      output[length] = byte === TAB ? LETTER_T : byte;
      length += 1;
    }
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    this.#length = length;
    return at;
  }

  /** The whole of a null that turned out to be none. */
  #takeRaw(bytes: Buffer): void {
    const kind = this.#places[this.#column]?.form?.kind;
    if (kind !== 'value' && kind !== 'json') this.#gather(bytes);
    else for (const byte of bytes) this.#put(byte);
  }

  /** Of an array or a composite, which is turned into its literal once it is whole; of a column that takes no values, nothing. */
  #gather(bytes: Buffer): void {
    if (this.#places[this.#column]?.form === undefined) return;
    this.#pieces.push(Buffer.from(bytes));
    this.#pieceBytes += bytes.length;
    if (this.#pieceBytes > this.#maxValueBytes) throw this.#valueTooWide();
  }

  /** The literal of the array or composite that has just ended; undefined when it was another value. */
  #takeNested(): Buffer | undefined {
    if (this.#pieceBytes === 0) return undefined;
    const form = this.#places[this.#column - 1]?.form;
    const json = Buffer.concat(this.#pieces).toString();
    this.#pieces = [];
    this.#pieceBytes = 0;
    if (form === undefined) return undefined;
    try {
      const literal = inputText(json, form);
      if (literal === null) return Buffer.from('\\N');
      return Buffer.from(literal.replaceAll(/[\\\n\r\t]/g, (character) => COPY_ESCAPES[character] ?? character));
    } catch (error) {
      if (error instanceof AttributeGone) throw this.#attributeGone(error);
      throw this.#badLine('does not have the form of its type', error, this.#column - 1);
    }
  }

  #put(byte: number): void {
    this.#output[this.#length] = byte;
    this.#length += 1;
  }

  #unexpected(): FailureError {
    return this.#badLine('is not what this archive has at that place');
  }

  #badLine(what: string, cause?: unknown, column = this.#column): FailureError {
    return fail(
      'bad-line',
      {
        stage: 'restore',
        message: `line ${formatCount(this.rows + 1)} of the object, at column ${this.#nameOf(column)}: what is there ${what}`,
        cause: cause instanceof Error ? cause.message : undefined,
      },
      { cause },
    );
  }

  #attributeGone({ attribute }: AttributeGone): FailureError {
    return fail(
      {
        code: 'bad-value',
        hint: 'Add the attribute to the type for the restore (ALTER TYPE … ADD ATTRIBUTE), then restore again.',
      },
      {
        stage: 'restore',
        message: `line ${formatCount(this.rows + 1)} of the object, column ${this.#nameOf(this.#column - 1)}: its composite type has no attribute ${attribute}, which the archive has`,
      },
    );
  }

  #valueTooWide(): FailureError {
    const limit = formatBytes(this.#maxValueBytes);
    return fail('value-too-wide', {
      stage: 'restore',
      message: `line ${formatCount(this.rows + 1)} of the object, column ${this.#nameOf(this.#column)}: an array or composite of more than ${limit}, which a worker of this heap does not take`,
    });
  }

  #nameOf(column: number): string {
    const prefix = this.#places[column]?.prefix;
    return prefix === undefined ? 'end' : prefix.toString('utf8', 1, prefix.length - 1);
  }
}

/** What so many bytes come to at most, but for arrays and composites. */
function roomFor(inputBytes: number): number {
  return inputBytes * 2 + 16;
}

function indexOrEnd(bytes: Buffer, byte: number, from: number): number {
  const at = bytes.indexOf(byte, from);
  return at < 0 ? bytes.length : at;
}
