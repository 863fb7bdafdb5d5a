/** What a thread of the package starts from: `segment/worker.ts` is the script beside it. */
import path from 'node:path';
import { workerData } from 'node:worker_threads';
import { runScript } from './base/script.ts';
import type { OfAPool } from './segment/messages.ts';
import type * as Worker from './segment/worker.ts';

const { use } = workerData as OfAPool;
const script = path.join(import.meta.dirname, '../program/thread.js');
const { exports: thread, keepCode } = runScript<typeof Worker>(script, use, process.env);
let isKept = false;

/** What the pool calls. */
const work: typeof Worker.default = async (input) => {
  const outcome = await thread.default(input);
  // A task that went well took all that such tasks take; the end of the thread would be too late.
  if (outcome?.ok === true && !isKept) {
    isKept = true;
    keepCode();
  }
  return outcome;
};
export default work;
