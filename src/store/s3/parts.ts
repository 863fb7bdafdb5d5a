/** Cuts a body into the parts of an upload, in memory that is used again, and feeds them to lib-storage. */
import type { Upload } from '@aws-sdk/lib-storage';
import { freeNow } from '../free-now.ts';
import type { PartsInFlight } from './parts-in-flight.ts';
import { mayStillBeSent } from './watched-bodies.ts';

/** As lib-storage's own cutter makes it. */
interface Part {
  partNumber: number;
  data: Buffer;
  lastPart?: boolean;
}

/** Few objects are larger than a part: memory for a whole one is taken when this is full. */
export const FIRST_BYTES = 64 * 1024;

/** The memory of parts, kept from one to the next and from one upload to the next. */
export class PartMemory {
  readonly #partBytes: number;
  readonly #free: Buffer[] = [];

  constructor(partBytes: number) {
    this.#partBytes = partBytes;
  }

  /** For a whole part if there is any free, else for `bytes`. */
  take(bytes = this.#partBytes): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(Math.min(bytes, this.#partBytes));
  }

  /** The server has answered, and there are no more tries to make. */
  giveBack(part: Buffer): void {
    if (mayStillBeSent(part)) return;
    const { buffer } = part;
    if (buffer.byteLength === this.#partBytes && buffer instanceof ArrayBuffer) this.#free.push(Buffer.from(buffer));
    else freeNow(part);
  }

  /** Frees what is not in use. */
  letGo(): void {
    for (const part of this.#free.splice(0)) freeNow(part);
  }
}

export interface PartsOptions {
  partBytes: number;
  /** A body that is larger than these is refused, by what `tooLarge` makes, before the last of them is sent. */
  mostParts: number;
  tooLarge: () => Error;
  memory: PartMemory;
  /** A part goes when it has room. */
  inFlight: Pick<PartsInFlight, 'take'>;
  /** Gets the very error that the body threw. */
  onFailure: (error: unknown) => void;
}

/**
 * The parts of `body`, whose buffers may be written over once the next one is asked for. All of them are of `partBytes` but the last; of an
 * empty body there is one, without a byte. They can be stopped while the body is stalled, and several may ask at once.
 */
export class Parts implements AsyncIterableIterator<Part, void, undefined> {
  /** Of the parts that are made so far. */
  bytes = 0;
  readonly #options: PartsOptions;
  readonly #parts: AsyncGenerator<Part, void, undefined>;
  /** Those who wait for a part. */
  readonly #waiting = new Set<PromiseWithResolvers<IteratorResult<Part, void>>>();
  #isOver = false;
  #stopped: Error | undefined;

  constructor(body: AsyncIterable<Buffer>, options: PartsOptions) {
    this.#options = options;
    this.#parts = this.#cut(body);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Part, void>> {
    const waiter = Promise.withResolvers<IteratorResult<Part, void>>();
    const { promise, resolve, reject } = waiter;
    if (this.#stopped !== undefined) reject(this.#stopped);
    else if (this.#isOver) resolve({ done: true, value: undefined });
    else {
      this.#waiting.add(waiter);
      void this.#parts
        .next()
        .then(resolve, (error: unknown) => {
          this.#options.onFailure(error);
          reject(new Error('the body failed', { cause: error }));
        })
        .finally(() => this.#waiting.delete(waiter));
    }
    return promise;
  }

  /** Whoever asks has had the last part, or failed: others who wait would do so for ever behind a stalled body, or a part that nobody sends. */
  return(): Promise<IteratorReturnResult<undefined>> {
    this.#isOver = true;
    for (const { resolve } of this.#waiting) resolve({ done: true, value: undefined });
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Whoever waits, or asks later, hears of it. */
  stop(error: Error): void {
    this.#stopped ??= error;
    for (const { reject } of this.#waiting) reject(this.#stopped);
    this.#end();
  }

  #end(): void {
    // A stalled body answers only when it wakes up; nothing may wait for that, and what it then throws came too late.
    this.#parts.return().catch(() => undefined);
  }

  /** Which part is the last one shows only once the body has ended. */
  async *#cut(body: AsyncIterable<Buffer>): AsyncGenerator<Part, void, undefined> {
    const { partBytes, mostParts, tooLarge, memory, inFlight } = this.#options;
    let partNumber = 1;
    let part = memory.take(FIRST_BYTES);
    let filled = 0;
    for await (const slice of body) {
      for (let at = 0; at < slice.length;) {
        if (filled === partBytes) {
          if (partNumber === mostParts) throw tooLarge();
          this.bytes += filled;
          await inFlight.take();
          yield { partNumber, data: part };
          partNumber += 1;
          part = memory.take();
          filled = 0;
        } else if (filled === part.length) part = grown(part, memory.take());
        const step = slice.copy(part, filled, at);
        filled += step;
        at += step;
      }
    }
    this.bytes += filled;
    await inFlight.take();
    yield { partNumber, data: part.subarray(0, filled), lastPart: true };
  }
}

function grown(part: Buffer, larger: Buffer): Buffer {
  part.copy(larger);
  freeNow(part);
  return larger;
}

/**
 * Has `upload` send these parts. What it would do by itself is to gather its body, and to copy each part once more into memory that is new each
 * time: a twentieth of what archiving costs.
 */
export function feed(upload: Upload, parts: Parts): void {
  // Private, and pinned: the types say when it is gone.
  const send = upload['__doConcurrentUpload'] as (this: Upload, parts: AsyncIterable<Part>) => Promise<void>;
  upload['__doConcurrentUpload'] = () => send.call(upload, parts);
}
