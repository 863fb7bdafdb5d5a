import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, test } from 'node:test';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { CopyIn } from '../../../../src/segment/restore/copy.ts';

const HEADER_BYTES = 5;
const CHUNK_BYTES = 4 * 1024 * 1024;
const CHUNKS = 6;

/** A connection of this process with itself: what is written, and the socket that it arrives at, which is not read yet. */
async function connectSockets(): Promise<{ writer: net.Socket; reader: net.Socket; close: () => void }> {
  const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const writer = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  const [reader] = (await once(server, 'connection')) as [net.Socket];
  const close = (): void => {
    writer.destroy();
    reader.destroy();
    server.close();
  };
  return { writer, reader, close };
}

/** Makes every chunk in the same buffer, as the rows of a restore are made. */
function* inOneBuffer(): Generator<Buffer, void, undefined> {
  const buffer = Buffer.alloc(CHUNK_BYTES);
  for (let at = 0; at < CHUNKS; at += 1) yield buffer.fill(at);
}

describe('rows on their way to the server', () => {
  test('leave their buffer to the next ones only when the system has them, however slowly the server reads', async () => {
    const { writer, reader, close } = await connectSockets();
    try {
      const copy = new CopyIn('COPY t FROM STDIN');
      const ignore = (): void => undefined;
      copy.submit({ stream: writer, parse: ignore, bind: ignore, execute: ignore, sync: ignore });
      copy.handleCopyInResponse();
      const sending = pipeline(inOneBuffer(), copy);
      const received: Buffer[] = [];
      // Long enough for the system to be full: it takes some megabytes while nobody reads.
      await sleep(20);
      // With the word that it was all.
      let missing = CHUNKS * (HEADER_BYTES + CHUNK_BYTES) + HEADER_BYTES;
      reader.on('data', (bytes: Buffer) => {
        received.push(bytes);
        missing -= bytes.length;
        if (missing === 0) copy.handleReadyForQuery();
      });
      reader.resume();
      await sending;
      const messages = Buffer.concat(received);
      for (let at = 0; at < CHUNKS; at += 1) {
        const start = at * (HEADER_BYTES + CHUNK_BYTES) + HEADER_BYTES;
        const isWhole = messages.subarray(start, start + CHUNK_BYTES).equals(Buffer.alloc(CHUNK_BYTES, at));
        assert.ok(isWhole, `of chunk ${at}, a part was overwritten`);
      }
    } finally {
      close();
    }
  });
});
