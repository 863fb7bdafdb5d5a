/**
 * The token of an attempt, in the object that it wrote: equal bytes have equal ETags, and a write that comes late must not
 * pass for the one that it would replace. Four bytes, where every reader of the codec passes over them.
 */

/** Eight hexadecimal digits. */
export type Token = string;

/** Where RFC 1952 has the time of modification, of which nobody asks. */
const GZIP_TIME_AT = 4;
const GZIP_TIME_END = 8;

/** Of a skippable frame of zstd that holds four bytes. */
const SKIPPABLE = Buffer.from('502a4d1804000000', 'hex');
const TOKEN_BYTES = 4;
const FRAME_BYTES = SKIPPABLE.length + TOKEN_BYTES;

/** Writes the token into the header of a gzip member, with which `start` begins. */
export function putIntoGzip(start: Buffer, token: Token): void {
  if (start.length < GZIP_TIME_END) throw new Error('a gzip header came in pieces');
  start.write(token, GZIP_TIME_AT, 'hex');
}

/**
 * What follows the frame of the data. Never before it: several readers take the end of the first frame for the end of all,
 * and would see an empty file.
 */
export function zstdFrameOf(token: Token): Buffer {
  return Buffer.concat([SKIPPABLE, Buffer.from(token, 'hex')]);
}

/** A zstd object without the frame of its token: not every decompressor takes what comes after the frame of the data. */
export class ZstdTokenFilter {
  #held = Buffer.alloc(0);

  /** What is surely before the frame. */
  take(slice: Buffer): Buffer {
    const all = this.#held.length === 0 ? slice : Buffer.concat([this.#held, slice]);
    const rest = Math.max(0, all.length - FRAME_BYTES);
    // The slice may be the reader's own buffer.
    this.#held = Buffer.from(all.subarray(rest));
    return all.subarray(0, rest);
  }

  /** What is left at the end, and is no such frame. */
  end(): Buffer {
    const isToken = this.#held.length === FRAME_BYTES && this.#held.subarray(0, SKIPPABLE.length).equals(SKIPPABLE);
    return isToken ? Buffer.alloc(0) : this.#held;
  }
}

/** The same for a stream of slices. */
export async function* withoutZstdToken(slices: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  const filter = new ZstdTokenFilter();
  for await (const slice of slices) {
    const taken = filter.take(slice);
    if (taken.length > 0) yield taken;
  }
  const rest = filter.end();
  if (rest.length > 0) yield rest;
}
