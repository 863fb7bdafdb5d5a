/** The end of a restore's pipeline: COPY … FROM STDIN on a connection, by the extended protocol, which takes one statement only. */
import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import type { Client } from '../../postgres/connect.ts';
import type { DriverConnection } from '../../postgres/driver.ts';

type Connection = Pick<DriverConnection, 'parse' | 'bind' | 'execute' | 'sync'> & { stream: Socket };

const COPY_DATA = 0x64;
const COPY_DONE = Buffer.from([0x63, 0, 0, 0, 4]);
const HEADER_BYTES = 5;
const LENGTH_BYTES = 4;

type Done = (error?: Error | null) => void;

/**
 * Takes rows in COPY's text form, one chunk at a time: once it asks for more, the system has all that came before, so that the
 * sender may use its buffer again. Has finished once the server has taken all of them; `rowCount` says how many.
 */
export class CopyIn extends Writable {
  rowCount = 0;
  readonly #statement: string;
  #connection: Connection | undefined;
  /** Goes on once the server is ready for rows. */
  #whenBegun: (() => void) | undefined;
  #begun = false;
  #whenEnded: Done | undefined;

  constructor(statement: string) {
    super({ highWaterMark: 0 });
    this.#statement = statement;
  }

  override _write(chunk: Buffer, _encoding: string, done: Done): void {
    this.#afterBegin(() => {
      this.#send(chunk, done);
    });
  }

  override _final(done: Done): void {
    this.#afterBegin(() => {
      this.#whenEnded = done;
      this.#connection?.stream.write(COPY_DONE);
      this.#connection?.sync();
    });
  }

  #afterBegin(work: () => void): void {
    if (this.#begun) work();
    else this.#whenBegun = work;
  }

  #send(chunk: Buffer, done: Done): void {
    const socket = this.#connection?.stream;
    if (socket === undefined) return;
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    header.writeUInt8(COPY_DATA);
    header.writeUInt32BE(chunk.length + LENGTH_BYTES, 1);
    // Both in one call to the system.
    socket.cork();
    socket.write(header);
    socket.write(chunk, (error) => {
      // What broke the connection is said by the driver, which may still have the server's own word to read.
      if (!error) done();
    });
    socket.uncork();
  }

  /** Called by the driver, as are all below, when the connection is free. */
  submit(connection: Connection): void {
    this.#connection = connection;
    connection.parse({ text: this.#statement });
    connection.bind({});
    connection.execute({});
    // Ends a statement that is refused at once. A COPY that begins passes over it, and has one of its own at its end.
    connection.sync();
  }

  handleCopyInResponse(): void {
    this.#begun = true;
    this.#whenBegun?.();
  }

  handleCommandComplete({ text }: { text: string }): void {
    this.rowCount = Number(/^COPY (\d+)$/.exec(text)?.[1]);
  }

  handleReadyForQuery(): void {
    this.#whenEnded?.();
  }

  handleError(error: Error): void {
    this.destroy(error);
  }
}

/** Starts `statement` on `client`. Where it fails, or is destroyed, the connection is to be cut: it may be in the middle of the rows. */
export function copyIn(client: Client, statement: string): CopyIn {
  const stream = new CopyIn(statement);
  // After the pipeline has ended, the server may still say that the COPY was broken off; nobody else listens then.
  stream.on('error', () => undefined);
  client.query(stream as never);
  return stream;
}
