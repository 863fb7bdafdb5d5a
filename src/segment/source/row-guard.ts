/** Watches a connection's bytes and stops a row that is too wide before the driver collects it in memory. */
import type { Socket } from 'node:net';

/** The message that a row comes in. */
export const DATA_ROW = 0x44;
const HEADER_BYTES = 5;

/**
 * Follows the frames of the Postgres protocol: one byte of type, four of length, then the rest. The driver holds a whole
 * message before it gives it out, so the length in the header is the last chance to refuse it.
 */
export class FrameFollower {
  readonly #onFrame: (type: number, bytes: number) => void;
  readonly #onBody: ((piece: Buffer) => void) | undefined;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  #bodyBytesLeft = 0;

  /**
   * `onFrame` is called once a message, when its header is in, with the message's size on the wire; `onBody` with each piece
   * of what follows.
   */
  constructor(onFrame: (type: number, bytes: number) => void, onBody?: (piece: Buffer) => void) {
    this.#onFrame = onFrame;
    this.#onBody = onBody;
  }

  /** Takes the next bytes of the stream. */
  push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#bodyBytesLeft > 0) {
        const step = Math.min(this.#bodyBytesLeft, bytes.length - at);
        this.#bodyBytesLeft -= step;
        this.#onBody?.(bytes.subarray(at, at + step));
        at += step;
      } else {
        at += this.#takeHeader(bytes, at);
      }
    }
  }

  #takeHeader(bytes: Buffer, at: number): number {
    const step = Math.min(HEADER_BYTES - this.#headerBytes, bytes.length - at);
    bytes.copy(this.#header, this.#headerBytes, at, at + step);
    this.#headerBytes += step;
    if (this.#headerBytes === HEADER_BYTES) {
      const length = this.#header.readUInt32BE(1);
      this.#headerBytes = 0;
      this.#bodyBytesLeft = length - 4;
      this.#onFrame(this.#header.readUInt8(0), length + 1);
    }
    return step;
  }
}

/**
 * Calls `onTooWide` with the row's size in bytes as soon as the header of a row above `maxRowBytes` arrives. The connection
 * must be idle when this is called, so that the next byte is the first of a frame. Returns what ends it.
 */
export function guardRowWidth(socket: Socket, maxRowBytes: number, onTooWide: (bytes: number) => void): () => void {
  const follower = new FrameFollower((type, bytes) => {
    if (type === DATA_ROW && bytes > maxRowBytes) onTooWide(bytes);
  });
  // Behind the driver's own listener, so that the rows before the wide one have been given out, and can name its place.
  const follow = (bytes: Buffer): void => {
    follower.push(bytes);
  };
  socket.on('data', follow);
  return () => {
    socket.off('data', follow);
  };
}
