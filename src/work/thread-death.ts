/** What is left to do for a task whose thread died: what it began is ended from here, and its outcome is a failure. */
import { errorText, fail, type Failure } from '../base/errors.ts';
import { formatCount } from '../base/units.ts';
import { terminateBackend } from '../postgres/cancel.ts';
import type { Ends } from '../segment/binding.ts';
import type { Task } from '../segment/task.ts';
import { openStore } from '../store/open.ts';
import type { Trace } from './conversation.ts';

/** A destination that does not answer must hold up nobody for the sake of a dead thread. */
const CLEAN_UP_MS = 3000;

/** Stops the query of a dead thread and aborts its upload, as it could do neither itself. Best effort. */
export async function cleanUpAfterDeath(
  task: Task,
  { database, destination }: Ends,
  { backendPid, uploadId }: Trace,
): Promise<void> {
  if (backendPid !== undefined) await terminateBackend(database, backendPid);
  if (uploadId === undefined || task.kind !== 'archive-segment') return;
  const store = openStore(destination, AbortSignal.timeout(CLEAN_UP_MS));
  try {
    await store.abortUpload(task.key, uploadId);
  } catch {
    // What could not be aborted now is found by the sweep at the next start.
  } finally {
    store.close();
  }
}

/** The failure of a task whose thread ended with `error`; `heapMb` is what its heap was allowed. */
export function deathFailure(task: Task, trace: Trace, error: unknown, heapMb: number): Failure {
  const { archive, run, segment } = task;
  const details = { stage: 'worker', archive, run, segment, cause: errorText(error) } as const;
  const doing = describeWork(task, trace);
  if (error instanceof Error && Reflect.get(error, 'code') === 'ERR_WORKER_OUT_OF_MEMORY') {
    return fail('worker-out-of-memory', {
      ...details,
      message: `the worker ran out of its heap of ${heapMb} MiB while it ${doing}`,
      hint: `A row there is too wide for this heap. Raise workers.maxOldGenerationSizeMb above ${heapMb}, or leave the wide column out with exclude or where.`,
    }).failure;
  }
  return fail('worker-died', { ...details, message: `the worker thread ended while it ${doing}` }).failure;
}

function describeObjects(objects: readonly { key: string }[]): string {
  const others = objects.length === 1 ? '' : ` and ${formatCount(objects.length - 1)} more`;
  return `${objects[0]?.key ?? ''}${others}`;
}

function describeWork(task: Task, { rows }: Trace): string {
  switch (task.kind) {
    case 'archive-segment':
      return `read ${task.subject}, after row ${formatCount(rows)} of segment ${task.segment}`;
    case 'restore-object':
      return `restored ${describeObjects(task.objects)} into ${task.subject}, after line ${formatCount(rows)}`;
    case 'verify-object':
      return `read ${task.key} again`;
  }
}
