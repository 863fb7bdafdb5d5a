/** Gathers a body into the parts of an upload, in memory that is used again, and can be stopped while it waits for the body. */
import { Kept } from '../../base/kept.ts';
import { freeNow } from '../free-now.ts';

export interface Part {
  /** Lies in memory that is to be given back. */
  bytes: Buffer;
  isLast: boolean;
}

/** Of the last upload of this thread, by the size of a part. */
const kept = new Kept<number, Buffer[]>((parts) => {
  for (const part of parts) freeNow(part);
});

/**
 * V8 counts what lies outside of its heap, and collects all of it once that has grown by a few megabytes: made anew for each part, it
 * had a worker collect seventeen times for 80 MB.
 */
export class PartMemory {
  readonly #partBytes: number;
  readonly #free: Buffer[];

  /** For one upload; takes over what is left of the one before. To be closed once. */
  constructor(partBytes: number) {
    this.#partBytes = partBytes;
    this.#free = kept.take(partBytes) ?? [];
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#partBytes);
  }

  /** Once nobody looks at the part any more. */
  giveBack({ buffer }: Buffer): void {
    this.#free.push(Buffer.from(buffer as ArrayBuffer));
  }

  /** Keeps for the next upload what was given back. What was not may still be on its way, and is left to the collector. */
  close(): void {
    void kept.keep(this.#partBytes, this.#free);
  }
}

/** A buffer of the body is looked at until the next one is asked for. */
export class Parts {
  readonly #slices: AsyncIterator<Buffer>;
  readonly #memory: PartMemory;
  /** Of the last slice, what belongs to the next part. */
  #rest: Buffer = Buffer.alloc(0);
  #isAtEnd = false;
  #stopped: { cause: unknown } | undefined;
  #endWaiting: (cause: unknown) => void = () => undefined;

  constructor(body: AsyncIterable<Buffer>, memory: PartMemory) {
    this.#slices = body[Symbol.asyncIterator]();
    this.#memory = memory;
  }

  /** The next part; all are full but the last, which is empty only if there is no other. Throws what the body threw. */
  async next(): Promise<Part> {
    const part = this.#memory.take();
    let filled = 0;
    for (;;) {
      const step = this.#rest.copy(part, filled);
      filled += step;
      this.#rest = this.#rest.subarray(step);
      if (this.#rest.length > 0) return { bytes: part, isLast: false };
      const slice = await this.#nextSlice();
      if (slice === undefined) return { bytes: part.subarray(0, filled), isLast: true };
      this.#rest = slice;
    }
  }

  /** `next` throws `cause` from now on, also one that waits. A body that is stalled answers only when it wakes up: nobody waits for that. */
  stop(cause: unknown): void {
    this.#stopped ??= { cause };
    this.#endWaiting(cause);
    if (!this.#isAtEnd) this.#slices.return?.().catch(() => undefined);
    this.#isAtEnd = true;
  }

  /** Not by a race with one promise that lives as long as the upload, which would hold on to each that it was raced with. */
  async #nextSlice(): Promise<Buffer | undefined> {
    if (this.#stopped !== undefined) throw this.#stopped.cause;
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<Buffer, unknown>>();
    this.#endWaiting = reject;
    this.#slices.next().then(resolve, reject);
    const next = await promise;
    if (next.done !== true) return next.value;
    this.#isAtEnd = true;
    return undefined;
  }
}
