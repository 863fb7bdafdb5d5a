/** The bytes of a COPY that have come and not been used yet, in one piece, however the network cut them. */

/** Where bytes come from; throws when they end. */
export interface ByteSource {
  next: () => Promise<Buffer>;
}

export class ByteWindow {
  /** Valid from `start` to `end`; filling moves them. */
  readonly bytes: Uint8Array;
  start = 0;
  end = 0;
  readonly #chunks: ByteSource;
  /** What came and did not fit. */
  #rest: Buffer | undefined;

  constructor(chunks: ByteSource, bytes: Uint8Array) {
    this.#chunks = chunks;
    this.bytes = bytes;
  }

  get length(): number {
    return this.end - this.start;
  }

  /** All that has come and was not used, in the order it came. Valid until more is asked for. */
  get unused(): Buffer {
    return Buffer.concat([this.bytes.subarray(this.start, this.end), this.#rest ?? Buffer.alloc(0)]);
  }

  get capacity(): number {
    return this.bytes.length;
  }

  /** Moves what is left to the front and adds what comes next. There must be room. */
  async fill(): Promise<void> {
    const next = this.#rest ?? (await this.#chunks.next());
    if (this.start > 0) {
      this.bytes.copyWithin(0, this.start, this.end);
      this.end -= this.start;
      this.start = 0;
    }
    const fitting = Math.min(next.length, this.bytes.length - this.end);
    this.bytes.set(next.subarray(0, fitting), this.end);
    this.end += fitting;
    this.#rest = fitting === next.length ? undefined : next.subarray(fitting);
  }

  /** Fills until there are `bytes` at `start`, at most the capacity. */
  async need(bytes: number): Promise<void> {
    while (this.length < bytes) await this.fill();
  }
}
