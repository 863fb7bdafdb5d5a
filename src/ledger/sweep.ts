/** Aborts multipart uploads that a dead run of this archive left behind. Only ever called under the archive's lock. */
import type { Log } from '../base/log.ts';
import type { Store } from '../store/store.ts';
import { archivePrefix } from './names.ts';

/** Destinations that were said to be unable to list uploads; said once a process. */
const reported = new Set<string>();

/** Finds and aborts the archive's unfinished uploads; resolves to how many there were. */
export async function sweepUploads(store: Store, archive: string, log: Log): Promise<number> {
  const pending = await store.listUploads(archivePrefix(archive));
  if (pending === 'unsupported') {
    reportOnce(store, log);
    return 0;
  }
  for (const { key, uploadId } of pending) {
    await store.abortUpload(key, uploadId);
    log.warn({ key, uploadId }, 'aborted an unfinished upload of an earlier run');
  }
  return pending.length;
}

function reportOnce(store: Store, log: Log): void {
  if (reported.has(store.url)) return;
  reported.add(store.url);
  log.warn(
    { destination: store.url },
    'this server cannot list unfinished uploads: set a lifecycle rule AbortIncompleteMultipartUpload on the bucket, so that parts of killed runs are removed',
  );
}
