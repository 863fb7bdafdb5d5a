import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { readIntoOneBuffer } from '../../../../src/store/s3/read-buffer.ts';

const MIB = 1024 ** 2;
const BODIES = [9, 3, 2, 2].map((mebibytes) => randomBytes(mebibytes * MIB + 7));
const DIGESTS = BODIES.map((body) => createHash('sha256').update(body).digest('hex'));

const answer: http.RequestListener = ({ url = '' }, res) => void res.end(BODIES[Number(url.slice(1))]);
const socketOptions = { keepAlive: true, maxSockets: BODIES.length, ...readIntoOneBuffer() };
/** A key that both know takes no certificate. */
const key = { identity: 'one', psk: randomBytes(32) };

for (const { name, get, agent, server } of [
  { name: 'plain', get: http.get, agent: new http.Agent(socketOptions), server: http.createServer(answer) },
  {
    name: 'TLS',
    get: https.get,
    agent: new https.Agent({
      ...socketOptions,
      ciphers: 'PSK',
      maxVersion: 'TLSv1.2',
      pskCallback: () => key,
      checkServerIdentity: () => undefined,
    }),
    server: https.createServer({ ciphers: 'PSK', pskCallback: () => key.psk }, answer),
  },
])
  describe(`sockets that read into one buffer: ${name}`, () => {
    before(async () => {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    });

    after(() => {
      agent.destroy();
      server.close();
    });

    /** Resolves to the digest of the body, and the most of it that waited for its reader. */
    async function read(index: number, turns: number): Promise<{ digest: string; waiting: number }> {
      const { port } = server.address() as AddressInfo;
      const request = get({ port, host: '127.0.0.1', path: `/${index}`, agent });
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      const hash = createHash('sha256');
      const { socket } = response;
      const before = socket.bytesRead;
      let [bytes, waiting] = [0, 0];
      for await (const chunk of response as AsyncIterable<Buffer>) {
        for (let turn = 0; turn < turns; turn += 1) await setImmediate();
        waiting = Math.max(waiting, socket.bytesRead - before - bytes);
        hash.update(chunk);
        bytes += chunk.length;
      }
      return { digest: hash.digest('hex'), waiting };
    }

    test('give each what was sent to it, however slowly it is read, and when they are used again', async () => {
      for (let round = 0; round < 2; round += 1) {
        const found = await Promise.all(BODIES.map((_, at) => read(at, at)));
        assert.deepEqual(
          found.map(({ digest }) => digest),
          DIGESTS,
        );
      }
    });

    test('read no further than somebody takes it', async () => {
      const { digest, waiting } = await read(0, 20);
      assert.equal(digest, DIGESTS[0]);
      assert.ok(waiting < 2 * MIB, `${waiting} bytes`);
    });
  });
