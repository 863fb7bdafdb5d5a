/** The thread's entry: receive a task, do what it asks for, send back an outcome. It never throws, as an error would lose its class. */
import { getHeapStatistics } from 'node:v8';
import { isMainThread, MessageChannel, parentPort, workerData } from 'node:worker_threads';
import { fail, type FailureError, toFailure } from '../base/errors.ts';
import { archiveSegment, type SegmentHooks } from './archive.ts';
import { bindTask, type Binding, type Ends } from './binding.ts';
import { Grants } from './grants.ts';
import { bindingOf } from './known-bindings.ts';
import { letGoOfAll } from '../base/kept.ts';
import {
  HAS_LET_GO,
  WARM_UP,
  type AbortMessage,
  type ControlMessage,
  type OfAPool,
  type WorkerInput,
  type WorkerMessage,
} from './messages.ts';
import { restoreObjects } from './restore/objects.ts';
import { verifyInThread } from './verify/in-thread.ts';
import type { FactsOf, Outcome, Task } from './task.ts';

const REPORT_INTERVAL_MS = 200;

/** Why a task is dropped that is too large for where it is run. */
const GIVEN_BACK = Symbol('given back');

if ((workerData as Partial<OfAPool> | null)?.isOfAPool === true) listenForTheEnd();

/** What the pool calls; and who runs a task in the main thread. Resolves to nothing where the task is given back. */
export default async function work(input: WorkerInput | typeof WARM_UP): Promise<Outcome<FactsOf<Task>> | undefined> {
  if (input === WARM_UP) return undefined;
  const outcome = await runTask(input);
  // There it has no next task to wait for.
  if (isMainThread) await letGoOfAll();
  return outcome;
}

/** Runs one task; what it says on the way goes through `port`. Undefined where it is given back. */
async function runTask({
  task,
  generations,
  port,
  mostJsonBytes = Infinity,
}: WorkerInput): Promise<Outcome<FactsOf<Task>> | undefined> {
  const started = performance.now();
  const heap = new HeapMeter();
  const abort = new AbortController();
  const answer = Promise.withResolvers<Binding>();
  const grants = new Grants(abort.signal, (bytes) => {
    report({ kind: 'want', bytes });
  });
  port.on('message', (message: ControlMessage) => {
    switch (message.kind) {
      case 'binding':
        answer.resolve(message.binding);
        break;
      case 'grant':
        grants.granted();
        break;
      case 'abort':
        abort.abort(abortedFailure(message));
        break;
    }
  });
  const report = (message: WorkerMessage): void => {
    port.postMessage(message);
  };
  const askForBinding = (): Promise<Binding> => {
    report({ kind: 'need' });
    return answer.promise;
  };
  let reportedAt = 0;
  try {
    const hooks = {
      report,
      signal: abort.signal,
      grant: (bytes: number) => grants.ask(bytes),
      onProgress: (progress: { rows: number; jsonBytes: number; bytes: number }) => {
        if (progress.jsonBytes > mostJsonBytes) abort.abort(GIVEN_BACK);
        const heapBytes = heap.sample();
        const now = performance.now();
        if (now - reportedAt < REPORT_INTERVAL_MS) return;
        reportedAt = now;
        report({ kind: 'progress', ...progress, heapBytes });
      },
    };
    const ends = bindTask(task, await bindingOf(task.generation, generations, askForBinding));
    const facts = await doTask(task, ends, hooks);
    heap.sample();
    return { ok: true, facts, peakHeapBytes: heap.peakBytes, seconds: (performance.now() - started) / 1000 };
  } catch (error) {
    if (abort.signal.reason === GIVEN_BACK) return undefined;
    const failure = toFailure(error, 'worker');
    return {
      ok: false,
      peakHeapBytes: heap.peakBytes,
      failure: { ...failure, archive: task.archive, run: task.run, segment: task.segment },
    };
  } finally {
    port.close();
  }
}

function doTask(task: Task, ends: Ends, hooks: SegmentHooks): Promise<FactsOf<Task>> {
  switch (task.kind) {
    case 'archive-segment':
      return archiveSegment(task, ends, hooks);
    case 'restore-object':
      return restoreObjects(task, ends, hooks);
    case 'verify-object':
      return verifyInThread(task, ends, hooks);
  }
}

/**
 * Not over a BroadcastChannel: its messages are events of the browser's kind, which Node loads undici for: 20 to 40 ms of CPU in each
 * thread, and once more in the main one.
 */
function listenForTheEnd(): void {
  const { port1: ours, port2: theirs } = new MessageChannel();
  ours.on('message', () => void letGoOfAll().then(() => ours.postMessage(HAS_LET_GO)));
  // It keeps no thread alive.
  ours.unref();
  parentPort?.postMessage(theirs, [theirs]);
}

/** Samples this thread's heap; the peak of the samples is what a run reports. */
class HeapMeter {
  peakBytes = 0;

  sample(): number {
    const { used_heap_size: usedBytes } = getHeapStatistics();
    this.peakBytes = Math.max(this.peakBytes, usedBytes);
    return usedBytes;
  }
}

function abortedFailure(message: AbortMessage): FailureError {
  return fail(
    { code: 'aborted', transient: false },
    {
      stage: 'worker',
      message: `the segment was dropped: ${message.reason}`,
    },
  );
}
