/** Takes an object out of its compression while it streams by, and says what is wrong with the compression itself. */
import { constants, createZstdDecompress, type ZstdDecompress } from 'node:zlib';
import { formatBytes, formatCount } from '../../base/units.ts';
import type { ContentSum } from '../proof.ts';
import type { Codec } from './codec.ts';
import { IsalInflation, OneGzipMember, ZlibInflation } from './gzip-member.ts';
import { isalProblem } from './isal.ts';
import { ZstdTokenFilter } from './token.ts';
import { CONTENT_BYTES, Limit, Unpacking, type Unpacker } from './unpacking.ts';

/** What an object may ask for; it says itself what it holds. */
export interface UnpackLimits {
  /** Content that is given in all: an object of a megabyte can hold ten gigabytes. */
  contentBytes: number;
  /** Of a zstd: how far back it may look. */
  windowBytes: number;
}

/**
 * What inflates a gzip. ISA-L is several times as fast; it does not say what is wrong with a damaged one, and takes some that zlib refuses.
 * So whoever does not find what he wants asks zlib, which has the last word.
 */
export type Inflater = 'isal' | 'zlib';

/** The fastest on this machine. */
export function fastestInflater(): Inflater {
  return isalProblem() === undefined ? 'isal' : 'zlib';
}

/** `onContent` is called in order, and is done with a buffer when it returns. */
export function createUnpacker(
  codec: Codec,
  limits: UnpackLimits,
  onContent: (content: Buffer) => void,
  inflater: Inflater = 'zlib',
): Unpacker {
  const limit = new Limit(limits.contentBytes, onContent);
  switch (codec) {
    case 'none':
      return new Plain(limit);
    case 'gzip':
      return new OneGzipMember(inflater === 'isal' ? new IsalInflation(limit) : new ZlibInflation(limit));
    case 'zstd':
      return new OneZstdFrame(limit, limits.windowBytes);
  }
}

/** A stream that gives the content of a zstd, and fails where that wants a larger window: a power of two. */
export function createZstdReader(windowBytes: number): ZstdDecompress {
  const params = { [constants.ZSTD_d_windowLogMax]: Math.log2(windowBytes) };
  return createZstdDecompress({ chunkSize: CONTENT_BYTES, params });
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
