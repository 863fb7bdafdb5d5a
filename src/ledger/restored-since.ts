/** Whether rows of a run were restored that a purge must leave. */
import type { PurgeRecord } from './purge.ts';
import type { RestoredMark } from './restored.ts';
import type { RunFolder } from './run-folder.ts';

/**
 * The mark of a restore that no purge was told to pass over; undefined where there is none. `record` is what the latest purge of the
 * run has noted. Throws FailureError for one that cannot be believed.
 */
export async function restoredSince(
  folder: RunFolder,
  record: PurgeRecord | undefined,
): Promise<RestoredMark | undefined> {
  const mark = await folder.restored();
  return mark === undefined || record?.restored === mark.id ? undefined : mark;
}
