/** Reads from a destination which runs of an archive there are. */
import type { Store } from '../store/store.ts';
import { archivePrefix, runOfFolder } from './keys.ts';
import { readManifest, type Manifest } from './manifest.ts';
import { isRunId } from './run-id.ts';

/** A run as its objects tell it. */
export interface StoredRun {
  archive: string;
  run: string;
  /** Undefined when the run is not committed. */
  manifest: Manifest | undefined;
}

/** The runs of an archive, oldest first. */
export async function* listRuns(store: Store, archive: string): AsyncGenerator<StoredRun, void, undefined> {
  for await (const folder of store.listFolders(archivePrefix(archive))) {
    const run = runOfFolder(folder);
    if (run !== undefined && isRunId(run)) yield { archive, run, manifest: await readManifest(store, archive, run) };
  }
}
