/**
 * What the destination holds of an archive: its latest committed run, and at the start of the daemon the runs that a
 * stopped or killed process left unfinished. Their uploads are aborted, and journals that outlived a commit are
 * removed.
 */
import { toFailure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { destinationOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { readHead } from '../ledger/chain.ts';
import { JOURNAL_STAYS, unlessDenied } from '../ledger/optional-rights.ts';
import type { RunFolder } from '../ledger/run-folder.ts';
import { formatRunId } from '../ledger/run-id.ts';
import { findBrokenOff, findLatestCommitted } from '../ledger/runs.ts';
import type { ManifestSummary } from '../ledger/manifest.ts';
import { withLock } from '../run/lock.ts';
import { lockTargetOf } from '../run/run.ts';
import { sweepUploads } from '../ledger/sweep.ts';
import { openStore } from '../store/open.ts';
import { MOST_AHEAD_MS } from './slots/standings.ts';
import type { Store } from '../store/store.ts';
import { chooseOwnRuns, type KnownRuns } from './own-runs.ts';

/** What was found; nothing where it could not be looked at. */
export interface Leftovers {
  latest: ManifestSummary | undefined;
  /** Run ids that were begun and not committed, and that are ours, oldest first. */
  unfinished: string[];
  /** Uploads that were found and aborted. */
  abortedUploads: number;
  /** The digest that the head of the archive's chain names; undefined without one. */
  headSha256?: string | undefined;
}

/**
 * Looks for what an earlier process left. When no run is unfinished, unfinished uploads are swept now; else the run
 * that is taken up does it. Never throws: what could not be looked at is logged.
 */
export async function findLeftovers(
  config: Config,
  archive: ArchiveConfig,
  known: KnownRuns,
  log: Log,
  signal: AbortSignal,
): Promise<Leftovers> {
  const found: Leftovers = { latest: undefined, unfinished: [], abortedUploads: 0 };
  const store = openStore(destinationOf(config, archive), signal);
  try {
    found.latest = await readLatest(store, archive.name);
    // One that cannot be believed is for the next run to say.
    found.headSha256 = (await readHead(store, archive.name).catch(() => undefined))?.head.sha256;
    const { unfinished, withJournal } = await findBrokenOff(store, archive.name);
    found.unfinished = await chooseOwnRuns(known, store, archive, unfinished, log);
    for (const folder of withJournal) await clearLeftJournal(folder, log);
    if (found.unfinished.length === 0) found.abortedUploads = await sweepUnderLock(config, archive, store, log);
  } catch (error) {
    const failure = toFailure(error, 'lock');
    if (failure.code === 'locked')
      log.info({ archive: archive.name }, 'nothing is taken up: a run of the archive is in progress elsewhere');
    else if (!signal.aborted)
      log.warn(
        { archive: archive.name, failure },
        'unfinished runs and uploads could not be looked for; the next run does that',
      );
  } finally {
    store.close();
  }
  return found;
}

/** Its process was killed, or its destination lost, between manifest and removal. A manifest that cannot be read keeps its journal. */
async function clearLeftJournal(folder: RunFolder, log: Log): Promise<void> {
  const { archive, run, store } = folder;
  try {
    if ((await folder.manifest()) === undefined) return;
  } catch {
    return;
  }
  if (await unlessDenied(log, store, JOURNAL_STAYS, () => folder.clearJournal()))
    log.info({ archive, run }, 'removed the journal that was left of a committed run');
}

/** The manifest of the latest committed run; undefined when there is none, or the destination cannot be asked. */
export async function findLatest(
  config: Config,
  archive: ArchiveConfig,
  signal: AbortSignal,
): Promise<ManifestSummary | undefined> {
  const store = openStore(destinationOf(config, archive), signal);
  try {
    return await readLatest(store, archive.name);
  } catch {
    return undefined;
  } finally {
    store.close();
  }
}

async function readLatest(store: Store, archive: string): Promise<ManifestSummary | undefined> {
  // What lies in the future settles nothing, and must not hide what does.
  const notAfter = formatRunId(new Date(Date.now() + MOST_AHEAD_MS));
  return (await findLatestCommitted(store, archive, notAfter))?.manifest();
}

/** Under the archive's lock, so that what another host is uploading right now is left alone. */
async function sweepUnderLock(config: Config, archive: ArchiveConfig, store: Store, log: Log): Promise<number> {
  return withLock(lockTargetOf(config, archive, store), () => sweepUploads(store, archive.name, log));
}
