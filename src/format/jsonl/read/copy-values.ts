/** Takes rows of COPY's text form apart again: into their values, which may be of any length and cut anywhere. */

/** What comes in a row's order: bytes of a value, any number of times; what the value was; then its end. */
export type RowPart = Buffer | typeof NULL_VALUE | typeof END_OF_VALUE | typeof END_OF_ROW;

export const NULL_VALUE = 0;
export const END_OF_VALUE = 1;
/** Of the last value, and of the row. */
export const END_OF_ROW = 2;

const BACKSLASH = 0x5c;
const TAB = 0x09;
const LINE_FEED = 0x0a;
const LETTER_N = 0x4e;
const LETTERS: Record<number, number> = { 0x62: 0x08, 0x66: 0x0c, 0x6e: 0x0a, 0x72: 0x0d, 0x74: 0x09 };
/** What the letters behind a backslash stand for; all others stand for themselves. */
const UNESCAPED = Uint8Array.from({ length: 256 }, (_, byte) => LETTERS[byte] ?? byte);

export class CopyValues {
  /** Whether the last byte of what came before was a backslash that begins an escape. */
  #escaped = false;
  /** Where the bytes of the values go. */
  #output = Buffer.alloc(0);
  #length = 0;

  /** Yields the parts of the next bytes; the receiver owns the buffers. */
  *push(rows: Buffer): Generator<RowPart, void, undefined> {
    this.#output = Buffer.allocUnsafeSlow(rows.length);
    this.#length = 0;
    let from = 0;
    for (let at = 0; at < rows.length;) {
      at = this.#passBytes(rows, at);
      if (at === rows.length) break;
      const stop = rows[at];
      if (stop !== LETTER_N && this.#length > from) yield this.#output.subarray(from, this.#length);
      from = this.#length;
      yield stop === LETTER_N ? NULL_VALUE : stop === TAB ? END_OF_VALUE : END_OF_ROW;
      at += 1;
    }
    if (this.#length > from) yield this.#output.subarray(from, this.#length);
  }

  /** Goes to the next tab or line feed, to the `N` of an escape, or to the end. Nearly all bytes of a long row go through this loop. */
  #passBytes(rows: Buffer, start: number): number {
    const output = this.#output;
    const end = rows.length;
    let length = this.#length;
    let escaped = this.#escaped;
    let at = start;
    for (; at < end; at += 1) {
      const byte = rows[at] ?? 0;
      if (escaped) {
        escaped = false;
        if (byte === LETTER_N) break;
        output[length] = UNESCAPED[byte] ?? byte;
        length += 1;
      } else if (byte === BACKSLASH) escaped = true;
      else if (byte === TAB || byte === LINE_FEED) break;
      else {
        output[length] = byte;
        length += 1;
      }
    }
    this.#length = length;
    this.#escaped = escaped;
    return at;
  }
}
