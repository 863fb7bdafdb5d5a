/** Reads rows in binary form, with COPY or as the result of a query, and yields them as JSON Lines. */
import type { Client } from 'pg';
import { errorText, fail, FailureError } from '../../base/errors.ts';
import { postgresFailure } from '../../postgres/errors.ts';
import type { Statement } from '../../postgres/select.ts';
import { RowReader, type BinaryEncoding } from './row-reader.ts';
import { AnswerSocket } from './answer-socket.ts';
import type { KeySpan, ReadCount } from './read-count.ts';
import { COPY_FORM, QUERY_FORM, type RowForm } from './server-messages.ts';

/** What is read, by which way, and how its rows become lines; the encoder is of the columns of `select`. */
export interface BinaryJob extends BinaryEncoding {
  /** COPY takes no parameters; a query does, and is as fast. */
  read: 'copy' | 'query';
  select: Statement;
}

/**
 * Yields the lines of `job.select`. A buffer is valid until LINE_BUFFERS more were asked for.
 * Once all were read, the connection can be used again; else it cannot. Throws FailureError; the end counts only with the
 * server's word for it.
 */
export async function* readBinary(
  client: Client,
  job: BinaryJob,
  count: ReadCount,
  keys: KeySpan,
): AsyncGenerator<Buffer, void, undefined> {
  const { statement, form } = asked(job);
  const socket = new AnswerSocket(client, statement);
  try {
    const reader = new RowReader(socket, form, job, count, keys);
    yield* reader.read();
    const { ready, rest } = reader.end;
    socket.giveBack(ready, rest);
  } catch (error) {
    throw error instanceof FailureError ? error : readFailure(error, job.subject);
  }
}

function asked({ read, select }: BinaryJob): { statement: Statement; form: RowForm } {
  if (read === 'query') return { statement: select, form: QUERY_FORM };
  return {
    statement: { text: `COPY (${select.text}\n) TO STDOUT (FORMAT binary)`, params: select.params },
    form: COPY_FORM,
  };
}

/** An error of the driver or the server has a code; anything else is a stream that is not what it should be. */
function readFailure(error: unknown, subject: string): FailureError {
  if (error instanceof Error && 'code' in error) return postgresFailure(error, 'read', `reading ${subject}`);
  const message = `reading ${subject}: ${errorText(error)}`;
  return fail('bad-copy-stream', { stage: 'read', message }, { cause: error });
}
