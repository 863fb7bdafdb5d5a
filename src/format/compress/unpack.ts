/** Takes an object out of its compression while it streams by, and says what is wrong with the compression itself. */
import type { Transform } from 'node:stream';
import { constants, createInflateRaw, createZstdDecompress, type ZstdDecompress } from 'node:zlib';
import { errorText } from '../../base/errors.ts';
import { BUDGET } from '../../base/memory-budget.ts';
import { formatBytes, formatCount } from '../../base/units.ts';
import { ContentSum } from '../proof.ts';
import type { Codec } from './codec.ts';
import { ZstdTokenFilter } from './token.ts';

/** What an object's bytes are fed to; its content has been given to the receiver when `end` resolves. */
export interface Unpacker {
  /** Whether there is more content than was asked for: then the rest is not unpacked, and nothing more need be written. */
  readonly isFull: boolean;
  /** What the receiver was given so far. */
  readonly content: ContentSum;
  /** Resolves when the next bytes may come. */
  write(slice: Buffer): Promise<void>;
  /** Resolves to what is wrong with the compression; undefined when it is whole, or was not read further. To be called once. */
  end(): Promise<string | undefined>;
}

const CONTENT_BYTES = BUDGET.unpack.contentBytes;

/** What an object may ask for; it says itself what it holds. */
export interface UnpackLimits {
  /** Content that is given in all: an object of a megabyte can hold ten gigabytes. */
  contentBytes: number;
  /** Of a zstd: how far back it may look. */
  windowBytes: number;
}

/** `onContent` is called in order, and is done with a buffer when it returns. */
export function createUnpacker(codec: Codec, limits: UnpackLimits, onContent: (content: Buffer) => void): Unpacker {
  const limit = new Limit(limits.contentBytes, onContent);
  switch (codec) {
    case 'none':
      return new Plain(limit);
    case 'gzip':
      return new OneGzipMember(limit);
    case 'zstd':
      return new OneZstdFrame(limit, limits.windowBytes);
  }
}

/** A stream that gives the content of a zstd, and fails where that wants a larger window: a power of two. */
export function createZstdReader(windowBytes: number): ZstdDecompress {
  const params = { [constants.ZSTD_d_windowLogMax]: Math.log2(windowBytes) };
  return createZstdDecompress({ chunkSize: CONTENT_BYTES, params });
}

/**
 * Frees a chunk that one of Node's decompressors gave, and that nobody needs any more. Otherwise the collector would, which the many
 * bytes outside of the heap call so often that it takes longer than the decompressor. The stream is done with a buffer once it is full.
 */
