/** Says of a run that is not committed what there is instead. */
import type { Store } from '../store/store.ts';
import { runPrefix } from './names.ts';
import { findLatestCommitted } from './runs.ts';

/** Whether anything lies in the run's folder, and a line for the operator that names the latest committed run. */
export async function describeMissingRun(
  store: Store,
  archive: string,
  run: string,
): Promise<{ wasBegun: boolean; message: string }> {
  const wasBegun = await hasObjects(store, runPrefix(archive, run));
  const latest = await findLatestCommitted(store, archive);
  const what = wasBegun
    ? `run ${run} of archive ${archive} was begun but not committed; \`pgsluice run ${archive} --run-id ${run}\` goes on with it`
    : `archive ${archive} has no run ${run} in ${store.url}`;
  const instead = latest === undefined ? 'it has no committed run' : `the latest committed run is ${latest}`;
  return { wasBegun, message: `${what}; ${instead}` };
}

async function hasObjects(store: Store, prefix: string): Promise<boolean> {
  for await (const _ of store.list(prefix)) return true;
  return false;
}
