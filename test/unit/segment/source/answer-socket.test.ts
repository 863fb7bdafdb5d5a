import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import net, { type AddressInfo, Socket } from 'node:net';
import tls from 'node:tls';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, test, type TestContext } from 'node:test';
import type { Client } from 'pg';
import { FailureError } from '../../../../src/base/errors.ts';
import { BUDGET } from '../../../../src/base/memory-budget.ts';
import { DirectSocket } from '../../../../src/postgres/direct-socket.ts';
import { AnswerSocket } from '../../../../src/segment/source/answer-socket.ts';

/** Numbers of four bytes, one after the other: no two places hold the same. */
const STREAM = Buffer.from(Uint32Array.from({ length: 2 * 1024 ** 2 }, (_, index) => index).buffer);

const STATEMENT = { text: 'COPY', params: [] };

/** A client whose connection is `socket`, and which answers any query with `answer`. */
async function connect(t: TestContext, socket: Socket, answer: (peer: Socket) => void): Promise<Client> {
  const server = net.createServer((peer) => {
    peer.on('error', () => undefined);
    peer.once('data', () => {
      answer(peer);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  socket.connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(socket, 'connect');
  return clientOn(t, socket, server);
}

/** The same over TLS, by a key that both know in place of certificates. */
async function connectSecurely(t: TestContext, answer: (peer: Socket) => void): Promise<[Client, Socket]> {
  const key = { psk: Buffer.alloc(32, 7), identity: 'test' };
  const server = tls.createServer({ ciphers: 'PSK', pskCallback: () => key.psk }, (peer) => {
    peer.on('error', () => undefined);
    peer.once('data', () => {
      answer(peer);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // As the driver does it: the connection is there before TLS begins.
  const below = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(below, 'connect');
  const options = { ciphers: 'PSK', checkServerIdentity: () => undefined, pskCallback: () => key };
  const socket = tls.connect({ socket: below, ...options });
  await once(socket, 'secureConnect');
  return [clientOn(t, socket, server), socket];
}

function clientOn(t: TestContext, socket: Socket, server: net.Server): Client {
  t.after(() => {
    socket.destroy();
    server.close();
  });
  return {
    connection: Object.assign(new EventEmitter(), { stream: socket }),
    query: ({ submit }: { submit: (connection: unknown) => void }) => {
      const ignore = (): undefined => undefined;
      submit({
        parse: ({ text }: { text: string }) => socket.write(text),
        bind: ignore,
        execute: ignore,
        sync: ignore,
      });
    },
  } as unknown as Client;
}

/** Reads the whole stream, and looks at each slice only after the event loop has gone round: it must still be what it was. */
async function readSlowly(copy: AnswerSocket): Promise<number[]> {
  const slices: number[] = [];
  for (let at = 0; at < STREAM.length;) {
    const slice = await copy.next();
    await turn();
    await turn();
    assert.ok(slice.equals(STREAM.subarray(at, at + slice.length)), `a slice at ${at} was overwritten`);
    slices.push(slice.length);
    at += slice.length;
  }
  return slices;
}

describe('the bytes of an answer', () => {
  for (const [what, readBytes] of [
    ['as it is', BUDGET.read.socketBytes],
    ['larger than what may wait', 4 * BUDGET.read.waitingBytes],
  ] as const)
    test(`stay as they are until more are asked for, with a read buffer ${what}`, async (t) => {
      const client = await connect(t, new DirectSocket(readBytes), (peer) => peer.write(STREAM));
      const slices = await readSlowly(new AnswerSocket(client, STATEMENT));
      assert.ok(Math.max(...slices) <= readBytes);
    });

  test('stay as they are on a socket that gives its buffers away', async (t) => {
    const client = await connect(t, new Socket(), (peer) => peer.write(STREAM));
    await readSlowly(new AnswerSocket(client, STATEMENT));
  });

  test('stay as they are over TLS, and come in pieces of more than a record', async (t) => {
    const [client] = await connectSecurely(t, (peer) => {
      // Records as those of Postgres.
      for (let at = 0; at < STREAM.length; at += 8192) peer.write(STREAM.subarray(at, at + 8192));
    });
    const slices = await readSlowly(new AnswerSocket(client, STATEMENT));
    assert.ok(slices.length < STREAM.length / 8192 / 2, `${slices.length} pieces`);
  });

  test('stay as they are over TLS where Node has not the inside that records are gathered by', async (t) => {
    const [client, socket] = await connectSecurely(t, (peer) => peer.write(STREAM));
    Object.assign((socket as unknown as { _handle: object })._handle, { useUserBuffer: undefined });
    const slices = await readSlowly(new AnswerSocket(client, STATEMENT));
    assert.ok(Math.max(...slices) <= 16_384, 'records were gathered');
  });

  test('wait over TLS in a buffer of the budget, while nobody asks for them', async (t) => {
    const [client, socket] = await connectSecurely(t, (peer) => peer.write(STREAM));
    const answer = new AnswerSocket(client, STATEMENT);
    while (!socket.isPaused()) await turn();
    for (let left = 20; left > 0; left -= 1) await turn();
    const { waitingBytes, surplusBytes } = BUDGET.read;
    assert.ok(socket.bytesRead <= waitingBytes + surplusBytes, `${socket.bytesRead} bytes were taken`);
    await readSlowly(answer);
  });

  test('wait in memory for no more than the budget has, while nobody asks for them', async (t) => {
    const socket = new Socket();
    const client = await connect(t, socket, (peer) => peer.write(STREAM));
    const copy = new AnswerSocket(client, STATEMENT);
    while (!socket.isPaused() && socket.bytesRead < STREAM.length) await turn();
    const { waitingBytes, surplusBytes } = BUDGET.read;
    assert.ok(socket.bytesRead <= waitingBytes + surplusBytes, `${socket.bytesRead} bytes were taken`);
    await readSlowly(copy);
  });

  type Connect = (t: TestContext, answer: (peer: Socket) => void) => Promise<[Client, Socket]>;
  const on =
    (make: () => Socket): Connect =>
    async (t, answer) => {
      const socket = make();
      return [await connect(t, socket, answer), socket];
    };
  for (const [what, open] of [
    ['a socket that lends its buffer', on(() => new DirectSocket())],
    ['a socket that gives its buffers away', on(() => new Socket())],
    ['TLS', connectSecurely],
  ] as const)
    test(`end where the driver has the connection again, and it misses no byte behind them, on ${what}`, async (t) => {
      const peers: Socket[] = [];
      const [client, socket] = await open(t, (peer) => {
        peers.push(peer);
        peer.write('the answer');
      });
      const seen: string[] = [];
      socket.on('data', (bytes: Buffer) => seen.push(bytes.toString()));
      const { connection } = client as unknown as { connection: EventEmitter };
      connection.on('readyForQuery', ({ status }: { status: string }) => seen.push(`ready ${status}`));
      const copy = new AnswerSocket(client, STATEMENT);
      assert.equal((await copy.next()).toString(), 'the answer');
      const lastRead = Buffer.from('behind, ');
      copy.giveBack(Buffer.from('T'), lastRead);
      lastRead.fill('x');
      assert.deepEqual(seen, ['ready T', 'behind, ']);
      peers[0]!.write('later');
      await once(socket, 'data');
      assert.deepEqual(seen.slice(2), ['later']);
      // For the next statement it is as it was.
      const next = new AnswerSocket(client, STATEMENT);
      peers[0]!.write('the next answer');
      assert.equal((await next.next()).toString(), 'the next answer');
      next.giveBack(Buffer.from('T'), Buffer.alloc(0));
      assert.deepEqual(seen.slice(3), ['ready T']);
    });

  for (const [what, open] of [
    ['a socket that lends its buffer', on(() => new DirectSocket())],
    ['TLS', connectSecurely],
  ] as const)
    test(`end with a failure that may pass when the connection ends, on ${what}`, async (t) => {
      const [client] = await open(t, (peer) => peer.end('the last words'));
      const copy = new AnswerSocket(client, STATEMENT);
      assert.equal((await copy.next()).toString(), 'the last words');
      await assert.rejects(
        copy.next(),
        (error) => error instanceof FailureError && error.failure.code === 'connection-lost' && error.failure.transient,
      );
    });
});
