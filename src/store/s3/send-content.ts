/**
 * Sends a PutObject whose body need not be held. The server sees the same request as for a body in memory: its length and its
 * digests stand in the headers, as they are known before. The SDK would send a stream in chunks, with the digest behind them,
 * which many servers refuse; and it could send it once only.
 */
import { Readable } from 'node:stream';
import { PutObjectCommand, type PutObjectCommandInput, type PutObjectCommandOutput } from '@aws-sdk/client-s3';
import { linkSignals } from '../../base/signals.ts';
import { checkedPieces } from '../content.ts';
import type { Content } from '../store.ts';
import { requestTimeoutOf, type S3Target } from './client.ts';

/** Throws what the SDK threw, and what making the content threw. */
export async function sendPut(
  target: S3Target,
  input: PutObjectCommandInput,
  body: Buffer | Content,
): Promise<PutObjectCommandOutput> {
  if (Buffer.isBuffer(body)) return target.client.send(new PutObjectCommand({ ...input, Body: body }));
  return sendContent(target, input, body);
}

async function sendContent(
  target: S3Target,
  input: PutObjectCommandInput,
  content: Content,
): Promise<PutObjectCommandOutput> {
  const cut = linkSignals([target.signal]);
  const bodies: Readable[] = [];
  /** Why the content could not be made. Nothing else tells the request, which would wait for the rest of its body. */
  let broken: { error: unknown } | undefined;
  const nextBody = (): Readable => {
    bodies.pop()?.destroy();
    const body = Readable.from(checkedPieces(content), { objectMode: false, highWaterMark: 0 });
    body.on('error', (error) => {
      broken = { error };
      cut.abort(error);
    });
    bodies.push(body);
    return body;
  };
  const command = new PutObjectCommand({
    ...input,
    ContentLength: content.bytes,
    ...checksumOf(target, content.crc32),
  });
  command.middlewareStack.add(
    (next) => (args) => {
      requestOf(args).headers['x-amz-content-sha256'] = content.sha256;
      return next(args);
    },
    { step: 'build', name: 'pgsluiceContentDigest' },
  );
  // Right before it is sent: what the SDK does about failures would else complain of a stream, on the console.
  command.middlewareStack.add(
    (next) => (args) => {
      requestOf(args).body = nextBody();
      return next(args);
    },
    { step: 'deserialize', name: 'pgsluiceContent' },
  );
  try {
    const requestTimeout = requestTimeoutOf(target.timeouts, content.bytes);
    return await target.client.send(command, { abortSignal: cut.signal, requestTimeout });
  } catch (error) {
    // An answer may have come before all of the body went.
    cut.abort();
    throw broken === undefined ? error : broken.error;
  } finally {
    cut.release();
    bodies.pop()?.destroy();
  }
}

function requestOf({ request }: { request: unknown }): { headers: Record<string, string>; body?: unknown } {
  return request as { headers: Record<string, string>; body?: unknown };
}

/** What the SDK computes of a body in memory, and does not where it is given. */
export function checksumOf({ destination }: S3Target, crc32: number): Partial<PutObjectCommandInput> {
  if (destination.checksums === 'when-required') return {};
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32);
  return { ChecksumAlgorithm: 'CRC32', ChecksumCRC32: bytes.toString('base64') };
}
