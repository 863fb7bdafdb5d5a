/** Gathers the compressor's slices into owned buffers, as the uploader would pin what it slices. */
import { Kept } from '../../base/kept.ts';
import { BUDGET } from '../../base/memory-budget.ts';
import { freeNow } from '../../store/free-now.ts';

/**
 * What the first piece begins with: many objects are no larger. V8 counts what lies outside of its heap, and collects all of it
 * once that has grown by a few megabytes, which whole pieces did with every other small object.
 */
export const FIRST_PIECE_BYTES = 64 * 1024;

/** Of the last segment of this thread, by the size of a piece. */
const kept = new Kept<number, Buffer[]>((pieces) => {
  for (const piece of pieces) freeNow(piece);
});

/**
 * Whole pieces that are used again. Made anew for each part, though freed at once, they had V8 collect the whole heap of a worker
 * every four megabytes of object: a sixth of the CPU of a run.
 */
export class PieceMemory {
  readonly pieceBytes: number;
  readonly #free: Buffer[];

  /** For one upload at a time; takes over what the one before has left. To be closed once. */
  constructor(pieceBytes = BUDGET.pieces.bytes) {
    this.pieceBytes = pieceBytes;
    this.#free = kept.take(pieceBytes) ?? [];
  }

  /** A whole piece that was given back, if there is one. */
  take(): Buffer | undefined {
    return this.#free.pop();
  }

  /** Once nobody looks at the piece any more. */
  giveBack(piece: Buffer): void {
    const { buffer } = piece;
    if (buffer.byteLength === this.pieceBytes && buffer instanceof ArrayBuffer) this.#free.push(Buffer.from(buffer));
    else freeNow(piece);
  }

  /** What was not given back may still be on its way, and is left to the collector. */
  close(): void {
    void kept.keep(this.pieceBytes, this.#free);
  }
}

/**
 * Yields buffers of the size of a piece, shorter ones where a part of `partBytes` ends, and a last one with what is left; nothing for an
 * empty stream. Not whole parts: the uploader copies those together anyway, and each would be in memory twice for longer.
 */
export async function* gatherPieces(
  slices: AsyncIterable<Buffer>,
  partBytes: number,
  memory: PieceMemory,
): AsyncGenerator<Buffer, void, undefined> {
  const { pieceBytes } = memory;
  let leftInPart = partBytes;
  let room = Math.min(pieceBytes, leftInPart);
  let piece = takePiece(memory, room, Math.min(FIRST_PIECE_BYTES, room));
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
      piece = takePiece(memory, room);
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
  else memory.giveBack(piece);
}

/** A piece of `room` bytes; made anew, it has `newBytes`. */
function takePiece(memory: PieceMemory, room: number, newBytes = room): Buffer {
  return (room === memory.pieceBytes ? memory.take() : undefined) ?? Buffer.allocUnsafeSlow(newBytes);
}

function grown(piece: Buffer, bytes: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(bytes);
  piece.copy(larger);
  return larger;
}
