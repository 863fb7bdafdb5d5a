/** Where lines are gathered before they are handed on: two buffers in turn, so that one is filled while the other is used. */

/** Handed on once it holds so much. */
const FULL_BYTES = 128 * 1024;
const FIRST_CAPACITY_BYTES = 192 * 1024;

export class LineBuffer {
  bytes = new Uint8Array(new ArrayBuffer(FIRST_CAPACITY_BYTES));
  length = 0;
  #other = new Uint8Array(new ArrayBuffer(FIRST_CAPACITY_BYTES));

  get isFull(): boolean {
    return this.length >= FULL_BYTES;
  }

  /** What was gathered. It is valid until `take` was called two more times. */
  take(): Buffer {
    const taken = Buffer.from(this.bytes.buffer, 0, this.length);
    const filled = this.bytes;
    this.bytes = this.#other;
    this.#other = filled;
    this.length = 0;
    return taken;
  }

  /** Makes room for `bytes` behind what was gathered. */
  reserve(bytes: number): void {
    if (this.length + bytes <= this.bytes.length) return;
    const bigger = new Uint8Array(new ArrayBuffer(this.length + bytes));
    bigger.set(this.bytes.subarray(0, this.length));
    this.bytes = bigger;
  }

  /** Adds a few bytes. */
  add(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }
}
