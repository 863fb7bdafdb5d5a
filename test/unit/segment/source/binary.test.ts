import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FailureError, type Failure } from '../../../../src/base/errors.ts';
import { RowEncoder } from '../../../../src/format/jsonl/write/binary/row-encoder.ts';
import { plainBuffers } from '../../../../src/format/jsonl/write/binary/encode-memory.ts';
import type { Column } from '../../../../src/postgres/columns.ts';
import { readBinary, type BinaryJob } from '../../../../src/segment/source/binary.ts';
import { READY, withScriptedPostgres } from '../../../support/scripted-postgres.ts';
import { message } from '../../../support/wire.ts';

const ID: Column = {
  name: 'id',
  type: 'integer',
  typeOid: 23,
  baseTypeOid: 23,
  elementTypeOid: null,
  isEnum: false,
  nullable: false,
  encoding: 'number',
};

const BINARY = message('H', Buffer.from([1, 0, 1, 0, 1]));
const TEXT = message('H', Buffer.from([0, 0, 1, 0, 0]));
const HEADER = Buffer.from('5047434f50590aff0d0a000000000000000000', 'hex');
const TRAILER = message('d', Buffer.from([0xff, 0xff]));
const DONE = message('c');

function row(id: number): Buffer {
  const body = Buffer.alloc(10);
  body.writeInt16BE(1, 0);
  body.writeInt32BE(4, 2);
  body.writeInt32BE(id, 6);
  return body;
}

/** The first message of data has the header in front. */
function rows(...ids: number[]): Buffer {
  return Buffer.concat(ids.map((id, index) => message('d', index === 0 ? Buffer.concat([HEADER, row(id)]) : row(id))));
}

function complete(tag: string): Buffer {
  return Buffer.concat([message('C', Buffer.from(`${tag}\0`)), READY]);
}

/** The lines that come of the answer, and how it ended; `gone` says that the connection has ended when the reading begins. */
async function read(
  answer: Buffer[],
  { end = false, gone = false } = {},
): Promise<{ lines: string; failure: Failure | undefined }> {
  let lines = '';
  let failure: Failure | undefined;
  const job: BinaryJob = {
    read: 'copy',
    select: { text: 'SELECT id FROM events', params: [] },
    encoder: new RowEncoder([ID]),
    buffers: plainBuffers(),
    subject: 'events',
    keyColumns: [0],
  };
  await withScriptedPostgres(
    Buffer.concat(answer),
    async (client) => {
      if (gone) await assert.rejects(client.query('SELECT 1'));
      try {
        for await (const buffer of readBinary(client, job, { rows: 0 }, { first: null, last: null }))
          lines += buffer.toString();
      } catch (error) {
        assert.ok(error instanceof FailureError, String(error));
        ({ failure } = error);
      }
    },
    { end: end || gone },
  );
  return { lines, failure };
}

describe('what COPY sends', () => {
  test('is whole when the server says so', async () => {
    const { lines, failure } = await read([BINARY, rows(1, 2), TRAILER, DONE, complete('COPY 2')]);
    assert.deepEqual([lines, failure], ['{"id":1}\n{"id":2}\n', undefined]);
  });

  for (const [what, answer] of [
    ['fewer rows than the server says', [BINARY, rows(1), TRAILER, DONE, complete('COPY 2')]],
    ['more rows than the server says', [BINARY, rows(1, 2), TRAILER, DONE, complete('COPY 1')]],
    ['no word of the server on how many', [BINARY, rows(1), TRAILER, DONE, READY]],
    ['no end of the data before the word of the server', [BINARY, rows(1), complete('COPY 1')]],
  ] as const) {
    test(`fails, and is read again, with ${what}`, async () => {
      const { failure } = await read([...answer]);
      assert.deepEqual([failure?.code, failure?.transient], ['row-count-mismatch', true]);
      assert.match(failure?.hint ?? '', /proxy/);
    });
  }

  for (const [what, text, answer] of [
    ['the form of text', /binary form/, [TEXT, message('d', Buffer.from('1\n')), DONE, complete('COPY 1')]],
    [
      'another signature',
      /does not begin/,
      [BINARY, message('d', Buffer.concat([Buffer.alloc(19, 1), row(1)])), READY],
    ],
    ['an end before the trailer', /without the trailer/, [BINARY, rows(1), DONE, complete('COPY 1')]],
    ['a row of other fields', /fields/, [BINARY, message('d', Buffer.concat([HEADER, Buffer.from([0, 2])])), READY]],
  ] as const) {
    test(`fails for good with ${what}`, async () => {
      const { failure } = await read([...answer]);
      assert.deepEqual([failure?.code, failure?.transient], ['bad-copy-stream', false]);
      assert.match(failure?.message ?? '', text);
      assert.match(failure?.hint ?? '', /read: cursor/);
    });
  }

  test('fails with the error of the server', async () => {
    const error = message('E', Buffer.from('SFATAL\0C57P01\0Mterminating connection\0\0', 'latin1'));
    const { failure } = await read([BINARY, rows(1), error]);
    assert.deepEqual([failure?.code, failure?.transient], ['connection-lost', true]);
  });

  test('fails, and is read again, when the connection ends in the middle', async () => {
    const { failure } = await read([BINARY, rows(1)], { end: true });
    assert.deepEqual([failure?.code, failure?.transient], ['connection-lost', true]);
  });

  test('fails, and is read again, when the connection has ended before it began', async () => {
    const { failure } = await read([], { gone: true });
    assert.deepEqual([failure?.code, failure?.transient], ['connection-lost', true]);
  });

  test('fails with the last notice of a server that goes down in a hurry', async () => {
    const notice = (state: string, text: string): Buffer =>
      message('N', Buffer.from(`SWARNING\0C${state}\0M${text}\0\0`, 'latin1'));
    const farewell = notice('57P02', 'terminating connection because of crash of another server process');
    const crashed = await read([BINARY, rows(1), farewell], { end: true });
    assert.deepEqual([crashed.failure?.code, crashed.failure?.cause], ['connection-lost', 'SQLSTATE 57P02']);
    assert.match(crashed.failure?.message ?? '', /crash of another server process/);
    const { failure } = await read([BINARY, rows(1), notice('01000', 'a word of the query')], { end: true });
    assert.match(failure?.message ?? '', /ended in the middle of its answer/);
  });
});
