/** Gathers the compressor's slices into owned buffers of one part each, as the uploader would pin what it slices. */

/** Yields buffers of exactly `partBytes`, and a last one with what is left; nothing for an empty source. */
export async function* gatherParts(
  source: AsyncIterable<Buffer>,
  partBytes: number,
): AsyncGenerator<Buffer, void, undefined> {
  let part = Buffer.allocUnsafeSlow(partBytes);
  let filled = 0;
  for await (const slice of source) {
    for (let at = 0; at < slice.length;) {
      const step = slice.copy(part, filled, at);
      filled += step;
      at += step;
      if (filled === partBytes) {
        yield part;
        part = Buffer.allocUnsafeSlow(partBytes);
        filled = 0;
      }
    }
  }
  if (filled > 0) yield part.subarray(0, filled);
}
