/** A value of a line's key: where it stands in the present chunk, after what was taken out of earlier ones, as a chunk is lent. */

/** One that is longer is not compared. */
const MAX_KEY_BYTES = 1024 ** 2;
const NO_BYTES: Buffer = Buffer.alloc(0);

export class KeyValue {
  #head: Buffer[] = [];
  /** How long it may be is nobody's promise: beyond the limit, its bytes are only counted. */
  #headBytes = 0;
  #chunk = NO_BYTES;
  #start = 0;
  #end = 0;

  /** Its JSON; undefined when that is too long. */
  get json(): string | undefined {
    if (this.#headBytes + this.#end - this.#start > MAX_KEY_BYTES) return undefined;
    return Buffer.concat([...this.#head, this.#chunk.subarray(this.#start, this.#end)])
      .toString()
      .trim();
  }

  /** Notes where it stands; takes the place of what was noted of the same chunk. */
  note(chunk: Buffer, start: number, end: number): void {
    this.#chunk = chunk;
    this.#start = start;
    this.#end = end;
  }

  /** Takes it out of the chunk. */
  leaveChunk(): void {
    if (this.#chunk === NO_BYTES) return;
    this.#headBytes += this.#end - this.#start;
    if (this.#headBytes <= MAX_KEY_BYTES) this.#head.push(Buffer.from(this.#chunk.subarray(this.#start, this.#end)));
    this.note(NO_BYTES, 0, 0);
  }

  /** Makes room for that of another line. */
  clear(): void {
    this.note(NO_BYTES, 0, 0);
    this.#headBytes = 0;
    if (this.#head.length > 0) this.#head = [];
  }
}
