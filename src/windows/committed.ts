/** Which windows of an archive have a committed run: by one listing, and by manifests that are read once and then known. */
import type { Failure } from '../base/errors.ts';
import type { RunWindow } from '../run/window.ts';
import { destinationOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { archivePrefix } from '../ledger/names.ts';
import { lostRun } from '../ledger/lost-run.ts';
import { problemOfManifest } from '../ledger/manifest-problem.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import { compareRunIds } from '../ledger/run-id.ts';
import { runIdOfFolder } from '../ledger/runs.ts';
import type { ManifestSummary } from '../ledger/manifest.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import { digestFilter } from './filter.ts';

/** What is kept of a manifest. Sizes in bytes. */
export interface CommittedRun {
  run: string;
  /** `schema.table`; undefined for a run of a query. */
  table?: string;
  /** Undefined for a run that is none of a window. */
  window?: RunWindow;
  /** Of a run that was made with `every: partition`. */
  partition?: NonNullable<ManifestSummary['partition']>;
  rows: number;
  objects: number;
  jsonBytes: number;
  bytes: number;
  finishedAt: string;
  /** The digest of what it was told to read; see filter.ts. */
  filter: string;
}

/** A committed run whose manifest cannot be believed. */
export interface DamagedRun {
  run: string;
  failure: Failure;
}

/** The committed runs of an archive, each in the order of their ids. */
export interface CommittedRuns {
  committed: readonly CommittedRun[];
  damaged: readonly DamagedRun[];
  /** Other runs that have a folder: begun and not committed, or without a manifest any more. */
  others?: readonly string[];
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

/** The committed runs of an archive that are there now. Throws FailureError where the destination cannot be read. */
export async function committedRuns(store: Store, archive: string, known: KnownRuns): Promise<CommittedRuns> {
  const runs: string[] = [];
  for await (const folder of store.listFolders(archivePrefix(archive))) {
    const run = runIdOfFolder(folder);
    if (run !== undefined) runs.push(run);
  }
  return readManifests(store, archive, runs, known);
}

/** Those of these runs that are committed. Throws FailureError where the destination cannot be read. */
export async function readManifests(
  store: Store,
  archive: string,
  runs: readonly string[],
  known: KnownRuns,
): Promise<CommittedRuns> {
  const committed: CommittedRun[] = [];
  const damaged: DamagedRun[] = [];
  const others: string[] = [];
  await readEach(runs, async (run) => {
    const found = known.get(run) ?? (await readRun(store, archive, run));
    if (found === undefined) {
      others.push(run);
      return;
    }
    if ('failure' in found) {
      damaged.push(found);
      return;
    }
    known.set(run, found);
    committed.push(found);
  });
  known.save();
  return { committed: committed.sort(byId), damaged: damaged.sort(byId), others: others.sort(compareRunIds) };
}

/** Reads something of each run, some at once. */
export async function readEach(
  runs: Iterable<string>,
  read: (run: string) => Promise<void>,
  atOnce = READ_AT_ONCE,
): Promise<void> {
  const waiting = runs[Symbol.iterator]();
  const look = async (): Promise<void> => {
    for (let next = waiting.next(); next.done !== true; next = waiting.next()) await read(next.value);
  };
  await Promise.all(Array.from({ length: atOnce }, look));
}

/** The same, by the destination of the config. */
export async function readCommitted(
  config: Config,
  archive: ArchiveConfig,
  known: KnownRuns,
  signal: AbortSignal,
): Promise<CommittedRuns> {
  const store = openStore(destinationOf(config, archive), signal);
  try {
    return await committedRuns(store, archive.name, known);
  } finally {
    store.close();
  }
}

async function readRun(store: Store, archive: string, run: string): Promise<CommittedRun | DamagedRun | undefined> {
  try {
    const folder = new RunFolder(store, archive, run);
    const manifest = await folder.manifest();
    if (manifest !== undefined) return summarize(manifest);
    return (await folder.hasPurge()) ? { run, failure: lostRun(folder).failure } : undefined;
  } catch (error) {
    const failure = problemOfManifest(error);
    if (failure === undefined) throw error;
    return { run, failure };
  }
}

function byId(a: { run: string }, b: { run: string }): number {
  return compareRunIds(a.run, b.run);
}

/** What is kept of a manifest. */
export function summarize(manifest: ManifestSummary): CommittedRun {
  const { run, table, window, partition, rows, objects, jsonBytes, bytes, finishedAt } = manifest;
  const filter = digestFilter(manifest);
  const place = { ...(table !== undefined && { table }), ...(window && { window }), ...(partition && { partition }) };
  return { run, ...place, rows, objects: objects.length, jsonBytes, bytes, finishedAt, filter };
}
