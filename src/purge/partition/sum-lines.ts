/** What the lines of a run come to, from its objects as they are read again: of bytes that were compared with the manifest. */
import { FailureError } from '../../base/errors.ts';
import { retrying } from '../../base/retry.ts';
import { readableWindowBytes } from '../../config/memory-sum.ts';
import type { ManifestObject } from '../../ledger/manifest.ts';
import type { RunFolder } from '../../ledger/run-folder.ts';
import type { StoredManifest } from '../../ledger/stored-manifest.ts';
import { readProved } from '../proof.ts';
import type { PurgeContext, PurgeRequest } from '../request.ts';
import { addTo, SummingReader, type LineSums } from './digest.ts';

/** Of a run whose lines were checked before. Throws FailureError, `purge-archive-damaged` where an object is not what it was. */
export async function sumLines(
  context: PurgeContext,
  request: PurgeRequest,
  folder: RunFolder,
  manifest: StoredManifest,
): Promise<LineSums> {
  const sums: LineSums = { rows: 0, first: 0n, second: 0n };
  for await (const object of manifest.objects) addTo(sums, await sumObject(context, request, folder, manifest, object));
  return sums;
}

async function sumObject(
  { config, signal }: PurgeContext,
  { archive }: PurgeRequest,
  folder: RunFolder,
  { columns }: StoredManifest,
  object: ManifestObject,
): Promise<LineSums> {
  const toRead = {
    store: folder.store,
    key: folder.keyOf(object),
    object,
    columns,
    windowBytes: readableWindowBytes(config),
  };
  const read = async (): Promise<LineSums> => (await readProved(toRead, () => new SummingReader(), signal)).sums;
  return retrying(archive.retry, signal, read, (error) => error instanceof FailureError && error.failure.transient);
}
