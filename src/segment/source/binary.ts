/** Reads rows with COPY in binary form and yields them as JSON Lines. */
import type { Client } from 'pg';
import { errorText, fail, FailureError } from '../../base/errors.ts';
import { postgresFailure } from '../../postgres/errors.ts';
import type { Statement } from '../../postgres/select.ts';
import { RowReader, type BinaryEncoding } from './row-reader.ts';
import { AnswerSocket } from './answer-socket.ts';
import type { KeySpan, ReadCount } from './read-count.ts';

/** What is copied, and how its rows become lines; the encoder is of the columns of `select`. */
export interface BinaryJob extends BinaryEncoding {
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
  const socket = new AnswerSocket(client, `COPY (${job.select.text}\n) TO STDOUT (FORMAT binary)`);
  try {
    const reader = new RowReader(socket, job, count, keys);
    yield* reader.read();
    const { ready, rest } = reader.end;
    socket.giveBack(ready, rest);
  } catch (error) {
    throw error instanceof FailureError ? error : readFailure(error, job.subject);
  }
}

/** An error of the driver or the server has a code; anything else is a stream that is not what it should be. */
function readFailure(error: unknown, subject: string): FailureError {
  if (error instanceof Error && 'code' in error) return postgresFailure(error, 'read', `reading ${subject}`);
  const message = `reading ${subject}: ${errorText(error)}`;
  return fail('bad-copy-stream', { stage: 'read', message }, { cause: error });
}
