/** The further runs of windows that are asked for by `--again`: of those that are not purged, as a run of what is left would be. */
import { toFailure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { isBadRecord } from '../ledger/purge.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import type { Store } from '../store/store.ts';
import { archivedWindows } from './count-late.ts';
import { nextGeneration, takenIds, type FoundWindow, type MissingInput } from './missing.ts';

/**
 * The next generation of each window in the range that has a run, oldest first. A window whose latest run was purged gets none, and is
 * named in the log; one whose purge is not done does, as that is the way out where the purge cannot go on. Throws FailureError.
 */
export async function* againWindows(
  input: MissingInput,
  store: Store,
  log: Log,
): AsyncGenerator<FoundWindow, void, undefined> {
  const { archive } = input;
  const taken = takenIds(input);
  for (const { stretch, runs } of archivedWindows(input)) {
    const run = runs.at(-1)?.run ?? '';
    if (await wasPurged(new RunFolder(store, archive.name, run))) {
      log.warn({ archive: archive.name, run }, 'the rows of a window were purged: it is not made again');
      continue;
    }
    yield { stretch, run: nextGeneration(stretch, taken.get(stretch.fromMs) ?? []) };
  }
}

/** What cannot be known counts as purged. */
async function wasPurged(folder: RunFolder): Promise<boolean> {
  try {
    const record = (await folder.purge())?.record;
    return record?.state === 'done' && record.partition?.state !== 'attached';
  } catch (error) {
    if (isBadRecord(toFailure(error, 'purge'))) return true;
    throw error;
  }
}
