/** A socket whose bytes can be taken without a buffer and a stream event for each read. */
import { Socket } from 'node:net';
import { BUDGET } from '../base/memory-budget.ts';

/** Gets bytes that are valid until more are asked for. Must not throw. */
export type Receive = (bytes: Buffer) => void;

/** What lends its buffer. */
export interface Lender {
  /** All bytes that come go to `receive`, and to no listener of `data`; with undefined, to those again. */
  receive: (receive: Receive | undefined) => void;
  /** To be called once all that was lent is used up. */
  lendMore: () => void;
}

/**
 * A plain socket until `receive` is called, and after. In between each read goes into one and the same buffer, and the socket then
 * waits until more is asked for. Measured on 400 MB of COPY: a third of a second of garbage collection less.
 */
export class DirectSocket extends Socket implements Lender {
  #receive: Receive | undefined;

  /** `readBytes` is the most that one read takes from the kernel. */
  constructor(readBytes = BUDGET.read.socketBytes) {
    super({
      onread: {
        buffer: Buffer.allocUnsafeSlow(readBytes),
        callback: (bytes, buffer) => this.#deliver(Buffer.from(buffer.buffer, buffer.byteOffset, bytes)),
      },
    });
  }

  receive(receive: Receive | undefined): void {
    this.#receive = receive;
  }

  lendMore(): void {
    this.resume();
  }

  /** Returns whether to go on reading. */
  #deliver(bytes: Buffer): boolean {
    if (this.#receive === undefined) return this.push(Buffer.from(bytes));
    this.#receive(bytes);
    return false;
  }
}
