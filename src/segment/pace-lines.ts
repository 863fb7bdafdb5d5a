/** Holds lines back until they are granted: who reads them is not asked for more meanwhile, and so the server waits. */

/** Yields the same bytes, in pieces of at most so many, each once it is granted. */
export async function* paceLines(
  buffers: AsyncIterable<Buffer>,
  pieceBytes: number,
  grant: (bytes: number) => Promise<void>,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const buffer of buffers) {
    for (let at = 0; at < buffer.length; at += pieceBytes) {
      const piece = buffer.subarray(at, at + pieceBytes);
      await grant(piece.length);
      yield piece;
    }
  }
}
