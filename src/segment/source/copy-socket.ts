/** Starts COPY … TO STDOUT on a connection and takes its bytes straight from the socket, past the driver's parser. */
import type { Socket } from 'node:net';
import type { Client } from 'pg';
import { fail, type FailureError } from '../../base/errors.ts';
import { BUDGET } from '../../base/memory-budget.ts';
import { socketOf } from '../../postgres/connect.ts';
import { DirectSocket } from '../../postgres/direct-socket.ts';

/** So much may wait before the socket is paused; the server feels that and waits. */
const MAX_WAITING_BYTES = BUDGET.read.waitingBytes;

/** The part of the driver's connection that a query may use to send itself. */
export interface DriverConnection {
  parse: (query: { text: string }) => void;
  bind: (values: { values?: readonly unknown[] }) => void;
  execute: (portal: object) => void;
  sync: () => void;
}

/** For who sends a statement past the driver's queue of queries. */
export function driverOf(client: Client): DriverConnection {
  return (client as unknown as { connection: DriverConnection }).connection;
}

/**
 * The raw bytes of what the server answers to a COPY, in the order they come. The driver never sees them, and gets the
 * connection never back: it is to be ended when the COPY is.
 *
 * A direct socket lends its only buffer: the next read may not begin before more is asked for, however much it took. Any
 * other socket gives buffers away, and may read ahead.
 */
export class CopySocket {
  readonly #socket: Socket;
  readonly #isLending: boolean;
  readonly #waiting: Buffer[] = [];
  /** Of those that were given away; one that is lent never waits beside another. */
  #waitingBytes = 0;
  #wake: (() => void) | undefined;
  #ending: { error: Error | undefined } | undefined;

  /** Sends the statement. The connection must be idle. */
  constructor(client: Client, statement: string) {
    const socket = socketOf(client);
    if (socket === undefined) throw new Error('the connection has no socket');
    this.#socket = socket;
    this.#isLending = socket instanceof DirectSocket;
    client.query({
      submit: (connection: unknown) => {
        socket.removeAllListeners('data');
        if (socket instanceof DirectSocket) socket.receive(this.#onLent);
        else socket.on('data', this.#onGiven);
        socket.on('error', this.#onEnd);
        socket.on('close', this.#onClose);
        // The extended protocol takes one statement only, whatever stands in a filter.
        const driver = connection as DriverConnection;
        driver.parse({ text: statement });
        driver.bind({});
        driver.execute({});
        driver.sync();
      },
      // That the connection broke, which the socket tells as well; but it has told nobody where it broke before the COPY began.
      handleError: this.#onClose,
    } as never);
  }

  /** The next bytes, valid until more are asked for; waits for them. Throws when the connection ends, as the server never ends it by itself. */
  async next(): Promise<Buffer> {
    for (;;) {
      const bytes = this.#waiting.shift();
      if (bytes !== undefined) {
        if (!this.#isLending) this.#makeRoom(bytes.length);
        return bytes;
      }
      if (this.#ending !== undefined) throw this.#ending.error ?? connectionEnded();
      // Whoever asks for more has used up what was lent before.
      this.#socket.resume();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
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

function connectionEnded(): FailureError {
  return fail('connection-lost', {
    stage: 'read',
    message: 'the connection to Postgres ended in the middle of a COPY',
  });
}
