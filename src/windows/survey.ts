/** What the destination says of an archive's runs, for a calendar of them: by one listing of its keys, and what is known of manifests. */
import { FailureError } from '../base/errors.ts';
import { NEVER } from '../base/signals.ts';
import { sourceOf } from '../config/resolve.ts';
import type { Config } from '../config/schema.ts';
import { archivePrefix, manifestKey, planKey, purgeKey, runOfKey, verifiedKey } from '../ledger/names.ts';
import { rowsLeft } from '../ledger/purge.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import { compareRunIds, isRunId } from '../ledger/run-id.ts';
import { withConnection } from '../postgres/connect.ts';
import type { Store } from '../store/store.ts';
import {
  committedRuns,
  readEach,
  readManifests,
  type CommittedRun,
  type CommittedRuns,
  type KnownRuns,
} from './committed.ts';
import { lowerBound, missingWindows, MOST_WINDOWS } from './missing.ts';
import { hasLongGap, overviewOf, type ShownWindow, type SourceWord, type WindowRun } from './overview.ts';
import { openWindowSource, whyOpen, type WindowedArchive } from './window-source.ts';

/** Beyond so many objects, folders alone are listed: who was purged or has expired is not told then. */
const MOST_KEYS = 200_000;
/** Runs that are not committed, whose journals are asked how they ended. */
const MOST_UNFINISHED = 100;
/** The source is asked for so long. */
const ASK_SOURCE_MS = 10_000;

/** Records of purges that were read before, by run, with their ETags. */
export type KnownPurges = Map<string, { etag: string; left: number | undefined }>;

/** What of a run's folder a listing tells. */
interface Folder {
  isCommitted: boolean;
  isPlanned: boolean;
  purgeEtag: string | undefined;
  /** Data objects that are there. */
  objects: number;
  /** Whether it was proved once, as only a committed run is. */
  wasProved: boolean;
}

export interface Survey {
  runs: WindowRun[];
  committed: CommittedRuns;
}

/** Throws FailureError where the destination cannot be read. */
export async function survey(
  store: Store,
  archive: WindowedArchive,
  known: KnownRuns,
  purges: KnownPurges = new Map(),
): Promise<Survey> {
  const folders = await listFolders(store, archive.name);
  if (folders === undefined) {
    const committed = await committedRuns(store, archive.name, known);
    return { committed, runs: describeAll(archive, committed, new Map(), new Set()) };
  }
  const ids = [...folders.keys()].sort(compareRunIds);
  const withManifest = ids.filter((run) => folders.get(run)?.isCommitted === true);
  const committed = await readManifests(store, archive.name, withManifest, known);
  await readPurges(store, archive.name, folders, purges);
  const failed = await findFailed(store, archive.name, folders, ids);
  await lookAgain(store, archive.name, folders, ids);
  return { committed, runs: describeAll(archive, committed, folders, failed, purges) };
}

const NOTHING: Readonly<Folder> = {
  ...{ isCommitted: false, isPlanned: false, wasProved: false },
  ...{ purgeEtag: undefined, objects: 0 },
};

async function listFolders(store: Store, archive: string): Promise<Map<string, Folder> | undefined> {
  const folders = new Map<string, Folder>();
  let keys = 0;
  for await (const { key, etag } of store.list(archivePrefix(archive))) {
    keys += 1;
    if (keys > MOST_KEYS) return undefined;
    const run = runOfKey(archive, key);
    if (run === undefined || !isRunId(run)) continue;
    const folder = folders.get(run) ?? { ...NOTHING };
    if (key === manifestKey(archive, run)) folder.isCommitted = true;
    else if (key === planKey(archive, run)) folder.isPlanned = true;
    else if (key === purgeKey(archive, run)) folder.purgeEtag = etag;
    else if (key === verifiedKey(archive, run)) folder.wasProved = true;
    else if (/\/part-\d{5,6}\.[^/]+$/.test(key) && !key.endsWith('.json')) folder.objects += 1;
    folders.set(run, folder);
  }
  return folders;
}

async function readPurges(
  store: Store,
  archive: string,
  folders: ReadonlyMap<string, Folder>,
  purges: KnownPurges,
): Promise<void> {
  for (const run of purges.keys()) if (folders.get(run)?.purgeEtag === undefined) purges.delete(run);
  const changed = [...folders].filter(([run, { purgeEtag }]) => {
    const before = purges.get(run);
    return purgeEtag !== undefined && (before?.etag !== purgeEtag || before.etag === '');
  });
  await readEach(
    changed.map(([run]) => run),
    async (run) => {
      const record = await readPurge(new RunFolder(store, archive, run));
      if (record !== undefined) purges.set(run, record);
    },
  );
}

/** One that cannot be believed tells nothing. */
async function readPurge(folder: RunFolder): Promise<{ etag: string; left: number | undefined } | undefined> {
  try {
    const found = await folder.purge();
    if (found === undefined) return undefined;
    const { record, etag } = found;
    // A partition that was left is archived, as it was before.
    const isPurged = record.state === 'done' && record.partition?.state !== 'attached';
    return { etag, left: isPurged ? rowsLeft(record.totals) : undefined };
  } catch (error) {
    if (error instanceof FailureError && !error.failure.transient) return undefined;
    throw error;
  }
}

