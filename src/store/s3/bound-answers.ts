/** Puts a limit on what S3 answers besides objects: lists, and errors. The SDK itself takes in whatever comes. */
import { pipeline, Readable, Transform } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import { fail } from '../../base/errors.ts';
import { formatBytes } from '../../base/units.ts';

/** A list has a thousand keys of 1,024 characters at most, which XML may write with six each. */
const MOST_ANSWER_BYTES = 8 * 1024 ** 2;
const MOST_ERROR_BYTES = 1024 ** 2;

/** A request fails with `answer-unreadable` whose answer is larger. */
export function boundAnswers(client: S3Client): void {
  client.middlewareStack.add(
    (next, { commandName = 'the request' }) =>
      async (args) => {
        const result = await next(args);
        const response = result.response as { statusCode: number; body?: unknown };
        const isError = response.statusCode >= 300;
        const isObject = !isError && commandName === 'GetObjectCommand';
        if (response.body instanceof Readable && !isObject)
          response.body = bounded(response.body, isError ? MOST_ERROR_BYTES : MOST_ANSWER_BYTES, commandName);
        return result;
      },
    // Before the answer is read.
    { step: 'deserialize', priority: 'low', name: 'pgsluiceBoundAnswers' },
  );
}

function bounded(body: Readable, mostBytes: number, commandName: string): Readable {
  let bytes = 0;
  const limit = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes <= mostBytes) done(null, chunk);
      else done(tooLong(commandName, mostBytes));
    },
  });
  // Whoever reads the answer gets the error.
  pipeline(body, limit, () => undefined);
  return limit;
}

function tooLong(commandName: string, mostBytes: number): Error {
  const request = commandName.replace(/Command$/, '');
  return fail(
    { code: 'answer-unreadable', transient: false },
    {
      stage: 'upload',
      message: `the answer to ${request} has more than ${formatBytes(mostBytes)}, as none of S3 has, and was read no further`,
    },
  );
}
