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
