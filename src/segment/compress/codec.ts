/** The codecs: what compresses the JSON Lines, and what the object is called and said to be. */
import type { Transform } from 'node:stream';
import { constants, createGzip, createZstdCompress } from 'node:zlib';

export type Codec = 'gzip' | 'zstd' | 'none';

/** Bytes of each slice that a compressor gives; they are copied into parts at once. */
const CHUNK_BYTES = 64 * 1024;

/** File name ending and media type of a codec's objects. */
export const CODEC_FILES: Record<Codec, { extension: string; contentType: string }> = {
  gzip: { extension: 'jsonl.gz', contentType: 'application/gzip' },
  zstd: { extension: 'jsonl.zst', contentType: 'application/zstd' },
  none: { extension: 'jsonl', contentType: 'application/x-ndjson' },
};

/** A stream that compresses as one gzip member or one zstd frame; undefined for `none`. */
export function createCompressor(codec: Codec, level: number | undefined): Transform | undefined {
  switch (codec) {
    case 'gzip':
      return createGzip({ chunkSize: CHUNK_BYTES, ...(level === undefined ? {} : { level }) });
    case 'zstd':
      return createZstdCompress({
        chunkSize: CHUNK_BYTES,
        params: { [constants.ZSTD_c_compressionLevel]: level ?? 3, [constants.ZSTD_c_checksumFlag]: 1 },
      });
    case 'none':
      return undefined;
  }
}
