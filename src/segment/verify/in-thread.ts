/** One object that is read again, by a thread: the destination, then the object, and what is wrong with it. */
import type { Ends } from '../binding.ts';
import type { WorkerMessage } from '../messages.ts';
import { keepStore, takeStore } from '../stores.ts';
import { verifyObject } from './object.ts';
import { Problems } from './problems.ts';
import type { VerifiedFacts, VerifyTask } from './task.ts';

export interface VerifyHooks {
  report: (message: WorkerMessage) => void;
  onProgress: (progress: { rows: number; jsonBytes: number; bytes: number }) => void;
  signal: AbortSignal;
}

/** Throws as `verifyObject` does; then the destination is opened anew for the next one. */
export async function verifyInThread(
  task: VerifyTask,
  { destination }: Ends,
  { report, onProgress, signal }: VerifyHooks,
): Promise<VerifiedFacts> {
  const opened = takeStore(destination);
  let isDone = false;
  try {
    const store = opened.under(signal, (trouble) => {
      report({ kind: 'trouble', trouble });
    });
    const problems = new Problems();
    let bytes = 0;
    await verifyObject({ ...task, store }, problems, signal, (more) => {
      bytes += more;
      onProgress({ rows: 0, jsonBytes: 0, bytes });
    });
    isDone = true;
    return { bytes, problems: problems.found, furtherProblems: problems.further };
  } finally {
    if (isDone) await keepStore(destination, opened);
    else opened.close();
  }
}
