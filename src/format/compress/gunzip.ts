/** Takes a gzip out of its compression for who asks for one buffer after the other: by ISA-L where it can, and by zlib. */
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { GZIP_HEADER, GZIP_HEADER_BYTES, GZIP_TRAILER_BYTES } from './gzip-member.ts';
import { IsalInflate } from './isal-inflate.ts';

/** Has the code that zlib's own have. */
class BrokenGzip extends Error {
  readonly code = 'Z_DATA_ERROR';
}

/** `chunkSize`: what zlib gives at once. What goes wrong with `slices` comes out of it. */
export function gunzipByZlib(slices: AsyncIterable<Buffer>, chunkSize: number): AsyncIterable<Buffer> {
  return pipeline(slices, createGunzip({ chunkSize }), () => undefined);
}

/**
 * Gives what zlib gives, of the same gzips: one with another header than ours is left to it, and so is what follows the first member. A buffer
 * is lent until the next one is asked for. A damaged one fails as it does with zlib, but not always at the same byte; and some that
 * zlib refuses are taken, of which only the digests tell.
 */
export async function* gunzipByIsal(
  slices: AsyncIterable<Buffer>,
  chunkSize: number,
): AsyncGenerator<Buffer, void, undefined> {
  const input = new Input(slices);
  try {
    const header = await input.peek(GZIP_HEADER_BYTES);
    const isOurs = header.length === GZIP_HEADER_BYTES && header.subarray(0, GZIP_HEADER.length).equals(GZIP_HEADER);
    if (isOurs) yield* inflateMember(input);
    const [next] = await input.peek(1);
    // As zlib does it: zeros are padding, and anything else is another member.
    if (!isOurs || (next !== undefined && next !== 0)) yield* gunzipByZlib(input.rest(), chunkSize);
    // To its end, as whoever feeds it checks it there.
    else await input.drain();
  } finally {
    await input.close();
  }
}

async function* inflateMember(input: Input): AsyncGenerator<Buffer, void, undefined> {
  input.skip(GZIP_HEADER_BYTES);
  const inflate = IsalInflate.take();
  let [bytes, checksum] = [0, 0];
  try {
    for (let isOver = false; !isOver;) {
      const slice = (await input.peek(1)).subarray(0, IsalInflate.inputBytes);
      if (slice.length === 0) throw new BrokenGzip('it ends too early');
      inflate.give(slice);
      for (let isFull = true; isFull && !isOver;) {
        const content = nextOf(inflate);
        checksum = inflate.checksum(checksum, content.length);
        bytes += content.length;
        isFull = content.length === IsalInflate.outputBytes;
        isOver = inflate.isFinished;
        if (content.length > 0) yield content;
      }
      input.skip(isOver ? slice.length - inflate.leftBytes : slice.length);
    }
  } finally {
    inflate.giveBack();
  }
  const trailer = await input.peek(GZIP_TRAILER_BYTES);
  if (trailer.length < GZIP_TRAILER_BYTES) throw new BrokenGzip('it ends in its trailer');
  const fits = trailer.readUInt32LE(0) === checksum && trailer.readUInt32LE(4) === bytes % 2 ** 32;
  if (!fits) throw new BrokenGzip('its own checksum and its content differ');
  input.skip(GZIP_TRAILER_BYTES);
}

function nextOf(inflate: IsalInflate): Buffer {
  try {
    return inflate.next();
  } catch (cause) {
    throw new BrokenGzip('ISA-L says so', { cause });
  }
}

/** Slices that may be cut anywhere, and looked at ahead. */
class Input {
  readonly #slices: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);
  #isAtEnd = false;

  constructor(slices: AsyncIterable<Buffer>) {
    this.#slices = slices[Symbol.asyncIterator]();
  }

  /** All that is there, which is at least so many bytes, or all that was left. */
  async peek(bytes: number): Promise<Buffer> {
    while (this.#held.length < bytes && !this.#isAtEnd) {
      const next = await this.#slices.next();
      if (next.done === true) this.#isAtEnd = true;
      else this.#held = this.#held.length === 0 ? next.value : Buffer.concat([this.#held, next.value]);
    }
    return this.#held;
  }

  skip(bytes: number): void {
    this.#held = this.#held.subarray(bytes);
  }

  async *rest(): AsyncGenerator<Buffer, void, undefined> {
    for (let slice = await this.peek(1); slice.length > 0; slice = await this.peek(1)) {
      this.skip(slice.length);
      yield slice;
    }
  }

  async drain(): Promise<void> {
    while ((await this.peek(1)).length > 0) this.skip(this.#held.length);
  }

  async close(): Promise<void> {
    if (!this.#isAtEnd) await this.#slices.return?.();
  }
}
