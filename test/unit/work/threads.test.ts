import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { Binding } from '../../../src/segment/binding.ts';
import type { SegmentTask } from '../../../src/segment/task.ts';
import { Bindings } from '../../../src/work/bindings.ts';
import { Threads, youngGenerationMb } from '../../../src/work/threads.ts';

const sockets: Socket[] = [];
const silent = createServer((socket) => sockets.push(socket));
after(() => {
  for (const socket of sockets) socket.destroy();
  silent.close();
});

test('a thread that ends in the middle of a segment fails it, to be tried again', async () => {
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as { port: number };
  const bindings = new Bindings();
  const limits = { threads: 1, maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16 };
  const threads = new Threads(limits, bindings);
  const task = {
    kind: 'archive-segment',
    archive: 'events',
    run: '20261123T021500Z',
    segment: 7,
    subject: 'public.events',
    generation: bindings.add({
      sources: { app: { url: `postgres://127.0.0.1:${port}/test` } },
      destinations: { folder: { location: { kind: 'file', folder: '/nowhere' } } },
    } as unknown as Binding),
    source: 'app',
    destination: 'folder',
  } as SegmentTask;
  const hooks = { onBegin: () => undefined, onProgress: () => undefined };
  const outcome = threads.run(task, new AbortController().signal, hooks);
  await once(silent, 'connection');
  await threads.close();
  const ended = await outcome;
  assert.ok(!ended.ok);
  const { code, transient, archive, segment, message } = ended.failure;
  assert.deepEqual([code, transient, archive, segment], ['worker-died', true, 'events', 7]);
  assert.match(message, /read public\.events, after row 0 of segment 7/);
});

test('the young generation of a thread keeps within what the config says', async () => {
  assert.deepEqual([1, 3, 4, 6, 16, 24, 31, 48].map(youngGenerationMb), [1, 3, 3, 6, 12, 24, 24, 48]);
  // What survives has V8 make it as large as it may.
  const work = `
    const kept = [];
    for (let at = 0; at < 400_000; at += 1) kept.push({ at });
    const [{ physical_space_size: bytes }] = require('node:v8')
      .getHeapSpaceStatistics()
      .filter(({ space_name: name }) => name === 'new_space');
    require('node:worker_threads').parentPort.postMessage(bytes);`;
  const resourceLimits = { maxYoungGenerationSizeMb: youngGenerationMb(16), maxOldGenerationSizeMb: 64 };
  const [bytes] = (await once(new Worker(work, { eval: true, resourceLimits }), 'message')) as [number];
  // Two of its three spaces.
  assert.ok(bytes <= (16 * 1024 ** 2 * 2) / 3, `${bytes} bytes`);
});
