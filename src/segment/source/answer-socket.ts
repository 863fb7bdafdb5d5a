/** Sends a statement on a connection and takes the bytes of its answer straight from the socket, past the driver's parser. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Client } from 'pg';
import { fail, type FailureError } from '../../base/errors.ts';
import { BUDGET } from '../../base/memory-budget.ts';
import { socketOf } from '../../postgres/connect.ts';
import { DirectSocket, type Lender } from '../../postgres/direct-socket.ts';
import { driverOf, type DriverConnection } from '../../postgres/driver.ts';
import type { Statement } from '../../postgres/select.ts';
import { gatherRecords } from '../../postgres/tls-records.ts';

/** So much may wait before the socket is paused; the server feels that and waits. */
const MAX_WAITING_BYTES = BUDGET.read.waitingBytes;

type OnData = (bytes: Buffer) => void;

/**
 * The raw bytes of what the server answers to a COPY or a query, in the order they come. The driver never sees them. It gets the
 * connection back from who has read the answer to its end; else that is to be ended.
 *
 * Most sockets lend their only buffer: the next read may not begin before more is asked for, however much it took. Any
 * other socket gives buffers away, and may read ahead.
 */
export class AnswerSocket {
  readonly #socket: Socket;
  readonly #lender: Lender | undefined;
  readonly #driver: DriverConnection;
  /** By which the driver gets its bytes. */
  #listeners: OnData[] = [];
  readonly #waiting: Buffer[] = [];
  /** Of those that were given away; one that is lent never waits beside another. */
  #waitingBytes = 0;
  #wake: (() => void) | undefined;
  #ending: { error: Error | undefined } | undefined;

  /** Sends the statement, whose result is to come in binary form. The connection must be idle. */
  constructor(client: Client, { text, params }: Statement) {
    const socket = socketOf(client);
    if (socket === undefined) throw new Error('the connection has no socket');
    this.#socket = socket;
    this.#lender = lenderOf(socket);
    this.#driver = driverOf(client);
    client.query({
      submit: (driver: DriverConnection) => {
        this.#listeners = socket.listeners('data') as OnData[];
        socket.removeAllListeners('data');
        if (this.#lender === undefined) socket.on('data', this.#onGiven);
        else this.#lender.receive(this.#onLent);
        socket.on('error', this.#onEnd);
        socket.on('close', this.#onClose);
        // The extended protocol takes one statement only, whatever stands in a filter.
        socket.cork();
        driver.parse({ text });
        driver.bind({ values: params.map(textOf), binary: true });
        driver.execute({});
        driver.sync();
        socket.uncork();
      },
      handleReadyForQuery: () => undefined,
      // That the connection broke, which the socket tells as well; but it has told nobody where it broke before the statement was sent.
      handleError: this.#onClose,
    } as never);
  }

  /** The next bytes, valid until more are asked for; waits for them. Throws when the connection ends, as the server never ends it by itself. */
  async next(): Promise<Buffer> {
    for (;;) {
      const bytes = this.#waiting.shift();
      if (bytes !== undefined) {
        if (this.#lender === undefined) this.#makeRoom(bytes.length);
        return bytes;
      }
      if (this.#ending !== undefined) throw this.#ending.error ?? connectionEnded();
      // Whoever asks for more has used up what was lent before.
      if (this.#lender === undefined) this.#socket.resume();
      else this.#lender.lendMore();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /**
   * Lets the driver have the connection again, once the server waits for another query: `ready` is the body of the message that
   * said so, and `rest` what came behind it.
   */
  giveBack(ready: Buffer, rest: Buffer): void {
    const socket = this.#socket;
    socket.off('data', this.#onGiven);
    socket.off('error', this.#onEnd);
    socket.off('close', this.#onClose);
    this.#lender?.receive(undefined);
    this.#driver.emit('readyForQuery', { name: 'readyForQuery', status: ready.toString('latin1') });
    // What it holds a part of it may keep, so it gets bytes that nobody writes over.
    const behind = Buffer.concat([rest, ...this.#waiting]);
    for (const listener of this.#listeners) {
      if (behind.length > 0) listener(behind);
      socket.on('data', listener);
    }
    socket.resume();
  }

  #makeRoom(bytes: number): void {
    this.#waitingBytes -= bytes;
    if (this.#waitingBytes < MAX_WAITING_BYTES && this.#socket.isPaused()) this.#socket.resume();
  }

  readonly #onLent = (bytes: Buffer): void => {
    this.#waiting.push(bytes);
    this.#wake?.();
  };

  readonly #onGiven = (bytes: Buffer): void => {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes >= MAX_WAITING_BYTES) this.#socket.pause();
    this.#wake?.();
  };

  readonly #onEnd = (error: Error): void => {
    this.#ending ??= { error };
    this.#wake?.();
  };

  readonly #onClose = (): void => {
    this.#ending ??= { error: undefined };
    this.#wake?.();
  };
}

function lenderOf(socket: Socket): Lender | undefined {
  if (socket instanceof DirectSocket) return socket;
  return socket instanceof TLSSocket ? gatherRecords(socket) : undefined;
}

/** Text, of which the server makes a value of the parameter's type; the config has texts, numbers, booleans and null. */
function textOf(param: unknown): string | null {
  return param === null || typeof param === 'string' ? param : JSON.stringify(param);
}

function connectionEnded(): FailureError {
  return fail('connection-lost', {
    stage: 'read',
    message: 'the connection to Postgres ended in the middle of its answer',
  });
}
