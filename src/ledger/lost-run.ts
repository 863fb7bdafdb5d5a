/** A run that was purged, and of which nothing tells any more what it held. */
import { fail, type FailureError } from '../base/errors.ts';
import type { RunFolder } from './run-folder.ts';

export function lostRun({ archive, run, manifestUrl }: RunFolder): FailureError {
  const message = `${manifestUrl} is not there, and run ${run} was purged`;
  return fail('purged-run-lost', { stage: 'journal', archive, run, message });
}
