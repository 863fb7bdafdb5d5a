/** Real connections, whose addresses alone are made up: those of the loopback that the clients have are taken for others. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { limitConnections } from '../../../../src/daemon/http/connections.ts';
import { eventually } from '../../../support/cli.ts';

const HALF_A_REQUEST = 'GET /healthz HTTP/1.1\r\nHost: loc';
const NEVER_ANSWERED = 'GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n';
const server = http.createServer((request, response) => {
  // Whoever asks for this is still being answered at the end.
  if (request.url === '/never') response.write('…');
  else response.end('well');
});
let clients: net.Socket[] = [];

before(async () => {
  server.on('connection', (socket) => {
    const address = socket.remoteAddress?.replace(/^127\.9\./, '10.9.');
    Object.defineProperty(socket, 'remoteAddress', { value: address });
  });
  limitConnections(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(async () => {
  for (const client of clients) client.destroy();
  clients = [];
  await eventually('all have left', async () => (await connections()) === 0);
});
after(() => server.close());

function connections(): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

async function connect(localAddress: string, says: string): Promise<void> {
  const { port } = server.address() as net.AddressInfo;
  const client = net.connect({ port, host: '127.0.0.1', localAddress }).on('error', () => undefined);
  clients.push(client);
  await once(client, 'connect');
  client.write(says);
}

async function connectMany(count: number, addressOf: (at: number) => string, says = HALF_A_REQUEST): Promise<void> {
  for (let at = 0; at < count; at += 1) await connect(addressOf(at), says);
}

/** Resolves to what the server says; rejects when it has no room. */
async function askFrom(localAddress: string): Promise<number | undefined> {
  const { port } = server.address() as net.AddressInfo;
  const request = http.get({ port, host: '127.0.0.1', localAddress, agent: false, path: '/healthz' });
  const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
  answer.resume();
  return answer.statusCode;
}

describe('the limits of connections', () => {
  test('leave 20 to an address whose clients are slow, and it is still answered', async () => {
    await connectMany(200, () => '127.9.0.1');
    assert.equal(await connections(), 20);
    for (const address of ['127.9.0.1', '127.9.0.2', '127.0.0.1']) assert.equal(await askFrom(address), 200);
  });

  test('leave 100 to all addresses together, and the loopback has room besides', async () => {
    await connectMany(200, (at) => `127.9.1.${at + 1}`);
    assert.equal(await connections(), 100);
    for (const address of ['127.9.2.1', '127.0.0.1']) assert.equal(await askFrom(address), 200);
  });

  test('let nobody go who is being answered: the 21st of an address waits', async () => {
    await connectMany(20, () => '127.9.0.1', NEVER_ANSWERED);
    for (const client of clients) await once(client, 'data');
    await assert.rejects(askFrom('127.9.0.1'), { code: 'ECONNRESET' });
    assert.equal(await askFrom('127.9.0.2'), 200);
    assert.ok(clients.every(({ readyState }) => readyState === 'open'));
  });

  test('keep room for the loopback when 100 others are being answered', async () => {
    await connectMany(100, (at) => `127.9.1.${at + 1}`, NEVER_ANSWERED);
    for (const client of clients) await once(client, 'data');
    await assert.rejects(askFrom('127.9.2.1'), { code: 'ECONNRESET' });
    assert.equal(await askFrom('127.0.0.1'), 200);
  });
});
