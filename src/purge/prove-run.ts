/** Proves all objects of a run before the first row goes. */
import { readableWindowBytes } from '../config/memory-sum.ts';
import { destinationOf } from '../config/resolve.ts';
import { fullKey } from '../ledger/names.ts';
import type { RunFolder } from '../ledger/run-folder.ts';
import type { StoredManifest } from '../ledger/stored-manifest.ts';
import { verifyRun } from '../verify/run.ts';
import { Different } from './endings.ts';
import type { PurgeContext, PurgeRequest } from './request.ts';

/** More are not named: `verify` names them all. */
const MOST_DIFFERENCES = 1000;

/** Throws Different. */
export async function proveRun(
  { config, signal, onProof }: PurgeContext,
  { archive }: PurgeRequest,
  folder: RunFolder,
  manifest: StoredManifest,
): Promise<void> {
  const verification = await verifyRun(folder, manifest, {
    keyPrefix: fullKey(destinationOf(config, archive), ''),
    sample: undefined,
    windowBytes: readableWindowBytes(config),
    retry: archive.retry,
    signal,
    onProgress: (progress) => onProof?.(progress),
  });
  if (verification.ok) return;
  const differences = verification.problems.map(({ message }) => message);
  for await (const { key, problems } of verification.objects('different')) {
    differences.push(...problems.map(({ message }) => `${key}: ${message}`));
    if (differences.length > MOST_DIFFERENCES) break;
  }
  throw new Different(differences);
}
