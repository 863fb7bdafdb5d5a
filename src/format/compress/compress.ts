/** The compressing stage: lines in, one gzip member or one zstd frame out, with as little copied and kept as can be. */
import type { Transform } from 'node:stream';
import { constants, createZstdCompress } from 'node:zlib';
import { BUDGET } from '../../base/memory-budget.ts';
import { LINE_BUFFERS } from '../jsonl/line-buffer.ts';
import type { CompressorChoice } from './codec.ts';
import { IsalGzip } from './isal.ts';
import { putIntoGzip, type Token, zstdFrameOf } from './token.ts';
import { compressWithZlib, type ContentSum } from './zlib.ts';

const SLICE_BYTES = BUDGET.slice.bytes;

/**
 * Buffers that wait for zlib, which works on one in a thread of its own while the next are made. Each time it is done with
 * one, it has to wait for this thread, which may be busy.
 */
const BUFFERS_AHEAD = LINE_BUFFERS;

/**
 * Compresses `content`. A buffer of it must stay valid until LINE_BUFFERS more were asked for, and `sum` be
 * right for all of it when it ends. A slice that is yielded is valid until the next one is asked for. The object has
 * `token` in it, but for plain JSON Lines, which have no place for it.
 */
export function compress(
  content: AsyncIterable<Buffer>,
  { engine, level }: CompressorChoice,
  sum: ContentSum,
  token?: Token,
): AsyncIterable<Buffer> {
  switch (engine) {
    case 'isal':
      return asGzipOf(token, compressWithIsal(content, level));
    case 'zlib':
      return asGzipOf(token, compressWithZlib(content, level, sum));
    case 'zstd':
      return asZstdOf(token, compressWithStream(content, zstdStream(level)));
    case 'none':
      return content;
  }
}

async function* asGzipOf(
  token: Token | undefined,
  slices: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  let isFirst = true;
  for await (const slice of slices) {
    if (isFirst && token !== undefined) putIntoGzip(slice, token);
    isFirst = false;
    yield slice;
  }
}

async function* asZstdOf(
  token: Token | undefined,
  slices: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  yield* slices;
  if (token !== undefined) yield zstdFrameOf(token);
}

function zstdStream(level: number): Transform {
  return createZstdCompress({
    chunkSize: SLICE_BYTES,
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
  });
}

async function* compressWithIsal(
  content: AsyncIterable<Buffer>,
  level: number,
): AsyncGenerator<Buffer, void, undefined> {
  const gzip = new IsalGzip(level);
  try {
    for await (const buffer of content) yield* gzip.write(buffer);
    yield* gzip.end();
  } finally {
    gzip.close();
  }
}

/** Each write runs in a pool thread; while it does, the next buffers are made here. */
async function* compressWithStream(
  content: AsyncIterable<Buffer>,
  stream: Transform,
): AsyncGenerator<Buffer, void, undefined> {
  const slices: Buffer[] = [];
  stream.on('data', (slice: Buffer) => slices.push(slice));
  // The failure comes out of the write that meets it; an error event without a listener would end the process.
  stream.on('error', () => undefined);
  try {
    const writing: Promise<void>[] = [];
    for await (const buffer of content) {
      const written = write(stream, buffer);
      // What is made next may fail before this write is waited for.
      written.catch(() => undefined);
      writing.push(written);
      if (writing.length >= BUFFERS_AHEAD) await writing.shift();
      yield* drain(slices);
    }
    await Promise.all(writing);
    await end(stream);
    yield* drain(slices);
  } finally {
    stream.destroy();
  }
}

function* drain(slices: Buffer[]): Generator<Buffer, void, undefined> {
  for (let slice = slices.shift(); slice !== undefined; slice = slices.shift()) yield slice;
}

async function write(stream: Transform, buffer: Buffer): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.write(buffer, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

async function end(stream: Transform): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.once('error', reject);
    stream.once('end', resolve);
    stream.end();
  });
}
