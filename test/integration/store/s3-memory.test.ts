import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BUDGET } from '../../../src/base/memory-budget.ts';
import { NEVER } from '../../../src/base/signals.ts';
import { openStore } from '../../../src/store/open.ts';
import { startProxy } from '../../support/s3-proxy.ts';
import { destinationOf, type LocalS3, startS3 } from '../../support/s3-server.ts';
import { PART, partsOf, uploadOptions } from './conformance.ts';

const { onTheWay, inTheMaking } = BUDGET.parts;

/** A part is a whole number of them. */
const PIECE = PART / 5;
const SERVER = fileURLToPath(new URL('../../../src/demo/s3-server-process.ts', import.meta.url));

it('holds memory for as many parts as the budget has, however many there are', async (t) => {
  // A process of its own, as the endpoint's memory is none of ours.
  const server = spawn(process.execPath, [SERVER, 'archive'], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(async () => {
    server.stdin.end();
    await once(server, 'exit');
  });
  const [line] = (await once(createInterface(server.stdout), 'line')) as [string];
  const store = openStore(destinationOf(JSON.parse(line) as LocalS3, 'archive'), NEVER);
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
  const limitBytes = (onTheWay + inTheMaking) * PART + BUDGET.pieces.bytes;
  assert.ok(peakBytes <= limitBytes, `${(peakBytes / PART).toFixed(2)} parts`);
  store.close();
});

it('sends as many parts at once as the budget has', async (t) => {
  const s3 = await startS3();
  t.after(() => s3.stop());
  await s3.createBucket('archive');
  const proxy = await startProxy(s3);
  t.after(() => proxy.stop());
  const store = openStore(destinationOf({ ...s3, endpoint: proxy.endpoint }, 'archive'), NEVER);
  t.after(() => {
    store.close();
  });
  proxy.order('UploadPart', { kind: 'delay', ms: 50 }, Infinity);
  let most = 0;
  const timer = setInterval(() => {
    const open = proxy.requests.filter(({ operation, status }) => operation === 'UploadPart' && status === 0);
    most = Math.max(most, open.length);
  }, 1);
  await store.upload('big', partsOf(8 * PART).body(), uploadOptions());
  clearInterval(timer);
  assert.equal(most, onTheWay);
});
