/** Counts what an archive really holds, from the objects themselves. */
import { createGunzip } from 'node:zlib';
import { pipeline } from 'node:stream/promises';
import { BUDGET } from '../base/memory-budget.ts';
import type { Codec } from '../format/compress/codec.ts';
import { createZstdReader } from '../format/compress/unpack.ts';
import { ContentProof } from '../format/proof.ts';
import type { Store } from '../store/store.ts';

/** Reads an object whole, streaming, and counts its lines and bytes after decompression. Throws when it is cut or damaged. */
export async function readContent(store: Store, key: string, codec: Codec, signal: AbortSignal): Promise<ContentProof> {
  const proof = new ContentProof();
  const count = async (content: AsyncIterable<Buffer>): Promise<void> => {
    for await (const slice of content) proof.add(slice);
  };
  const source = store.read(key, signal);
  if (codec === 'none') await pipeline(source, count, { signal });
  else
    await pipeline(source, codec === 'gzip' ? createGunzip() : createZstdReader(BUDGET.unpack.windowBytes), count, {
      signal,
    });
  return proof;
}