export function freeChunk(chunk: Buffer): void {
  const { buffer, byteOffset, length } = chunk;
  const isFull = buffer.byteLength === CONTENT_BYTES && byteOffset + length === CONTENT_BYTES;
  if (isFull && buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/** What is wrong, where that is the window alone. */
export function describeWindowExcess(error: unknown, windowBytes: number): string | undefined {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  if (code !== 'ZSTD_error_frameParameter_windowTooLarge') return undefined;
  return (
    `its zstd looks back further than the ${formatBytes(windowBytes)} that this config allows for: ` +
    'give an archive of the config the compression.level (20 to 22) that it was written with'
  );
}

/** Gives content to the receiver, and adds it up, as long as there is no more than was asked for. */
class Limit {
  readonly content = new ContentSum();
  readonly #mostBytes: number;
  readonly #onContent: (content: Buffer) => void;
  isExceeded = false;

  constructor(mostBytes: number, onContent: (content: Buffer) => void) {
    this.#mostBytes = mostBytes;
    this.#onContent = onContent;
  }

  /** Returns whether these bytes still went in. */
  pass(piece: Buffer): boolean {
    this.isExceeded ||= this.content.bytes + piece.length > this.#mostBytes;
    if (this.isExceeded) return false;
    this.content.add(piece);
    this.#onContent(piece);
    return true;
  }
}

class Plain implements Unpacker {
  readonly #limit: Limit;

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
    this.#limit.pass(slice);
  }

  async end(): Promise<string | undefined> {
    return undefined;
  }
}

/** Feeds a zlib stream; once that has failed or ended, the rest is taken and dropped, so that the reader can go on. */
class Unpacking implements Unpacker {
  #fedBytes = 0;
  readonly #name: string;
  readonly #stream: Transform & { bytesWritten: number };
  readonly #limit: Limit;
  #failure: Error | undefined;
  #isOver = false;
  #wake: () => void = () => undefined;

  constructor(name: string, stream: Transform & { bytesWritten: number }, limit: Limit) {
    this.#name = name;
    this.#stream = stream;
    this.#limit = limit;
    stream.on('data', (content: Buffer) => {
      if (!limit.pass(content)) this.#stop();
      freeChunk(content);
    });
    stream.on('drain', () => {
      this.#wake();
    });
    stream.on('end', () => {
      this.#finish();
    });
    stream.on('error', (error) => {
      this.#failure = error;
      this.#finish();
    });
  }

  get isFull(): boolean {
    return this.#limit.isExceeded;
  }

  get content(): ContentSum {
    return this.#limit.content;
  }

  /** Bytes that were fed after what the stream took for its end. */
  get restBytes(): number {
    return this.#fedBytes - this.#stream.bytesWritten;
  }

  async write(slice: Buffer): Promise<void> {
    this.#fedBytes += slice.length;
    if (this.#isOver || this.#stream.write(slice)) return;
    await this.#change();
  }

  /** Why it failed. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  async end(): Promise<string | undefined> {
    if (!this.#isOver) {
      this.#stream.end();
      await this.#change();
    }
    this.#stream.destroy();
    return this.#failure === undefined ? undefined : `its ${this.#name} is damaged: ${errorText(this.#failure)}`;
  }

  /** A stream that is destroyed unpacks no more, also of what it was given. */
  #stop(): void {
    this.#stream.destroy();
    this.#finish();
  }

  #finish(): void {
    this.#isOver = true;
    this.#wake();
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }
}

class OneZstdFrame implements Unpacker {
  readonly #windowBytes: number;
  readonly #unpacking: Unpacking;
  readonly #filter = new ZstdTokenFilter();

  constructor(limit: Limit, windowBytes: number) {
    this.#windowBytes = windowBytes;
    this.#unpacking = new Unpacking('zstd', createZstdReader(windowBytes), limit);
  }

  get isFull(): boolean {
    return this.#unpacking.isFull;
  }

  get content(): ContentSum {
    return this.#unpacking.content;
  }

  async write(slice: Buffer): Promise<void> {
    const taken = this.#filter.take(slice);
    if (taken.length > 0) await this.#unpacking.write(taken);
  }

  async end(): Promise<string | undefined> {
    const rest = this.#filter.end();
    if (rest.length > 0) await this.#unpacking.write(rest);
    const failure = await this.#unpacking.end();
    const { restBytes } = this.#unpacking;
    if (failure !== undefined || this.isFull)
      return describeWindowExcess(this.#unpacking.failure, this.#windowBytes) ?? failure;
    return restBytes === 0 ? undefined : `${formatCount(restBytes)} bytes follow its zstd frame`;
  }
}

/** Magic number, method and no optional fields: the only header that we write, ten bytes long. */
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0]);
const GZIP_HEADER_BYTES = 10;
const GZIP_TRAILER_BYTES = 8;

/**
 * Node's own gunzip reads on into what follows the first member, where other readers stop. So the member is taken apart
 * here: its header, the deflate stream, and then the eight bytes of the trailer and no more.
 */
class OneGzipMember implements Unpacker {
  readonly #inflation: Unpacking;
  #header = Buffer.alloc(0);
  /** The last bytes that came. */
  #tail = Buffer.alloc(0);

  constructor(limit: Limit) {
    this.#inflation = new Unpacking('gzip', createInflateRaw({ chunkSize: CONTENT_BYTES }), limit);
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
