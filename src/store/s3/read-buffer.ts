/** What all sockets of a thread to S3 read into. */
import type { OnReadOpts, Socket } from 'node:net';
import { BUDGET } from '../../base/memory-budget.ts';

let buffer: Uint8Array | undefined;

/**
 * Node makes a buffer anew for each read, which the collector is called for: half of what it took to read an object. Here
 * every read goes into one and the same. It is taken over at once: the HTTP parser copies what belongs to a body, before it returns. Where the
 * system fills buffers of several sockets at the same time, nothing is changed.
 */
export function readIntoOneBuffer(): { onread?: OnReadOpts } {
  if (process.platform === 'win32') return {};
  buffer ??= Buffer.allocUnsafeSlow(BUDGET.unpack.readBytes);
  return { onread: { buffer, callback: handOver } };
}

/** Returns that it may be read on: who pauses the socket has stopped its reading. */
function handOver(this: Socket, bytes: number, { buffer: memory, byteOffset }: Uint8Array): boolean {
  this.emit('data', Buffer.from(memory, byteOffset, bytes));
  return true;
}
