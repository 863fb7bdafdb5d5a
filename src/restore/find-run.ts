/** Finds the run that is to be restored: the one that is named, or the latest committed one. */
import { describeMissingRun } from '../ledger/missing-run.ts';
import { readManifest, type Manifest } from '../ledger/manifest.ts';
import { findLatestCommitted } from '../ledger/runs.ts';
import type { Store } from '../store/store.ts';
import { Refusal } from './refusal.ts';

/** The manifest of the run. Throws Refusal when there is none. */
export async function findRun(store: Store, archive: string, run: string | undefined): Promise<Manifest> {
  const wanted = run ?? (await findLatestCommitted(store, archive));
  if (wanted === undefined) throw new Refusal([`archive ${archive} has no committed run in ${store.url}`]);
  const manifest = await readManifest(store, archive, wanted);
  if (manifest !== undefined) return manifest;
  throw new Refusal([(await describeMissingRun(store, archive, wanted)).message]);
}
