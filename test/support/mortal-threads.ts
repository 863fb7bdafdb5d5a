/** Loaded into a process by `NODE_OPTIONS=--import`: SIGUSR2 ends one of its worker threads, as running out of memory would. */
import { isMainThread, type Worker } from 'node:worker_threads';

const alive = new Set<Worker>();

if (isMainThread) {
  process.on('worker', (worker) => {
    alive.add(worker);
    worker.once('exit', () => alive.delete(worker));
  });
  process.on('SIGUSR2', () => {
    const [oldest] = alive;
    void oldest?.terminate();
  });
}
