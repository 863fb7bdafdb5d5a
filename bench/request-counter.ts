/** A proxy before an S3 endpoint that counts requests. */
import { once } from 'node:events';
import http from 'node:http';
import type { Closers } from '../src/base/closers.ts';

export interface Counted {
  endpoint: string;
  requests: number;
}

/** Passes requests on, and counts them. */
export async function countRequests(upstream: string, closers: Closers): Promise<Counted> {
  const agent = new http.Agent({ keepAlive: true });
  const counted = { endpoint: '', requests: 0 };
  const server = http.createServer((asked, answer) => {
    counted.requests += 1;
    const { method, url, headers } = asked;
    const passed = http.request(new URL(url ?? '/', upstream), { method, headers, agent, setHost: false }, (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(answer);
    });
    passed.on('error', () => answer.destroy());
    asked.pipe(passed);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.add('the counter of requests', () => {
    server.closeAllConnections();
    server.close();
    agent.destroy();
  });
  counted.endpoint = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  return counted;
}
