/** The compressing stage: lines in, one gzip member or one zstd frame out, with as little copied and kept as can be. */
import type { Transform } from 'node:stream';
import { constants, createGzip, createZstdCompress } from 'node:zlib';
import type { CompressorChoice } from './codec.ts';
import { IsalGzip } from './isal.ts';

/** Bytes of each slice that zlib gives; they are copied into parts at once. */
const SLICE_BYTES = 64 * 1024;

/**
 * Compresses `content`. A buffer of it must stay valid until the second one after it is asked for, as zlib works on one
 * in a thread of its own while the next is made. A slice that is yielded is valid until the next one is asked for.
 */
export function compress(content: AsyncIterable<Buffer>, { engine, level }: CompressorChoice): AsyncIterable<Buffer> {
  switch (engine) {
    case 'isal':
      return compressWithIsal(content, level);
    case 'zlib':
      return compressWithStream(content, createGzip({ chunkSize: SLICE_BYTES, level }));
    case 'zstd':
      return compressWithStream(
        content,
        createZstdCompress({
          chunkSize: SLICE_BYTES,
          params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
        }),
      );
    case 'none':
      return content;
  }
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

/** Each write runs in a pool thread; while it does, the next buffer is made here. */
async function* compressWithStream(
  content: AsyncIterable<Buffer>,
  stream: Transform,
): AsyncGenerator<Buffer, void, undefined> {
  const slices: Buffer[] = [];
  stream.on('data', (slice: Buffer) => slices.push(slice));
  // The failure comes out of the write that meets it; an error event without a listener would end the process.
  stream.on('error', () => undefined);
  try {
    let writing: Promise<void> = Promise.resolve();
    for await (const buffer of content) {
      await writing;
      yield* drain(slices);
      writing = write(stream, buffer);
      // The next buffer may fail before this write is waited for.
      writing.catch(() => undefined);
    }
    await writing;
    yield* drain(slices);
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
