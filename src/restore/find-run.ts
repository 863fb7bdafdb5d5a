/** Finds the run that is to be restored: the one that is named, or the latest committed one. */
import { findLatestCommitted } from '../ledger/runs.ts';
import { readPlan } from '../ledger/journal.ts';
import { readManifest, type Manifest } from '../ledger/manifest.ts';
import type { Store } from '../store/store.ts';
import { Refusal } from './refusal.ts';

/** The manifest of the run. Throws Refusal when there is none. */
export async function findRun(store: Store, archive: string, run: string | undefined): Promise<Manifest> {
  const wanted = run ?? (await findLatestCommitted(store, archive));
  if (wanted === undefined) throw new Refusal([`archive ${archive} has no committed run in ${store.url}`]);
  const manifest = await readManifest(store, archive, wanted);
  if (manifest !== undefined) return manifest;
  const journal = await readPlan(store, archive, wanted);
  const latest = await findLatestCommitted(store, archive);
  throw new Refusal([
    (journal === undefined
      ? `archive ${archive} has no run ${wanted} in ${store.url}`
      : `run ${wanted} of archive ${archive} was begun but not committed; \`pgsluice run ${archive} --run-id ${wanted}\` goes on with it`) +
      (latest === undefined ? '; it has no committed run' : `; the latest committed run is ${latest}`),
  ]);
}
