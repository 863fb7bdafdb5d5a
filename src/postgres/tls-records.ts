/**
 * Takes what comes over TLS in large pieces. Postgres sends records of 8 KB, and Node allocates a buffer and raises a stream event for
 * each: that took more CPU than to decipher them.
 */
import type { TLSSocket } from 'node:tls';
import { BUDGET } from '../base/memory-budget.ts';
import type { Lender, Receive } from './direct-socket.ts';

/** Records are gathered until there is so much, or nothing more has come. */
const ENOUGH_BYTES = BUDGET.read.socketBytes;
/** Once it is told to stop, a socket still gives what it has deciphered: one read of 64 KiB. */
const RING_BYTES = BUDGET.read.waitingBytes;
/** The largest record of TLS. */
const RECORD_BYTES = 16 * 1024;

/**
 * What Node's option `onread` sets up, which it has for a socket that connects by itself alone; the protocol of Postgres begins without TLS, so
 * that its sockets do not.
 */
interface Inside {
  buffer: symbol;
  callback: symbol;
  nextBuffer: symbol;
}

const gatherers = new WeakMap<TLSSocket, RecordGatherer>();

/** Undefined where Node has no such inside: then the socket is to be read as any other. From the first call on, it is read into a buffer of ours. */
export function gatherRecords(socket: TLSSocket): Lender | undefined {
  const known = gatherers.get(socket);
  if (known !== undefined) return known;
  const inside = insideOf(socket);
  const handle = (socket as unknown as { _handle: { useUserBuffer?: (buffer: Buffer) => void } | null })._handle;
  if (inside === undefined || typeof handle?.useUserBuffer !== 'function') return undefined;
  const gatherer = new RecordGatherer(socket);
  const first = gatherer.nextRoom();
  Object.assign(socket, {
    [inside.buffer]: first,
    [inside.callback]: gatherer.take,
    [inside.nextBuffer]: gatherer.nextRoom,
  });
  handle.useUserBuffer(first);
  gatherers.set(socket, gatherer);
  return gatherer;
}

function insideOf(socket: TLSSocket): Inside | undefined {
  const named = (name: string): symbol | undefined =>
    Object.getOwnPropertySymbols(socket).find(({ description }) => description === name);
  const [buffer, callback, nextBuffer] = ['kBuffer', 'kBufferCb', 'kBufferGen'].map(named);
  return buffer === undefined || callback === undefined || nextBuffer === undefined
    ? undefined
    : { buffer, callback, nextBuffer };
}

/**
 * The buffer is a ring: where the next record goes is said with the one before it, and cannot be changed when what has come is lent. Reading stops
 * until all that was lent is used up, so that no record is written over.
 */
class RecordGatherer implements Lender {
  readonly #socket: TLSSocket;
  readonly #ring = Buffer.allocUnsafeSlow(RING_BYTES);
  /** What came and was not lent yet. */
  #start = 0;
  #end = 0;
  /** Bytes of that, and of what was lent and is not used up. */
  #heldBytes = 0;
  #receive: Receive | undefined;
  #isPlanned = false;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    // The last words come before the end of the connection is told.
    socket.prependListener('error', this.#deliver);
    socket.prependListener('close', this.#deliver);
  }

  receive(receive: Receive | undefined): void {
    this.#deliver();
    this.#receive = receive;
    if (receive === undefined) this.#heldBytes = 0;
  }

  lendMore(): void {
    this.#heldBytes = this.#end - this.#start;
    if (this.#heldBytes > 0) this.#plan();
    this.#socket.resume();
  }

  /** Takes a record of that many bytes; returns whether to go on reading. */
  readonly take = (bytes: number, room: Buffer): boolean => {
    if (this.#receive === undefined) return this.#socket.push(Buffer.from(room.subarray(0, bytes)));
    if (room.buffer !== this.#ring.buffer) {
      this.#deliver();
      this.#receive(room.subarray(0, bytes));
      return false;
    }
    const at = room.byteOffset - this.#ring.byteOffset;
    if (at !== this.#end) {
      // It has begun the ring again.
      this.#deliver();
      this.#start = at;
    }
    this.#end = at + bytes;
    this.#heldBytes += bytes;
    this.#plan();
    return this.#heldBytes < ENOUGH_BYTES;
  };

  /** Room for the next record: in the ring, where that holds nothing any more; else a buffer of its own. */
  readonly nextRoom = (): Buffer => {
    if (this.#heldBytes + 2 * RECORD_BYTES > RING_BYTES) return Buffer.allocUnsafeSlow(RECORD_BYTES);
    const at = this.#end + RECORD_BYTES > RING_BYTES ? 0 : this.#end;
    return this.#ring.subarray(at, at + RECORD_BYTES);
  };

  /** Once all that one read has brought was deciphered. */
  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    setImmediate(this.#deliver);
  }

  readonly #deliver = (): void => {
    this.#isPlanned = false;
    if (this.#receive === undefined || this.#start === this.#end) return;
    const lent = this.#ring.subarray(this.#start, this.#end);
    this.#start = this.#end;
    this.#socket.pause();
    this.#receive(lent);
  };
}
