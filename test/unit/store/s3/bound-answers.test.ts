import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { FailureError } from '../../../../src/base/errors.ts';
import { NEVER } from '../../../../src/base/signals.ts';
import { openS3Store } from '../../../../src/store/s3/s3.ts';
import type { Store } from '../../../../src/store/store.ts';
import { destinationOf } from '../../../support/s3-server.ts';

const LIST =
  '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated>';
const ENTRY = `<Contents><Key>${'k'.repeat(1024)}</Key><Size>1</Size></Contents>`;
const OBJECT_BYTES = 12 * 1024 ** 2;

let server: http.Server;
let store: Store;
/** What the server answers, and how much of it went out. */
let answer: { status: number; begin: string; piece: string };
let sentBytes = 0;

before(async () => {
  server = http.createServer((request, response) => {
    if (request.url?.includes('/object')) return void response.end(Buffer.alloc(OBJECT_BYTES));
    sentBytes = 0;
    response.writeHead(answer.status, { 'Content-Type': 'application/xml' });
    response.write(answer.begin);
    const pieces = Buffer.from(answer.piece.repeat(64));
    const more = (): void => {
      while (!response.destroyed) {
        sentBytes += pieces.length;
        if (!response.write(pieces)) return void response.once('drain', more);
      }
    };
    more();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const s3 = { endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1', accessKeyId: 'a', secretAccessKey: 'b' };
  const destination = destinationOf(s3, 'bucket');
  store = openS3Store(destination, { kind: 's3', bucket: 'bucket', prefix: '' }, NEVER);
});

after(() => {
  store.close();
  server.closeAllConnections();
  server.close();
});

describe('an answer of S3 that never ends', () => {
  for (const [what, status, begin, piece, mostMiB, says] of [
    ['a list', 200, LIST, ENTRY, 8, /the answer to ListObjectsV2 has more than 8(\.0)? MiB/],
    ['an error', 403, '<Error><Code>AccessDenied</Code><Message>', 'no ', 1, /ListObjectsV2 has more than 1(\.0)? MiB/],
    ['an error that passes', 503, '<Error><Code>SlowDown</Code><Message>', 'no ', 1, /more than 1(\.0)? MiB/],
  ] as const)
    test(`is read no further, and is named: ${what}`, async () => {
      answer = { status, begin, piece };
      await assert.rejects(
        async () => {
          for await (const { key } of store.list('events/')) assert.fail(`${key} is listed`);
        },
        (error) => {
          assert.ok(error instanceof FailureError, String(error));
          assert.deepEqual([error.failure.code, error.failure.transient], ['answer-unreadable', false]);
          assert.match(error.failure.message, says);
          return true;
        },
      );
      // What is on its way, in the buffers of the kernel, comes on top.
      assert.ok(sentBytes < (mostMiB + 24) * 1024 ** 2, `the server sent ${sentBytes} bytes`);
    });

  test('is no object, which may be of any size', async () => {
    let bytes = 0;
    for await (const piece of store.read('object', NEVER)) bytes += piece.length;
    assert.equal(bytes, OBJECT_BYTES);
  });
});
