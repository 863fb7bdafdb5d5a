/** Says of a run that is not committed what there is instead. */
import type { RunFolder } from './run-folder.ts';
import { findLatestCommitted } from './runs.ts';

/** Whether anything lies in the run's folder, and a line for the operator that names the latest committed run. */
export async function describeMissingRun(folder: RunFolder): Promise<{ wasBegun: boolean; message: string }> {
  const { store, archive, run } = folder;
  const wasBegun = !(await folder.isEmpty());
  const latest = await findLatestCommitted(store, archive);
  const what = wasBegun
    ? `run ${run} of archive ${archive} was begun but not committed; \`pgsluice run ${archive} --run-id ${run}\` goes on with it`
    : `archive ${archive} has no run ${run} in ${store.url}`;
  const instead = latest === undefined ? 'it has no committed run' : `the latest committed run is ${latest.run}`;
  return { wasBegun, message: `${what}; ${instead}` };
}
