import type { Worker } from 'node:worker_threads';
import { Bindings } from '../../../src/work/bindings.ts';
import { Threads } from '../../../src/work/threads.ts';
import '../../support/bundled-threads.ts';
import { placeConformance } from './place-conformance.ts';

const alive = new Set<Worker>();
let started = 0;

process.on('worker', (worker) => {
  started += 1;
  alive.add(worker);
  worker.once('exit', () => alive.delete(worker));
});

placeConformance('a set of threads', async (room) => {
  const bindings = new Bindings();
  return {
    place: new Threads({ threads: room, maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16 }, bindings, {
      doesEmptyHere: true,
    }),
    started: () => started,
    add: (binding) => bindings.add(binding),
    kill: async () => {
      for (const worker of alive) await worker.terminate();
    },
  };
});
