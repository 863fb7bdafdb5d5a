/** Finds the run that is to be restored: the one that is named, or the latest committed one. */
import { describeMissingRun } from '../ledger/missing-run.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import { findLatestCommitted } from '../ledger/runs.ts';
import type { StoredManifest } from '../ledger/stored-manifest.ts';
import type { Store } from '../store/store.ts';
import { Refusal } from './refusal.ts';

/** A committed run. */
export interface FoundRun {
  folder: RunFolder;
  manifest: StoredManifest;
}

/** Throws Refusal when there is no such run. */
export async function findRun(store: Store, archive: string, run: string | undefined): Promise<FoundRun> {
  const folder = run === undefined ? await findLatestCommitted(store, archive) : new RunFolder(store, archive, run);
  if (folder === undefined) throw new Refusal([`archive ${archive} has no committed run in ${store.url}`]);
  const manifest = await folder.manifest();
  if (manifest !== undefined) return { folder, manifest };
  throw new Refusal([(await describeMissingRun(folder)).message]);
}
