/** The bytes of a COPY that have come and not been used yet, in one piece, however the network cut them. */

/** Where bytes come from; throws when they end. */
export interface ByteSource {
  next: () => Promise<Buffer>;
}

/** Room for a row and what came behind it. A row that is wider goes through in pieces. */
const CAPACITY_BYTES = 256 * 1024;

export class CopyWindow {
  /** Valid from `start` to `end`; filling moves them. */
  readonly bytes = new Uint8Array(new ArrayBuffer(CAPACITY_BYTES));
  start = 0;
  end = 0;
  readonly #source: ByteSource;
  /** What came and did not fit. */
  #rest: Buffer | undefined;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  get length(): number {
    return this.end - this.start;
  }

  get capacity(): number {
    return CAPACITY_BYTES;
  }

  /** Moves what is left to the front and adds what comes next. There must be room. */
  async fill(): Promise<void> {
    const next = this.#rest ?? (await this.#source.next());
    if (this.start > 0) {
      this.bytes.copyWithin(0, this.start, this.end);
      this.end -= this.start;
      this.start = 0;
    }
    const fitting = Math.min(next.length, CAPACITY_BYTES - this.end);
    this.bytes.set(next.subarray(0, fitting), this.end);
    this.end += fitting;
    this.#rest = fitting === next.length ? undefined : next.subarray(fitting);
  }

  /** Fills until there are `bytes` at `start`, at most the capacity. */
  async need(bytes: number): Promise<void> {
    while (this.length < bytes) await this.fill();
  }
}
