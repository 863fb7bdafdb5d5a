/** Bounds the answers that wait in memory for clients that take them slowly, or not at all. */
import type { ServerResponse } from 'node:http';
import { refusal, type Reply } from './reply.ts';

/** Smaller ones are not counted: connections are few. */
const SMALL_BYTES = 256 * 1024;
const MOST_UNSENT_BYTES = 24 * 1024 ** 2;

export class UnsentReplies {
  #bytes = 0;

  /** The reply, or a refusal when too much waits already. */
  admit(reply: Reply, response: ServerResponse): Reply {
    const bytes = Buffer.byteLength(reply.body);
    if (bytes <= SMALL_BYTES) return reply;
    if (this.#bytes + bytes > MOST_UNSENT_BYTES) {
      const message = 'other large answers are still on their way to those who asked; ask again';
      return refusal(503, 'too-much-unsent', message, { 'Retry-After': '10' });
    }
    this.#bytes += bytes;
    response.once('close', () => {
      this.#bytes -= bytes;
    });
    return reply;
  }
}
