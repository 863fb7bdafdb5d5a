/** Where lines are gathered before they are handed on: buffers in turn, so that one is filled while others are used. */
import { BUDGET, widestLinesBytes } from '../../base/memory-budget.ts';

/** How many there are; what was taken is valid until so many more were. */
export const LINE_BUFFERS = BUDGET.lines.buffers;
const FULL_BYTES = BUDGET.lines.fullBytes;
const WIDE_BYTES = widestLinesBytes(BUDGET);

export class LineBuffer {
  bytes: Uint8Array;
  length = 0;
  readonly #buffers: readonly Uint8Array[];
  /** In place of the buffer of that turn, when it has no room for a line; kept, as there may be more of them. */
  readonly #wide: Uint8Array[] = [];
  #turn = 0;

  /** LINE_BUFFERS of them, each with more room than what is handed on at once. */
  constructor(buffers: readonly Uint8Array[]) {
    this.#buffers = buffers;
    this.bytes = this.#buffer();
  }

  get isFull(): boolean {
    return this.length >= FULL_BYTES;
  }

  /** What was gathered. It is valid until `take` was called LINE_BUFFERS more times. */
  take(): Buffer {
    const taken = Buffer.from(this.bytes.buffer, this.bytes.byteOffset, this.length);
    this.#turn = (this.#turn + 1) % this.#buffers.length;
    this.bytes = this.#buffer();
    this.length = 0;
    return taken;
  }

  #buffer(): Uint8Array {
    const buffer = this.#buffers[this.#turn];
    if (buffer === undefined) throw new Error('there are no buffers for lines');
    return buffer;
  }

  /** Makes room for `bytes` behind what was gathered: when that is not full yet, for as much as the longest line. */
  reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.bytes.length) return;
    if (needed > WIDE_BYTES)
      throw new Error(`${bytes} bytes behind ${this.length} are more than a buffer of lines takes`);
    const wide = (this.#wide[this.#turn] ??= new Uint8Array(WIDE_BYTES));
    wide.set(this.bytes.subarray(0, this.length));
    this.bytes = wide;
  }

  /** Adds a few bytes. */
  add(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }
}
