/** Aborts multipart uploads that dead runs of an archive left behind. Only ever called under the archive's lock. */
import type { Log } from '../base/log.ts';
import type { Store } from '../store/store.ts';
import { archivePrefix, runOfKey } from './names.ts';
import { unlessDenied, warnOnce } from './optional-rights.ts';
import { RunFolder } from './run-folder.ts';

/** What has no journal may be of a host that is about to write one; after a day nobody is. */
const ABANDONED_AFTER_MS = 24 * 3600 * 1000;

const RULE =
  'set a lifecycle rule AbortIncompleteMultipartUpload on the bucket, so that parts of killed runs are removed';
const UNFOUND = {
  unsupported: `this server cannot list unfinished uploads: ${RULE}`,
  forbidden: `unfinished uploads may not be listed (s3:ListBucketMultipartUploads): ${RULE}`,
};
const UNABORTED = `unfinished uploads may not be aborted: ${RULE}`;

type PendingUploads = ReturnType<Store['listUploads']>;

/** Asks for the archive's unfinished uploads, for {@link sweepUploads}. */
export function findUploads(store: Store, archive: string): PendingUploads {
  return store.listUploads(archivePrefix(archive));
}

/**
 * Finds and aborts the archive's unfinished uploads; resolves to how many there were. The lock is one server's, so that
 * another host may be at work all the same: only those of the run `ours`, whose plan is ours, of runs that are committed,
 * and of runs without a plan that are older than a day.
 */
export async function sweepUploads(
  store: Store,
  archive: string,
  log: Log,
  ours?: string,
  found: PendingUploads = findUploads(store, archive),
): Promise<number> {
  const pending = await found;
  if (typeof pending === 'string') {
    warnOnce(log, store, UNFOUND[pending]);
    return 0;
  }
  const dead = new Map<string, { isCommitted: boolean; isPlanned: boolean }>();
  let aborted = 0;
  for (const { key, uploadId, startedAt } of pending) {
    const run = runOfKey(archive, key);
    if (run === undefined) continue;
    if (run !== ours) {
      const state = dead.get(run) ?? (await stateOf(new RunFolder(store, archive, run)));
      dead.set(run, state);
      const isAbandoned = !state.isPlanned && Date.now() - startedAt.getTime() > ABANDONED_AFTER_MS;
      if (!state.isCommitted && !isAbandoned) continue;
    }
    if (!(await unlessDenied(log, store, UNABORTED, () => store.abortUpload(key, uploadId)))) break;
    log.warn({ key, uploadId }, 'aborted an unfinished upload of an earlier run');
    aborted += 1;
  }
  return aborted;
}

async function stateOf(folder: RunFolder): Promise<{ isCommitted: boolean; isPlanned: boolean }> {
  return { isCommitted: await folder.isCommitted(), isPlanned: await folder.isPlanned() };
}
