import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { BUDGET } from '../../../src/base/memory-budget.ts';
import { NEVER } from '../../../src/base/signals.ts';
import type { DestinationConfig } from '../../../src/config/schema.ts';
import { openStore } from '../../../src/store/open.ts';
import { eventually } from '../../support/cli.ts';
import { startProxy, type S3Proxy } from '../../support/s3-proxy.ts';
import { destinationOf, type LocalS3, startS3 } from '../../support/s3-server.ts';
import { PART, partsOf, uploadOptions } from './conformance.ts';

const { onTheWay, inTheMaking } = BUDGET.parts;

/** A part is a whole number of them. */
const PIECE = PART / 5;
/** More than twice what may be held. */
const PARTS = 16;
const SERVER = fileURLToPath(new URL('../../../src/demo/s3-server-process.ts', import.meta.url));

it('holds memory for as many parts as the budget has, however many there are', async (t) => {
  // A process of its own, as the endpoint's memory is none of ours.
  const server = spawn(process.execPath, [SERVER, 'archive'], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(async () => {
    server.stdin.end();
    await once(server, 'exit');
  });
  const [line] = (await once(createInterface(server.stdout), 'line')) as [string];
  const s3 = JSON.parse(line) as LocalS3;
  const store = openStore({ ...destinationOf(s3, 'archive'), partsInFlight: onTheWay }, NEVER);
  const buffer = Buffer.allocUnsafeSlow(PIECE);
  const otherBytes = process.memoryUsage().arrayBuffers;
  let peakBytes = 0;
  const look = (): void => {
    peakBytes = Math.max(peakBytes, process.memoryUsage().arrayBuffers - otherBytes);
  };
  async function* body(): AsyncGenerator<Buffer> {
    for (let piece = 0; piece < (PARTS * PART) / PIECE; piece += 1) {
      buffer.fill(piece);
      look();
      yield buffer;
      look();
    }
  }
  const timer = setInterval(look, 1);
  await store.upload('big', body(), uploadOptions());
  clearInterval(timer);
  assert.equal((await store.head('big'))?.bytes, PARTS * PART);
  const limitBytes = (onTheWay + inTheMaking + 0.5) * PART;
  assert.ok(peakBytes <= limitBytes, `${(peakBytes / PART).toFixed(2)} parts`);
  store.close();
});

describe('parts on their way at once', () => {
  let s3: LocalS3;
  let proxy: S3Proxy;

  before(async () => {
    s3 = await startS3();
    await s3.createBucket('archive');
    proxy = await startProxy(s3);
  });

  after(async () => {
    await proxy.stop();
    await s3.stop();
  });

  function openParts(): number {
    return proxy.requests.filter(({ operation, isOver }) => operation === 'UploadPart' && !isOver).length;
  }

  /** Uploads parts of which none is answered before `parts` of them are there; returns how many were there, and made, by then. */
  async function uploadHeld(destination: DestinationConfig, parts: number): Promise<{ sent: number; made: number }> {
    let yielded = 0;
    const there = eventually(`${parts} parts are there, and more are made meanwhile`, () =>
      Promise.resolve(openParts() >= parts && yielded > parts + 1),
    );
    // One too many would come now.
    const held = there.then(() => sleep(100)).then(() => ({ sent: openParts(), made: yielded }));
    proxy.order('UploadPart', { kind: 'hold', until: held }, 8);
    const store = openStore(destination, NEVER);
    async function* body(): AsyncGenerator<Buffer> {
      for await (const part of partsOf(8 * PART).body()) {
        yielded += 1;
        yield part;
      }
    }
    try {
      const [counts] = await Promise.all([held, store.upload(randomUUID(), body(), uploadOptions())]);
      return counts;
    } finally {
      store.close();
    }
  }

  it('are as many as the config says, and one more is gathered, up to the first byte of another', async () => {
    const destination = { ...destinationOf({ ...s3, endpoint: proxy.endpoint }, 'archive'), partsInFlight: 3 };
    assert.deepEqual(await uploadHeld(destination, 3), { sent: 3, made: 5 });
  });

  it('grow where the server takes its time to answer, and the next segment begins with as many', async () => {
    proxy.order('CreateMultipartUpload', { kind: 'delay', ms: 300 });
    const destination = destinationOf({ ...s3, endpoint: proxy.endpoint }, 'archive');
    const store = openStore(destination, NEVER);
    await store.upload(randomUUID(), partsOf(4 * PART).body(), uploadOptions());
    store.close();
    await uploadHeld(destination, 3);
  });
});
