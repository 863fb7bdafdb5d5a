/**
 * Reads the values of key columns from JSON Lines as they stream by, as the text of arrays of Postgres, without a string for a
 * value. The hot loop of a purge. It holds no line, and believes that lines are good: whoever uses it has proved that they are.
 */
import { unquote } from '../format/jsonl/write/json-text.ts';
import { ArrayText } from './array-text.ts';

const [QUOTE, COMMA, COLON, BACKSLASH] = [0x22, 0x2c, 0x3a, 0x5c];
const [OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x5b, 0x5d, 0x7b, 0x7d];

export class LineKeys {
  /** For each column of the key. */
  readonly values: readonly ArrayText[];
  /** By the place in a line: the values of that column, where it is one of the key. */
  readonly #wanted: readonly (ArrayText | undefined)[];
  /** The place of the name or value that is being read. */
  #place = 0;
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  /** Whether it is a value. */
  #isValue = false;
  /** Whether that has a backslash. */
  #hasEscape = false;

  /** `places` are those of the key's columns in a line. */
  constructor(places: readonly number[], lines: number, mostBytes: number) {
    this.values = places.map(() => new ArrayText(lines, Math.floor(mostBytes / places.length)));
    const length = Math.max(...places) + 1;
    this.#wanted = Array.from({ length }, (_, place) => this.values[places.indexOf(place)]);
  }

  /** Of all lines. */
  clear(): void {
    for (const values of this.values) values.clear();
  }

  /** Lines of which all values are kept. */
  get count(): number {
    return Math.min(...this.values.map(({ count }) => count));
  }

  /** Whether no further line fits. */
  get isFull(): boolean {
    return this.values.some(({ isFull }) => isFull);
  }

  beginLine(): void {
    this.#place = 0;
    this.#depth = 0;
    this.#isInString = false;
    this.#isEscaped = false;
    this.#isValue = false;
  }

  /** The next bytes of a line, without its line feed; nothing is read any more once all columns of the key have come. */
  add(piece: Buffer, start: number, end: number): void {
    const wanted = this.#wanted;
    let value = this.#isValue ? wanted[this.#place] : undefined;
    for (let at = start; at < end && this.#place < wanted.length; at += 1) {
      if (this.#isInString && !this.#isEscaped && value === undefined) {
        while (at < end && piece[at] !== QUOTE && piece[at] !== BACKSLASH) at += 1;
        if (at === end) return;
      }
      const byte = piece[at] ?? 0;
      if (!this.#isInString && this.#depth === 1) {
        if (byte === COLON && !this.#isValue) {
          this.#isValue = true;
          this.#hasEscape = false;
          value = wanted[this.#place];
          continue;
        }
        if (byte === COMMA || byte === CLOSE_BRACE) {
          if (value !== undefined) this.#endValue(value);
          this.#isValue = false;
          this.#place += 1;
          value = undefined;
          continue;
        }
      }
      this.#step(byte);
      value?.push(byte);
    }
  }

  #step(byte: number): void {
    if (this.#isInString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (byte === BACKSLASH) this.#isEscaped = this.#hasEscape = true;
      else if (byte === QUOTE) this.#isInString = false;
    } else if (byte === QUOTE) this.#isInString = true;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) this.#depth += 1;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) this.#depth -= 1;
  }

  /** A JSON string without backslashes is an element of an array as it is; so are numbers, null, true and false. */
  #endValue(value: ArrayText): void {
    if (this.#hasEscape) value.replace((json) => `"${unquote(json).replaceAll(/["\\]/g, '\\$&')}"`);
    value.end();
  }
}
