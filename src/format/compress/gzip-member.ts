/** Takes a gzip apart that is one member, as ours are: its header, the deflate stream, its trailer. */
import { setImmediate } from 'node:timers/promises';
import { createInflateRaw } from 'node:zlib';
import { errorText } from '../../base/errors.ts';
import { formatCount } from '../../base/units.ts';
import type { ContentSum } from '../proof.ts';
import { IsalInflate } from './isal-inflate.ts';
import { CONTENT_BYTES, damagedBy, type Limit, Unpacking, type Unpacker } from './unpacking.ts';

/** Of a deflate stream, and of what follows it. */
interface Inflation extends Unpacker {
  /** Bytes that were written after the end of the stream. */
  readonly restBytes: number;
}

export class ZlibInflation extends Unpacking implements Inflation {
  constructor(limit: Limit) {
    super('gzip', createInflateRaw({ chunkSize: CONTENT_BYTES }), limit);
  }
}

/** Content that is inflated before others have their turn in this thread: a megabyte may hold a gigabyte. */
const PIECES_AT_ONCE = 8;

export class IsalInflation implements Inflation {
  restBytes = 0;
  readonly #limit: Limit;
  readonly #inflate = IsalInflate.take();
  #isOver = false;
  #damage: string | undefined;
  #pieces = 0;

  constructor(limit: Limit) {
    this.#limit = limit;
  }

  get isFull(): boolean {
    return this.#limit.isExceeded;
  }

  get content(): ContentSum {
    return this.#limit.content;
  }

  async write(slice: Buffer): Promise<void> {
    for (let at = 0; at < slice.length; at += IsalInflate.inputBytes) {
      const input = slice.subarray(at, at + IsalInflate.inputBytes);
      if (this.#isOver) this.restBytes += input.length;
      else await this.#inflateAll(input);
    }
  }

  async end(): Promise<string | undefined> {
    this.#inflate.giveBack();
    if (this.#damage !== undefined || this.isFull) return this.#damage;
    return this.#isOver ? undefined : damagedBy('gzip', 'it ends too early');
  }

  async #inflateAll(input: Buffer): Promise<void> {
    const inflate = this.#inflate;
    inflate.give(input);
    for (;;) {
      const content = this.#next();
      if (content === undefined) return;
      if (content.length > 0 && !this.#limit.pass(content, (before) => inflate.checksum(before, content.length))) break;
      if (inflate.isFinished) {
        this.restBytes = inflate.leftBytes;
        break;
      }
      if (content.length < IsalInflate.outputBytes) return;
      this.#pieces += 1;
      if (this.#pieces % PIECES_AT_ONCE === 0) await setImmediate();
    }
    this.#isOver = true;
  }

  #next(): Buffer | undefined {
    try {
      return this.#inflate.next();
    } catch (error) {
      this.#damage = damagedBy('gzip', errorText(error));
      this.#isOver = true;
      return undefined;
    }
  }
}

/** Magic number, method and no optional fields: the only header that we write, ten bytes long. */
export const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0]);
export const GZIP_HEADER_BYTES = 10;
export const GZIP_TRAILER_BYTES = 8;

/**
 * Node's own gunzip reads on into what follows the first member, where other readers stop. So the member is taken apart
 * here: its header, the deflate stream, and then the eight bytes of the trailer and no more.
 */
export class OneGzipMember implements Unpacker {
  readonly #inflation: Inflation;
  #header = Buffer.alloc(0);
  /** The last bytes that came. */
  #tail = Buffer.alloc(0);

  constructor(inflation: Inflation) {
    this.#inflation = inflation;
  }

  get isFull(): boolean {
    return this.#inflation.isFull;
  }

  get content(): ContentSum {
    return this.#inflation.content;
  }

  async write(slice: Buffer): Promise<void> {
    const missing = GZIP_HEADER_BYTES - this.#header.length;
    if (missing > 0) this.#header = Buffer.concat([this.#header, slice.subarray(0, missing)]);
    const end = slice.subarray(-GZIP_TRAILER_BYTES);
    this.#tail = Buffer.concat([this.#tail, end]).subarray(-GZIP_TRAILER_BYTES);
    if (slice.length > missing && this.#hasHeader()) await this.#inflation.write(slice.subarray(missing));
  }

  async end(): Promise<string | undefined> {
    if (!this.#hasHeader()) {
      await this.#inflation.end();
      return 'it does not begin as a gzip file of ours does';
    }
    const failure = await this.#inflation.end();
    if (failure !== undefined || this.isFull) return failure;
    const { restBytes } = this.#inflation;
    if (restBytes < GZIP_TRAILER_BYTES) return 'its gzip is cut off in the trailer';
    if (restBytes === GZIP_TRAILER_BYTES) return this.#checkTrailer();
    return `${formatCount(restBytes - GZIP_TRAILER_BYTES)} bytes follow its gzip member, where many readers stop`;
  }

  #checkTrailer(): string | undefined {
    const { checksum, bytes } = this.content;
    const fits = this.#tail.readUInt32LE(0) === checksum && this.#tail.readUInt32LE(4) === bytes % 2 ** 32;
    return fits ? undefined : 'its gzip is damaged: its own checksum and its content differ';
  }

  #hasHeader(): boolean {
    const { length } = this.#header;
    return length === GZIP_HEADER_BYTES && this.#header.subarray(0, GZIP_HEADER.length).equals(GZIP_HEADER);
  }
}
