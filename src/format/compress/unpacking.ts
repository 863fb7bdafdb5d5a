/** What all unpackers are made of: a limit of what is given, and the feeding of a stream of Node. */
import type { Transform } from 'node:stream';
import { crc32 } from 'node:zlib';
import { errorText } from '../../base/errors.ts';
import { BUDGET } from '../../base/memory-budget.ts';
import { ContentSum } from '../proof.ts';

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

export const CONTENT_BYTES = BUDGET.unpack.contentBytes;

/**
 * Frees a chunk that one of Node's decompressors gave, and that nobody needs any more. Otherwise the collector would, which the many
 * bytes outside of the heap call so often that it takes longer than the decompressor. The stream is done with a buffer once it is full.
 */
export function freeChunk(chunk: Buffer): void {
  const { buffer, byteOffset, length } = chunk;
  const isFull = buffer.byteLength === CONTENT_BYTES && byteOffset + length === CONTENT_BYTES;
  if (isFull && buffer instanceof ArrayBuffer) buffer.transfer(0);
}

export function damagedBy(codec: string, why: string): string {
  return `its ${codec} is damaged: ${why}`;
}

/** Gives content to the receiver, and adds it up, as long as there is no more than was asked for. */
export class Limit {
  readonly content = new ContentSum();
  readonly #mostBytes: number;
  readonly #onContent: (content: Buffer) => void;
  isExceeded = false;

  constructor(mostBytes: number, onContent: (content: Buffer) => void) {
    this.#mostBytes = mostBytes;
    this.#onContent = onContent;
  }

  /** Returns whether these bytes still went in; `sum` gives the CRC-32 of all when that before them is given. */
  pass(piece: Buffer, sum: (before: number) => number = (before) => crc32(piece, before)): boolean {
    this.isExceeded ||= this.content.bytes + piece.length > this.#mostBytes;
    if (this.isExceeded) return false;
    this.content.addSummed(piece.length, sum(this.content.checksum));
    this.#onContent(piece);
    return true;
  }
}

/** Feeds a zlib stream; once that has failed or ended, the rest is taken and dropped, so that the reader can go on. */
export class Unpacking implements Unpacker {
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
    return this.#failure === undefined ? undefined : damagedBy(this.#name, errorText(this.#failure));
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
