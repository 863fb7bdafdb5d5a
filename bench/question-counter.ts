/** Counts what a Postgres is asked on the way to it. */
import { once } from 'node:events';
import net from 'node:net';
import type { Closers } from '../src/base/closers.ts';

export interface CountedQuestions {
  url: string;
  connections: number;
  /** How often the server said that it waits for more: as often as it was waited for. */
  answers: number;
}

/** ReadyForQuery, and the bytes of a message before its body. */
const READY = 0x5a;
const HEADER_BYTES = 5;

/** Passes connections on to the server of `url`, without TLS, and counts what is asked on them. */
export async function countQuestions(url: string, closers: Closers): Promise<CountedQuestions> {
  const { hostname, port } = new URL(url);
  const counted: CountedQuestions = { url: '', connections: 0, answers: 0 };
  const sockets = new Set<net.Socket>();
  // Who has said goodbye is told of the end only once the server has ended the session: then its locks are gone.
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    counted.connections += 1;
    const upstream = net.connect({ port: Number(port), host: hostname, allowHalfOpen: true });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    }
    upstream.on('close', () => client.destroy());
    upstream.on('end', () => client.end());
    client.on('close', () => upstream.end());
    client.pipe(upstream);
    let waiting = Buffer.alloc(0);
    upstream.on('data', (bytes: Buffer) => {
      client.write(bytes);
      waiting = Buffer.concat([waiting, bytes]);
      let at = 0;
      while (waiting.length - at >= HEADER_BYTES) {
        const end = at + waiting.readInt32BE(at + 1) + 1;
        if (end > waiting.length) break;
        if (waiting[at] === READY) counted.answers += 1;
        at = end;
      }
      waiting = waiting.subarray(at);
    });
  });
  const counting = new URL(url);
  counting.hostname = '127.0.0.1';
  counting.port = String(await listen(server));
  counted.url = counting.href;
  closers.add('the counter of questions', () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return counted;
}

async function listen(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}
