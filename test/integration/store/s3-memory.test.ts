import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openStore } from '../../../src/store/open.ts';
import { destinationOf, type LocalS3 } from '../../support/s3-server.ts';
import { MIB, PART, uploadOptions } from './conformance.ts';

/** A part is a whole number of them. */
const PIECE = PART / 5;
const SERVER = fileURLToPath(new URL('../../../src/demo/s3-server-process.ts', import.meta.url));

it('holds memory for at most four parts, however many there are', async () => {
  // A process of its own, as the endpoint's memory is none of ours.
  const server = spawn(process.execPath, [SERVER, 'archive'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface(server.stdout), 'line')) as [string];
  const store = openStore(destinationOf(JSON.parse(line) as LocalS3, 'archive'));
  let peakBytes = 0;
  const look = (): void => {
    peakBytes = Math.max(peakBytes, process.memoryUsage().arrayBuffers);
  };
  async function* body(): AsyncGenerator<Buffer> {
    for (let piece = 0; piece < (30 * PART) / PIECE; piece += 1) {
      const buffer = Buffer.allocUnsafeSlow(PIECE).fill(piece);
      look();
      yield buffer;
      look();
    }
  }
  const timer = setInterval(look, 1);
  await store.upload('big', body(), uploadOptions());
  clearInterval(timer);
  assert.equal((await store.head('big'))?.bytes, 30 * PART);
  assert.ok(peakBytes <= 4 * PART + MIB, `${(peakBytes / PART).toFixed(2)} parts`);
  store.close();
  server.stdin.end();
  await once(server, 'exit');
});
