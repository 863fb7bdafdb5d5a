/** Runs that were committed, and of which nothing tells any more what they held: their manifests are gone. */
import { fail, type Failure, type FailureError } from '../base/errors.ts';
import { countOf } from '../base/units.ts';
import type { RunFolder } from './run-folder.ts';

/** One that was purged. */
export function lostRun({ archive, run, manifestUrl }: RunFolder): FailureError {
  const message = `${manifestUrl} is not there, and run ${run} was purged`;
  return fail('purged-run-lost', { stage: 'journal', archive, run, message });
}

/**
 * What is to be said of a run that has no manifest: undefined where it was begun and is not committed yet, or nothing tells that it
 * ever was. Whoever is at work on one has a plan; only a committed run has data and none. Throws FailureError.
 */
export async function lostManifest(folder: RunFolder): Promise<Failure | undefined> {
  let objects = 0;
  for await (const { key } of folder.list()) if (folder.isDataKey(key)) objects += 1;
  if (objects === 0 && !(await folder.wasProved())) return undefined;
  // It may have been begun or committed just now.
  if ((await folder.isPlanned()) || (await folder.isCommitted())) return undefined;
  const { archive, run, manifestUrl } = folder;
  const rest =
    objects === 0
      ? 'the run was proved once'
      : `${countOf(objects, 'data object')} of the run ${objects === 1 ? 'is' : 'are'} still there`;
  return fail('manifest-lost', {
    stage: 'journal',
    archive,
    run,
    message: `${manifestUrl} is not there any more, though ${rest}`,
  }).failure;
}
