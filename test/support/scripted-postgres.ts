/** A server that lets everybody in, and answers the first query with bytes of the test's choice: what no Postgres would say. */
import { createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { Client } from 'pg';
import { message } from './wire.ts';

const TERMINATE = 0x58;

export const READY = message('Z', Buffer.from('I'));
const AUTHENTICATED = message('R', Buffer.alloc(4));

/** Connects to such a server, hands the connection to `work`, and closes both. `end` says that it hangs up after its answer. */
export async function withScriptedPostgres(
  answer: Buffer,
  work: (client: Client) => Promise<void>,
  { end = false } = {},
): Promise<void> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(Buffer.concat([AUTHENTICATED, READY]));
      socket.once('data', (bytes: Buffer) => {
        if (bytes[0] === TERMINATE) return;
        if (end) socket.end(answer);
        else socket.write(answer);
      });
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const client = new Client({ host: '127.0.0.1', port, user: 'test', database: 'test' });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await work(client);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}
