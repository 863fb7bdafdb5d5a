/** Gathers the compressor's slices into owned buffers, as the uploader would pin what it slices. */
import { BUDGET } from '../../base/memory-budget.ts';

/**
 * What the first piece begins with: many objects are no larger. V8 counts what lies outside of its heap, and collects all of it
 * once that has grown by a few megabytes, which whole pieces did with every other small object.
 */
export const FIRST_PIECE_BYTES = 64 * 1024;

/**
 * Yields buffers of `pieceBytes`, shorter ones where a part of `partBytes` ends, and a last one with what is left; nothing for an
 * empty stream. Not whole parts: the uploader copies those together anyway, and each would be in memory twice for longer.
 */
export async function* gatherPieces(
  slices: AsyncIterable<Buffer>,
  partBytes: number,
  pieceBytes = BUDGET.pieces.bytes,
): AsyncGenerator<Buffer, void, undefined> {
  let leftInPart = partBytes;
  let room = Math.min(pieceBytes, leftInPart);
  let piece: Buffer = Buffer.allocUnsafeSlow(Math.min(FIRST_PIECE_BYTES, room));
  let filled = 0;
  for await (const slice of slices) {
    for (let at = 0; at < slice.length;) {
      const step = slice.copy(piece, filled, at);
      filled += step;
      at += step;
      if (filled < piece.length) continue;
      if (filled < room) {
        piece = grown(piece, room);
        continue;
      }
      yield piece;
      leftInPart = leftInPart === filled ? partBytes : leftInPart - filled;
      room = Math.min(pieceBytes, leftInPart);
      piece = Buffer.allocUnsafeSlow(room);
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

function grown(piece: Buffer, bytes: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(bytes);
  piece.copy(larger);
  return larger;
}
