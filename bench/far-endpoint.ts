/**
 * An S3 endpoint that seems to be far away, as a process of its own: it takes uploads, checks the digest of each body and drops
 * it, so that it costs little. Over its channel it tells its address, and takes round trips in ms, each answered with itself.
 */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc32 } from 'node:zlib';
import { startDelayProxy } from './delay-proxy.ts';

/** Bytes of each object and of each unfinished upload, by path. */
const sizes = new Map<string, number>();

const server = http.createServer((req, res) => {
  answer(req, res).catch((error: unknown) => {
    res.writeHead(500).end(String(error));
  });
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const proxy = await startDelayProxy(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
process.on('message', (roundTripMs: number) => {
  proxy.roundTripMs = roundTripMs;
  process.send?.(roundTripMs);
});
process.on('disconnect', () => process.exit());
process.send?.(proxy.endpoint);

async function answer(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(req.url ?? '', 'http://localhost');
  const { bytes, isWhole } = await drop(req);
  if (!isWhole) return void res.writeHead(400).end(xml('Error', '<Code>BadDigest</Code>'));
  if (req.method === 'HEAD') return void res.writeHead(200, { 'content-length': sizes.get(pathname) ?? 0, etag }).end();
  if (req.method === 'DELETE') return void res.writeHead(204).end();
  if (searchParams.has('uploads')) {
    sizes.set(pathname, 0);
    return void res.end(xml('InitiateMultipartUploadResult', '<UploadId>1</UploadId>'));
  }
  if (req.method === 'POST') return void res.end(xml('CompleteMultipartUploadResult', `<ETag>${etag}</ETag>`));
  sizes.set(pathname, (searchParams.has('partNumber') ? (sizes.get(pathname) ?? 0) : 0) + bytes);
  res.writeHead(200, { etag }).end();
}

const etag = '"0"';

async function drop(req: http.IncomingMessage): Promise<{ bytes: number; isWhole: boolean }> {
  let bytes = 0;
  let crc = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    crc = crc32(chunk, crc);
  }
  const wanted = req.headers['x-amz-checksum-crc32'];
  const found = Buffer.alloc(4);
  found.writeUInt32BE(crc);
  return { bytes, isWhole: typeof wanted !== 'string' || wanted === found.toString('base64') };
}

function xml(name: string, content: string): string {
  return `<?xml version="1.0"?><${name}>${content}</${name}>`;
}
