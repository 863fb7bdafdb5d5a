/** Tells which bodies are still being sent, though their request was answered: a server need not read a request to its end first. */
import type { ClientRequest } from 'node:http';
import { NodeHttpHandler } from '@smithy/node-http-handler';

/** By their memory, which is then left to the garbage collector. */
const stillSent = new WeakSet<ArrayBufferLike>();

type Handle = NodeHttpHandler['handle'];

export class BodyWatchingHandler extends NodeHttpHandler {
  override async handle(...[request, options]: Parameters<Handle>): ReturnType<Handle> {
    const answered = await super.handle(request, options);
    const { req } = answered.response.body as { req?: ClientRequest };
    // A socket reads from the body itself, and goes on with it, whatever the answer was. One that is destroyed does not.
    if (Buffer.isBuffer(request.body) && req?.writableFinished !== true) stillSent.add(request.body.buffer);
    return answered;
  }
}

/** Whether a socket may still read from the memory of `body`, by any of its tries that were answered. */
export function mayStillBeSent(body: Buffer): boolean {
  return stillSent.has(body.buffer);
}
