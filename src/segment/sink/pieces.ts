/** Gathers the compressor's slices into owned buffers, as the uploader would pin what it slices. */
import { BUDGET } from '../../base/memory-budget.ts';

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
  let piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, leftInPart));
  let filled = 0;
  for await (const slice of slices) {
    for (let at = 0; at < slice.length;) {
      const step = slice.copy(piece, filled, at);
      filled += step;
      at += step;
      if (filled < piece.length) continue;
      yield piece;
      leftInPart = leftInPart === filled ? partBytes : leftInPart - filled;
      piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, leftInPart));
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}
