/** Where lines are gathered before they are handed on: buffers in turn, so that one is filled while others are used. */

/** One is filled, and the others are with the compressor, whose thread so has work while this one is busy. */
export const LINE_BUFFERS = 3;
/** Handed on once it holds so much. */
const FULL_BYTES = 512 * 1024;

export class LineBuffer {
  bytes: Uint8Array;
  length = 0;
  readonly #buffers: readonly Uint8Array[];
  /** For lines that the buffer of that turn has no room for; kept, as there may be more of them. */
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

  /** Makes room for `bytes` behind what was gathered. */
  reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.bytes.length) return;
    const before = this.#wide[this.#turn];
    const wide = before !== undefined && before.length >= needed ? before : new Uint8Array(needed);
    if (wide !== this.bytes) wide.set(this.bytes.subarray(0, this.length));
    this.#wide[this.#turn] = wide;
    this.bytes = wide;
  }

  /** Adds a few bytes. */
  add(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }
}
