/** Feeds a body to lib-storage so that it copies as little as it can, and can be stopped while it waits. */
import { Readable } from 'node:stream';
import type { PartsInFlight } from './parts-in-flight.ts';

export interface PartBodyOptions {
  partBytes: number;
  /** A part goes when it has room; until then it is gathered. */
  inFlight: Pick<PartsInFlight, 'take'>;
  /** Gets each buffer of the body once lib-storage has made a copy of it. */
  giveBack: (buffer: Buffer) => void;
  /** Gets the very error that the body threw. */
  onFailure: (error: unknown) => void;
}

/**
 * A Readable over `body`, for lib-storage's Upload.
 *
 * lib-storage gathers what it is fed, and cuts off a part once it has seen one byte more than the part, by concatenating
 * all that it holds. What it holds besides stays alive with that part. So the first byte of each part is fed on its own:
 * then what it builds is one part and one byte, and all that the part was made from can go.
 *
 * `Readable.from` would not do: its destroy waits for the iterator, which for a stalled body never answers.
 */
export class PartBody extends Readable {
  /** Bytes that were handed on so far. */
  bytes = 0;
  readonly #pieces: AsyncGenerator<Buffer, void, undefined>;
  readonly #options: PartBodyOptions;
  /** What the part is made from that lib-storage gathers. */
  #gathered: Buffer[] = [];

  constructor(body: AsyncIterable<Buffer>, options: PartBodyOptions) {
    // Without read-ahead: what waits here would be one more part in memory.
    super({ objectMode: true, highWaterMark: 0 });
    this.#pieces = this.#firstByteApart(body);
    this.#options = options;
    // The failure is told through onFailure; an error event without a listener would end the process.
    this.on('error', () => undefined);
  }

  override _read(): void {
    this.#pieces.next().then(
      (piece) => {
        if (this.destroyed) return;
        if (piece.done !== true) this.bytes += piece.value.length;
        this.push(piece.done === true ? null : piece.value);
      },
      (error: unknown) => {
        this.#options.onFailure(error);
        this.destroy(new Error('the body failed', { cause: error }));
      },
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // A stalled body answers only when it wakes up; nothing may wait for that, and what it then throws came too late.
    this.#pieces.return().catch(() => undefined);
    done(error);
  }

  /** To be called when the last part was sent as well. */
  giveBackRest(): void {
    for (const buffer of this.#gathered) this.#options.giveBack(buffer);
    this.#gathered = [];
  }

  /** When the rest of a part is asked for, the part before it has been copied, and its memory can be used again. */
  async *#firstByteApart(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    const { partBytes, inFlight } = this.#options;
    let bytes = 0;
    for await (const piece of body) {
      if (piece.length === 0) continue;
      const isFirst = bytes % partBytes === 0;
      if (isFirst) {
        if (bytes > 0) await inFlight.take();
        yield piece.subarray(0, 1);
        this.giveBackRest();
      }
      if (piece.length > 1 || !isFirst) yield isFirst ? piece.subarray(1) : piece;
      bytes += piece.length;
      this.#gathered.push(piece);
    }
    await inFlight.take();
  }
}
