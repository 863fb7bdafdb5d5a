/** Feeds a body to lib-storage so that it copies as little as it can, and can be stopped while it waits. */
import { Readable } from 'node:stream';
import { freeNow } from '../free-now.ts';
import type { PartsInFlight } from './parts-in-flight.ts';

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
  readonly #onFailure: (error: unknown) => void;

  /** A part goes when `inFlight` has room; until then it is gathered. `onFailure` gets the very error that `body` threw. */
  constructor(
    body: AsyncIterable<Buffer>,
    partBytes: number,
    inFlight: Pick<PartsInFlight, 'take'>,
    onFailure: (error: unknown) => void,
  ) {
    // Without read-ahead: what waits here would be one more part in memory.
    super({ objectMode: true, highWaterMark: 0 });
    this.#pieces = firstByteApart(body, partBytes, inFlight);
    this.#onFailure = onFailure;
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
        this.#onFailure(error);
        this.destroy(new Error('the body failed', { cause: error }));
      },
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // A stalled body answers only when it wakes up; nothing may wait for that, and what it then throws came too late.
    this.#pieces.return().catch(() => undefined);
    done(error);
  }
}

/** When the rest of a part is asked for, the part before it has been copied, and its memory can go. */
async function* firstByteApart(
  body: AsyncIterable<Buffer>,
  partBytes: number,
  inFlight: Pick<PartsInFlight, 'take'>,
): AsyncGenerator<Buffer, void, undefined> {
  let bytes = 0;
  let copied: Buffer[] = [];
  for await (const piece of body) {
    if (piece.length === 0) continue;
    const isFirst = bytes % partBytes === 0;
    if (isFirst) {
      if (bytes > 0) await inFlight.take();
      yield piece.subarray(0, 1);
      for (const buffer of copied) freeNow(buffer);
      copied = [];
    }
    if (piece.length > 1 || !isFirst) yield isFirst ? piece.subarray(1) : piece;
    bytes += piece.length;
    copied.push(piece);
  }
  await inFlight.take();
}
