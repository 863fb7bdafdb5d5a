/** Reads an object of S3, whole or as a stream, and tells a whole one from one that broke off. Keys are the full ones. */
import type { Readable } from 'node:stream';
import { GetObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { fail, type FailureError } from '../../base/errors.ts';
import { linkSignals } from '../../base/signals.ts';
import type { S3Target } from './client.ts';
import { bareETag } from './conditions.ts';
import { readFailure } from './denied.ts';
import { hasName } from './errors.ts';
import { TOKEN_METADATA } from './params.ts';

/** An object that was read whole. */
export interface ReadObject {
  etag: string;
  /** What our conditional writes sign their objects with; undefined for others, and where the server drops metadata. */
  token: string | undefined;
}

/** Undefined when it is absent. Throws FailureError, also when it is larger than `limitBytes`. */
export async function getFromS3(
  target: S3Target,
  key: string,
  limitBytes: number,
): Promise<{ body: Buffer; etag: string } | undefined> {
  return withAnswer(target, { key }, async (answer) => {
    // As it says how long it is, a long one is in memory once.
    const body = Buffer.allocUnsafeSlow(Math.min(answer.ContentLength ?? 0, limitBytes));
    const surplus: Buffer[] = [];
    const bytes = await eachPiece(answer, limitBytes, key, (piece, at) => {
      if (at + piece.length <= body.length) piece.copy(body, at);
      else surplus.push(piece);
    });
    return {
      body: surplus.length === 0 ? body.subarray(0, bytes) : Buffer.concat([body, ...surplus]),
      etag: bareETag(answer.ETag),
    };
  });
}

/** The same piece by piece. Throws also what `onPiece` throws, if that is a FailureError. */
export async function scanS3(
  target: S3Target,
  key: string,
  limitBytes: number,
  onPiece: (piece: Buffer) => void,
): Promise<ReadObject | undefined> {
  return withAnswer(target, { key }, async (answer) => {
    await eachPiece(answer, limitBytes, key, onPiece);
    return { etag: bareETag(answer.ETag), token: answer.Metadata?.[TOKEN_METADATA] };
  });
}

/** Some bytes of an object; fewer where it ends before. Undefined when it is absent. Throws FailureError. */
export async function getPartFromS3(
  target: S3Target,
  key: string,
  from: number,
  bytes: number,
): Promise<Buffer | undefined> {
  return withAnswer(target, { key, range: `bytes=${from}-${from + bytes - 1}` }, async (answer) => {
    // A server that knows no ranges begins at the begin.
    let skipped = answer.ContentRange === undefined ? 0 : from;
    const part = Buffer.allocUnsafeSlow(bytes);
    let filled = 0;
    for await (const chunk of answer.Body as Readable) {
      const piece = chunk as Buffer;
      const wanted = piece.subarray(Math.max(0, from - skipped));
      skipped += piece.length - wanted.length;
      filled += wanted.copy(part, filled, 0, bytes - filled);
      if (filled === bytes) return part;
    }
    return part.subarray(0, filled);
  });
}

/** What `read` makes of the answer, which is cut off once that has ended; undefined when the object is absent. */
async function withAnswer<T>(
  target: S3Target,
  { key, range }: { key: string; range?: string },
  read: (answer: GetObjectCommandOutput) => Promise<T>,
): Promise<T | undefined> {
  const cut = linkSignals([target.signal]);
  try {
    return await read(await sendGet(target, key, cut.signal, range));
  } catch (error) {
    if (hasName(error, 'NoSuchKey', 'NotFound')) return undefined;
    target.signal.throwIfAborted();
    throw await readFailure(error, { name: 'GetObject', key }, target);
  } finally {
    cut.release();
    cut.abort();
  }
}

/** Streams an object. Throws FailureError, and the signal's reason when it aborts. */
export async function* readFromS3(
  target: S3Target,
  key: string,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  signal.throwIfAborted();
  // Cutting the request is what frees the socket when the consumer stops early: the body may be wrapped by the SDK.
  const cut = linkSignals([signal, target.signal]);
  try {
    yield* readBody(target, key, cut.signal);
  } catch (error) {
    cut.signal.throwIfAborted();
    throw await readFailure(error, { name: 'GetObject', key }, target);
  } finally {
    cut.release();
    cut.abort();
  }
}

async function* readBody(target: S3Target, key: string, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  const answer = await sendGet(target, key, signal);
  let bytes = 0;
  for await (const chunk of answer.Body as Readable) {
    const piece = chunk as Buffer;
    bytes += piece.length;
    yield piece;
  }
  requireWhole(answer, bytes, key);
}

async function sendGet(
  { client, bucket }: S3Target,
  key: string,
  abortSignal: AbortSignal,
  Range?: string,
): Promise<GetObjectCommandOutput> {
  const command = new GetObjectCommand({ Bucket: bucket, Key: key, ...(Range === undefined ? {} : { Range }) });
  const answer = await client.send(command, { abortSignal });
  // When the reader has left, the SDK's stream finds that the checksum of the rest is wrong, and tells nobody.
  (answer.Body as Readable).on('error', () => undefined);
  return answer;
}

/** `onPiece` is told where the piece begins. Returns how many bytes there were. */
async function eachPiece(
  answer: GetObjectCommandOutput,
  limitBytes: number,
  key: string,
  onPiece: (piece: Buffer, at: number) => void,
): Promise<number> {
  if ((answer.ContentLength ?? 0) > limitBytes) throw tooLarge(key, limitBytes);
  let bytes = 0;
  for await (const chunk of answer.Body as Readable) {
    const piece = chunk as Buffer;
    if (bytes + piece.length > limitBytes) throw tooLarge(key, limitBytes);
    onPiece(piece, bytes);
    bytes += piece.length;
  }
  requireWhole(answer, bytes, key);
  return bytes;
}

function tooLarge(key: string, limitBytes: number): FailureError {
  return fail('object-too-large', {
    stage: 'upload',
    message: `${key} is larger than ${limitBytes} bytes, which is the most that is read at once`,
    hint: 'This object was not written by pgsluice, or was changed since: look at it, and remove it if it is not needed.',
  });
}

function requireWhole({ ContentLength = -1 }: GetObjectCommandOutput, bytes: number, key: string): void {
  if (ContentLength === -1 || ContentLength === bytes) return;
  throw fail('connection-lost', {
    stage: 'upload',
    message: `${key} ended after ${bytes} of ${ContentLength} bytes`,
    hint: 'The connection broke while the object was read. If it repeats, look at the network and proxies between.',
  });
}
