import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { NEVER } from '../../../../src/base/signals.ts';
import { openS3Store } from '../../../../src/store/s3/s3.ts';
import { destinationOf } from '../../../support/s3-server.ts';

/** What fauxqs answers where an object stands before a thousand folders, in small. */
const PAGES = new Map([
  ['', page(['a', 'b'], 'second')],
  ['second', page(['a', 'b', 'c'])],
]);

test('folders that a server lists on two pages are told once', async () => {
  const server = http.createServer(({ url = '' }, response) => {
    const token = new URL(url, 'http://localhost').searchParams.get('continuation-token');
    response.writeHead(200, { 'Content-Type': 'application/xml' }).end(PAGES.get(token ?? ''));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const s3 = { endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1', accessKeyId: 'a', secretAccessKey: 'b' };
  const destination = destinationOf(s3, 'bucket');
  const store = openS3Store(destination, { kind: 's3', bucket: 'bucket', prefix: '' }, NEVER);
  try {
    assert.deepEqual(await Array.fromAsync(store.listFolders('events/')), ['run=a', 'run=b', 'run=c']);
  } finally {
    store.close();
    server.closeAllConnections();
    server.close();
  }
});

function page(runs: readonly string[], next?: string): string {
  const folders = runs.map((run) => `<CommonPrefixes><Prefix>events/run=${run}/</Prefix></CommonPrefixes>`).join('');
  const token = next === undefined ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`;
  const list = `<IsTruncated>${next !== undefined}</IsTruncated>${token}<Contents><Key>events/_head.json</Key></Contents>`;
  return `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${list}${folders}</ListBucketResult>`;
}
