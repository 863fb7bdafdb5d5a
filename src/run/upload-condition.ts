/** What the upload of a segment may replace, and by what its object can be told from that of another attempt. */
import { randomBytes } from 'node:crypto';
import type { SegmentTask } from '../segment/task.ts';
import type { Replaces, StoredObject } from '../store/store.ts';
import type { Attempt } from './attempt.ts';
import { requireOwnership } from './ownership.ts';
import type { Run } from './run.ts';

const TOKEN_BYTES = 4;

/** A token for one attempt at an object. */
export function drawToken(): string {
  return randomBytes(TOKEN_BYTES).toString('hex');
}

/** The task of an attempt, which counts from 1. Throws FailureError when the run is not ours any more. */
export async function withCondition(
  run: Run,
  attempt: Attempt,
  task: SegmentTask,
  number: number,
): Promise<SegmentTask> {
  const there = number === 1 ? attempt.listed.get(task.key) : await lookAgain(run, attempt, task.key);
  const { replaces: _before, ...rest } = task;
  const replaces = replacing(there);
  return { ...rest, token: drawToken(), ...(replaces === undefined ? {} : { replaces }) };
}

/**
 * What is there after an attempt that failed, which may have written its object all the same, or somebody else one. Only
 * as long as the plan is ours may it be replaced; in this order, as what is written in between is then refused.
 */
export async function lookAgain({ folder }: Run, attempt: Attempt, key: string): Promise<StoredObject | undefined> {
  const there = await folder.store.head(key);
  await requireOwnership(folder, attempt);
  return there;
}

/** Undefined where the server gives no ETags: then there is no condition to be made of one. */
export function replacing(there: StoredObject | undefined): Replaces | undefined {
  if (there === undefined) return 'nothing';
  return there.etag === '' ? undefined : there.etag;
}