async function findFailed(
  store: Store,
  archive: string,
  folders: ReadonlyMap<string, Folder>,
  ids: readonly string[],
): Promise<Set<string>> {
  const failed = new Set<string>();
  const planned = ids.filter((run) => {
    const folder = folders.get(run);
    return folder?.isCommitted === false && folder.isPlanned;
  });
  await readEach(planned.slice(-MOST_UNFINISHED), async (run) => {
    try {
      const plan = await new RunFolder(store, archive, run).outline();
      if (plan?.ended?.failure !== undefined) failed.add(run);
    } catch (error) {
      if (!(error instanceof FailureError) || error.failure.transient) throw error;
      failed.add(run);
    }
  });
  return failed;
}

/** A listing takes a while: a run that seems to have lost its manifest may have been begun or committed since its begin. */
async function lookAgain(
  store: Store,
  archive: string,
  folders: ReadonlyMap<string, Folder>,
  ids: readonly string[],
): Promise<void> {
  const lost = ids.filter((run) => {
    const folder = folders.get(run);
    return folder?.isCommitted === false && !folder.isPlanned && folder.objects > 0;
  });
  await readEach(lost.slice(-MOST_UNFINISHED), async (run) => {
    const folder = new RunFolder(store, archive, run);
    const isThere = (await folder.isPlanned()) || (await folder.isCommitted());
    if (isThere) Object.assign(folders.get(run) ?? {}, { isPlanned: true });
  });
}

function describeAll(
  archive: WindowedArchive,
  { committed, damaged }: CommittedRuns,
  folders: ReadonlyMap<string, Folder>,
  failed: ReadonlySet<string>,
  purges: KnownPurges = new Map(),
): WindowRun[] {
  const runs = committed.map((run) => describeCommitted(archive, run, folders.get(run.run), purges.get(run.run)?.left));
  const told = new Set([...committed, ...damaged].map(({ run }) => run));
  for (const { run } of damaged) runs.push({ run, committed: undefined, isFailed: true, isDamaged: true });
  for (const [run, { purgeEtag, isPlanned, objects, wasProved }] of folders) {
    if (told.has(run)) continue;
    // What was purged had a manifest: nothing is made in its place. Data without a plan had one, too; that window is made anew.
    const isLost = !isPlanned && (objects > 0 || wasProved);
    runs.push({ run, committed: undefined, isFailed: failed.has(run), isDamaged: purgeEtag !== undefined || isLost });
  }
  return runs;
}

/** One without data objects, which it had, has expired when it is old enough for that; one that has lost some of them is damaged. */
function describeCommitted(
  { mayExpireAfterMs = Infinity }: WindowedArchive,
  { run, window, rows, objects, bytes, finishedAt }: CommittedRun,
  folder: Folder | undefined,
  left: number | undefined,
): WindowRun {
  const there = folder?.objects ?? objects;
  const mayBeGone = Date.now() - Date.parse(finishedAt) >= mayExpireAfterMs;
  return {
    run,
    committed: { from: window?.from, to: window?.to, rows, bytes, finishedAt },
    isFailed: false,
    isDamaged: there < objects && !(there === 0 && mayBeGone),
    isExpired: there === 0 && objects > 0 && mayBeGone,
    left,
  };
}

/** A calendar, and why the source was not asked for what it should have been. */
export interface Shown {
  windows: ShownWindow[];
  sourceError?: unknown;
}

/**
 * The windows as destination and source tell them. The source is asked for partitions, and where there is a long stretch without
 * runs, as only it knows whether that is empty. Where it does not answer, what has no run is missing.
 */
export async function showWindows(
  config: Config,
  archive: WindowedArchive,
  { runs, committed }: Survey,
  signal: AbortSignal = NEVER,
): Promise<Shown> {
  const now = new Date();
  const windows = overviewOf(archive, runs, now);
  if (archive.window.every !== 'partition' && !hasLongGap(windows)) return { windows };
  try {
    return { windows: overviewOf(archive, runs, now, await askSource(config, archive, committed, signal)) };
  } catch (sourceError) {
    return { windows, sourceError };
  }
}

async function askSource(
  config: Config,
  archive: WindowedArchive,
  committed: CommittedRuns,
  signal: AbortSignal,
): Promise<SourceWord> {
  const target = { url: sourceOf(config, archive).url, applicationName: `pgsluice windows ${archive.name}` };
  const limit = AbortSignal.any([signal, AbortSignal.timeout(ASK_SOURCE_MS)]);
  const ask = async (client: Parameters<typeof openWindowSource>[0]): Promise<SourceWord> => {
    const source = await openWindowSource(client, archive);
    const missing = new Set<number>();
    let knownMs = Infinity;
    for await (const { stretch } of missingWindows({ archive, source, ...committed })) {
      missing.add(stretch.fromMs);
      if (missing.size < MOST_WINDOWS) continue;
      knownMs = stretch.toMs;
      break;
    }
    const lowerMs = lowerBound(source.calendar, archive);
    return {
      ...(source.partitions === undefined ? {} : { stretches: source.partitions }),
      isEmpty: (stretch) =>
        !missing.has(stretch.fromMs) &&
        stretch.fromMs < knownMs &&
        stretch.toMs > lowerMs &&
        whyOpen(source, stretch, archive.window.olderThanMs) === undefined,
    };
  };
  return withConnection(target, ask, limit);
}
