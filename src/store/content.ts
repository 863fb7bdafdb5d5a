/** Content that is made a piece at a time, on its way into a destination. */
import { createHash, hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { fail } from '../base/errors.ts';
import type { Content } from './store.ts';

/**
 * Its pieces; the last one is kept back until all of them are found to be what was said of them, so that nobody takes in what
 * has changed since. Throws FailureError `object-changed`.
 */
export async function* checkedPieces(content: Content): AsyncGenerator<Buffer, void, undefined> {
  const digest = createHash('sha256');
  let bytes = 0;
  let last: Buffer | undefined;
  for await (const piece of content.pieces()) {
    digest.update(piece);
    bytes += piece.length;
    if (last !== undefined) yield last;
    last = piece;
  }
  if (bytes !== content.bytes || digest.digest('hex') !== content.sha256)
    throw fail(
      { code: 'object-changed', transient: false },
      { stage: 'upload', message: 'what was to be written is not any more what it was when it was first read' },
    );
  if (last !== undefined) yield last;
}

/** Measures what is made, or read, a piece at a time. */
export class ContentMeter {
  readonly #sha256 = createHash('sha256');
  #bytes = 0;
  #crc32 = 0;

  readonly take = (piece: Buffer): void => {
    this.#sha256.update(piece);
    this.#crc32 = crc32(piece, this.#crc32);
    this.#bytes += piece.length;
  };

  /** SHA-256 of what was taken, and of `end` behind it. */
  digestWith(end: Buffer): Buffer {
    return this.#sha256.copy().update(end).digest();
  }

  /** Of all that was taken: to be asked for once, at the end. */
  measured(): Omit<Content, 'pieces'> {
    return { bytes: this.#bytes, sha256: this.#sha256.digest('hex'), crc32: this.#crc32 };
  }
}

/** What is held. */
export function contentOf(body: Buffer): Content {
  return { bytes: body.length, sha256: hash('sha256', body), crc32: crc32(body), pieces: () => [body] };
}

/** All of it at once. */
export async function bytesOf(content: Content): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of content.pieces()) pieces.push(piece);
  return Buffer.concat(pieces);
}
