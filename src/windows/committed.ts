/** Which windows of an archive have a committed run: by one listing, and by manifests that are read once and then known. */
import type { RunWindow } from '../run/window.ts';
import { destinationOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { archivePrefix, runOfFolder } from '../ledger/names.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import { compareRunIds, isRunId } from '../ledger/run-id.ts';
import type { ManifestSummary } from '../ledger/manifest.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';

/** What is kept of a manifest. Sizes in bytes. */
export interface CommittedRun {
  run: string;
  /** Undefined for a run that is none of a window. */
  window?: RunWindow;
  rows: number;
  objects: number;
  jsonBytes: number;
  bytes: number;
  finishedAt: string;
}

/** Manifests that were read before, by run id: they cannot change. */
export interface KnownRuns {
  get(run: string): CommittedRun | undefined;
  set(run: string, committed: CommittedRun): void;
  /** Keeps them for later processes, as far as that is possible. */
  save(): void;
}

/** Manifests that are asked for at once. */
const READ_AT_ONCE = 8;

/** The committed runs of an archive that are there now, in the order of their ids. Throws FailureError. */
export async function committedRuns(store: Store, archive: string, known: KnownRuns): Promise<CommittedRun[]> {
  const runs: string[] = [];
  for await (const folder of store.listFolders(archivePrefix(archive))) {
    const run = runOfFolder(folder);
    if (run !== undefined && isRunId(run)) runs.push(run);
  }
  const found: CommittedRun[] = [];
  const waiting = runs.values();
  const look = async (): Promise<void> => {
    for (const run of waiting) {
      const committed = known.get(run) ?? (await readRun(store, archive, run));
      if (committed === undefined) continue;
      known.set(run, committed);
      found.push(committed);
    }
  };
  await Promise.all(Array.from({ length: READ_AT_ONCE }, look));
  known.save();
  return found.sort((a, b) => compareRunIds(a.run, b.run));
}

/** The same, by the destination of the config. */
export async function readCommitted(
  config: Config,
  archive: ArchiveConfig,
  known: KnownRuns,
  signal: AbortSignal,
): Promise<CommittedRun[]> {
  const store = openStore(destinationOf(config, archive), signal);
  try {
    return await committedRuns(store, archive.name, known);
  } finally {
    store.close();
  }
}

async function readRun(store: Store, archive: string, run: string): Promise<CommittedRun | undefined> {
  const manifest = await new RunFolder(store, archive, run).manifest();
  return manifest && summarize(manifest);
}

/** What is kept of a manifest. */
export function summarize(manifest: ManifestSummary): CommittedRun {
  const { run, window, rows, objects, jsonBytes, bytes, finishedAt } = manifest;
  return { run, ...(window && { window }), rows, objects: objects.length, jsonBytes, bytes, finishedAt };
}
