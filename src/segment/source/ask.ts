/** Asks a short question on the connection of a segment once its rows were read, whoever read them. */
import type { Client } from '../../postgres/connect.ts';
import { fail, type FailureError } from '../../base/errors.ts';
import { readInt32 } from '../../format/jsonl/write/binary/numbers.ts';
import { withinAnswerTime } from '../../postgres/answer-time.ts';
import { socketOf } from '../../postgres/connect.ts';
import { DirectSocket } from '../../postgres/direct-socket.ts';
import { postgresFailure } from '../../postgres/errors.ts';
import { heldLockStatement, type HeldLock } from '../../postgres/held-lock.ts';
import type { Statement } from '../../postgres/select.ts';
import { commandTag, HEADER_BYTES, MESSAGE, serverError } from './copy-messages.ts';
import { driverOf } from './copy-socket.ts';

/** Far more than the answer to a question has. */
const LONGEST_ANSWER = 64 * 1024;

/** Throws FailureError `session-lost` when the lock under which the segment was begun is not held any more. */
export async function requireLock(client: Client, lock: HeldLock, wasCopied: boolean): Promise<void> {
  const statement = heldLockStatement(lock);
  if ((await withinAnswerTime(client, () => countRows(client, statement, wasCopied))) > 0) return;
  throw fail('session-lost', {
    stage: 'lock',
    message: `backend ${lock.pid} holds the lock of the run no more: the segment is not finished`,
  });
}

async function countRows(client: Client, statement: Statement, wasCopied: boolean): Promise<number> {
  try {
    if (!wasCopied) return (await client.query(statement.text, [...statement.params])).rows.length;
    return selectedRows(await askPastDriver(client, statement));
  } catch (error) {
    throw postgresFailure(error, 'lock', 'asking for the lock');
  }
}

/** After a COPY the driver waits for an end that it never saw; the statement is sent behind its back. Resolves to the tag. */
async function askPastDriver(client: Client, { text, params }: Statement): Promise<string> {
  const socket = socketOf(client);
  if (socket === undefined || socket.destroyed) throw connectionEnded();
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const answer = new Answer();
  const take = (bytes: Buffer): void => {
    try {
      const tag = answer.add(bytes);
      if (tag === undefined) socket.resume();
      else resolve(tag);
    } catch (error) {
      reject(error);
    }
  };
  const onClose = (): void => {
    reject(connectionEnded());
  };
  socket.removeAllListeners('data');
  if (socket instanceof DirectSocket) socket.receive(take);
  else socket.on('data', take);
  socket.once('close', onClose);
  try {
    const driver = driverOf(client);
    driver.parse({ text });
    driver.bind({ values: params });
    driver.execute({});
    driver.sync();
    socket.resume();
    return await promise;
  } finally {
    socket.off('close', onClose);
    if (socket instanceof DirectSocket) socket.receive(() => undefined);
    else socket.off('data', take);
  }
}

/** The messages of an answer, until the server waits for another query. */
class Answer {
  #bytes = Buffer.alloc(0);
  #tag = '';

  /** The tag of the statement, once the answer is whole. Throws the server's error. */
  add(bytes: Buffer): string | undefined {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    if (this.#bytes.length > LONGEST_ANSWER) throw new Error('the answer of the server does not end');
    while (this.#bytes.length >= HEADER_BYTES) {
      const messageBytes = readInt32(this.#bytes, 1) + 1;
      if (messageBytes < HEADER_BYTES) throw new Error(`a message says that it has ${messageBytes} bytes`);
      if (this.#bytes.length < messageBytes) return undefined;
      const body = this.#bytes.subarray(HEADER_BYTES, messageBytes);
      const type = this.#bytes[0];
      this.#bytes = this.#bytes.subarray(messageBytes);
      if (type === MESSAGE.error) throw serverError(body);
      if (type === MESSAGE.commandComplete) this.#tag = commandTag(body);
      if (type === MESSAGE.ready) return this.#tag;
    }
    return undefined;
  }
}

function selectedRows(tag: string): number {
  return Number(/^SELECT (\d+)$/.exec(tag)?.[1] ?? 0);
}

function connectionEnded(): FailureError {
  return fail('connection-lost', {
    stage: 'lock',
    message: 'the connection to Postgres ended before the segment was finished',
  });
}
