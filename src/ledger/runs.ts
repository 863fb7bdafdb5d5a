/** Reads from a destination which runs of an archive there are, and how each one stands. */
import type { Store } from '../store/store.ts';
import { countReceipts, readPlan, type JournalPlan } from './journal.ts';
import { archivePrefix, manifestKey, planKey, runOfFolder } from './names.ts';
import { readManifest, type Manifest } from './manifest.ts';
import { isRunId } from './run-id.ts';

/** A run as its objects tell it: committed with a manifest, or begun with a journal. */
export interface StoredRun {
  archive: string;
  run: string;
  /** Undefined when the run is not committed. */
  manifest: Manifest | undefined;
  /** Undefined when the run is committed, or was never planned. */
  journal: JournalPlan | undefined;
  /** Segments with a receipt. */
  receipts: number;
}

/** The daemon looks this far back for runs to take up. */
const MOST_RUNS_BACK = 100;

/** The run ids of an archive that have a folder, oldest first. */
async function listRunIds(store: Store, archive: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const folder of store.listFolders(archivePrefix(archive))) {
    const run = runOfFolder(folder);
    if (run !== undefined && isRunId(run)) ids.push(run);
  }
  return ids.sort();
}

/** The runs of an archive, oldest first. */
export async function* listRuns(store: Store, archive: string): AsyncGenerator<StoredRun, void, undefined> {
  for (const run of await listRunIds(store, archive)) yield await readRun(store, archive, run);
}

/** Run ids that were planned and not committed, oldest first, among the latest hundred. */
export async function findUnfinished(store: Store, archive: string): Promise<string[]> {
  const unfinished: string[] = [];
  for (const run of (await listRunIds(store, archive)).slice(-MOST_RUNS_BACK)) {
    if ((await store.head(manifestKey(archive, run))) !== undefined) continue;
    if ((await store.head(planKey(archive, run))) !== undefined) unfinished.push(run);
  }
  return unfinished;
}

/** The id of the latest run that is committed; undefined when there is none. */
export async function findLatestCommitted(store: Store, archive: string): Promise<string | undefined> {
  for (const run of (await listRunIds(store, archive)).reverse()) {
    if ((await store.head(manifestKey(archive, run))) !== undefined) return run;
  }
  return undefined;
}

async function readRun(store: Store, archive: string, run: string): Promise<StoredRun> {
  const manifest = await readManifest(store, archive, run);
  if (manifest !== undefined) return { archive, run, manifest, journal: undefined, receipts: manifest.objects.length };
  const journal = await readPlan(store, archive, run);
  return { archive, run, manifest, journal, receipts: await countReceipts(store, archive, run) };
}
