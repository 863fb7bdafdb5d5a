/** Elements of an array as Postgres reads it, one after the other, of which any stretch can be had as one text. */

const FIRST_BYTES = 64 * 1024;
const COMMA = 0x2c;

export class ArrayText {
  /** Whether what was to come was too much; an element of which a byte is missing is none of those that can be had. */
  isFull = false;
  count = 0;
  /** Each element with its comma. */
  #bytes: Buffer;
  #length = 0;
  readonly #ends: Uint32Array;
  readonly #mostBytes: number;

  constructor(mostElements: number, mostBytes: number) {
    this.#ends = new Uint32Array(mostElements);
    this.#mostBytes = mostBytes;
    this.#bytes = Buffer.allocUnsafeSlow(Math.min(FIRST_BYTES, mostBytes));
  }

  /** Keeps the room that it has taken. */
  clear(): void {
    this.isFull = false;
    this.count = 0;
    this.#length = 0;
  }

  /** The next byte of the element that is not at its end. */
  push(byte: number): void {
    if (this.#length === this.#bytes.length) this.#grow();
    if (this.isFull) return;
    this.#bytes[this.#length] = byte;
    this.#length += 1;
  }

  /** Puts another text in the place of the element that is not at its end. */
  replace(change: (text: string) => string): void {
    if (this.isFull) return;
    const start = this.#endOf(this.count);
    const text = Buffer.from(change(this.#bytes.toString('utf8', start, this.#length)));
    this.#length = start;
    for (const byte of text) this.push(byte);
  }

  end(): void {
    this.push(COMMA);
    this.isFull ||= this.count === this.#ends.length;
    if (this.isFull) return;
    this.#ends[this.count] = this.#length;
    this.count += 1;
  }

  /** The elements from `from` on, up to the one before `to`. */
  slice(from: number, to: number): string {
    if (from >= to || to > this.count) throw new RangeError(`there are ${this.count} elements, not ${from} to ${to}`);
    return `{${this.#bytes.toString('utf8', this.#endOf(from), this.#endOf(to) - 1)}}`;
  }

  /** Of the one before `at`. */
  #endOf(at: number): number {
    return at === 0 ? 0 : (this.#ends[at - 1] ?? 0);
  }

  #grow(): void {
    if (this.#bytes.length >= this.#mostBytes) {
      this.isFull = true;
      return;
    }
    const larger = Buffer.allocUnsafeSlow(Math.min(this.#mostBytes, 2 * this.#bytes.length));
    this.#bytes.copy(larger);
    this.#bytes = larger;
  }
}
