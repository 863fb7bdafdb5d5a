/**
 * The process that runs the S3 endpoints of all test files, each with its own port and folder: what they need is loaded, and
 * compiled, once. POST starts one and answers what is to know of it; DELETE /PORT stops it. They end with the process that
 * started this one.
 */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { type LocalS3, startS3 } from '../../src/demo/s3-server.ts';

const endpoints = new Map<string, LocalS3>();

const server = http.createServer((request, response) => {
  answer(request.method === 'POST', request.url ?? '').then(
    (body) => response.end(body),
    (error: unknown) => response.writeHead(500).end(String(error)),
  );
});

async function answer(isToStart: boolean, target: string): Promise<string> {
  if (!isToStart) {
    const endpoint = endpoints.get(target);
    endpoints.delete(target);
    await endpoint?.stop();
    return '';
  }
  const endpoint = await startS3();
  endpoints.set(`/${endpoint.port}`, endpoint);
  return JSON.stringify(endpoint);
}

process.on('disconnect', () => {
  server.close();
  void Promise.all([...endpoints.values()].map((endpoint) => endpoint.stop()));
});

server.listen(0, '127.0.0.1');
await once(server, 'listening');
process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
