/** Proves one run again: reads all its objects, and notes in its folder that they are what the manifest says. */
import { createHash } from 'node:crypto';
import os from 'node:os';
import { toFailure, type Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { TOOL } from '../base/tool.ts';
import { readableWindowBytes } from '../config/memory-sum.ts';
import { destinationOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { lostManifest } from '../ledger/lost-run.ts';
import { problemOfManifest } from '../ledger/manifest-problem.ts';
import { fullKey, manifestKey } from '../ledger/names.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import type { StoredManifest } from '../ledger/stored-manifest.ts';
import { VERIFIED_FORMAT } from '../ledger/verified.ts';
import type { Pace } from '../pace/pace.ts';
import type { Store } from '../store/store.ts';
import { findGone, type Gone } from '../verify/gone.ts';
import { verifyRun, type VerifiedObject, type Verification, type VerifyProgress } from '../verify/run.ts';
import { pacedStore } from './paced-store.ts';

/** A difference, by the object that has it; the line is there where it can be known, from 1. */
export interface Difference {
  key: string;
  line?: number;
  message: string;
}

/**
 * How a proof ended. `unreadable`: an object lies in a storage class that cannot be read at once, which is no difference; `expired`:
 * its data objects are gone, as they may be by now.
 */
export type ProofOutcome =
  | { status: 'proved'; at: string; bytes: number }
  | { status: 'different'; differences: Difference[]; more: number }
  | { status: 'expired' }
  | { status: 'unreadable'; failure: Failure };

export interface ProveParts {
  config: Config;
  archive: ArchiveConfig;
  store: Store;
  pace: Pace;
  log: Log;
  signal: AbortSignal;
  onProgress: (progress: VerifyProgress) => void;
}

/** Differences of a run that are kept with words. */
const MOST_DIFFERENCES = 50;

/** Throws FailureError when the destination fails, which is no difference, and the signal's reason when it aborts. */
export async function proveRun(parts: ProveParts, run: string): Promise<ProofOutcome> {
  const { config, archive, store, pace, signal } = parts;
  const folder = new RunFolder(store, archive.name, run);
  const digest = createHash('sha256');
  const manifest = await readManifest(folder, (piece) => {
    digest.update(piece);
  });
  if ('message' in manifest) return differentManifest(parts, run, manifest.message);
  const gone = await findGone(archive, folder, manifest);
  if (gone === 'all, as it may') return { status: 'expired' };
  const ratio = manifest.bytes === 0 ? 1 : manifest.jsonBytes / manifest.bytes;
  try {
    const verification = await verifyRun(new RunFolder(pacedStore(store, pace, ratio), archive.name, run), manifest, {
      keyPrefix: fullKey(destinationOf(config, archive), ''),
      sample: undefined,
      windowBytes: readableWindowBytes(config),
      objectLock: destinationOf(config, archive).objectLock,
      retry: archive.retry,
      signal,
      onProgress: parts.onProgress,
    });
    if (!verification.ok)
      return { status: 'different', ...(await describeDifferences(parts, run, verification, gone)) };
    const { objectsRead: objects, rows, bytes, warnings } = verification;
    if (warnings.length > 0)
      parts.log.warn({ archive: archive.name, run, warnings }, 'run is not held as it should be');
    const at = new Date().toISOString();
    const by = { host: os.hostname(), tool: TOOL };
    const sha256 = digest.digest('hex');
    await folder.noteVerified({
      format: VERIFIED_FORMAT,
      archive: archive.name,
      run,
      at,
      sha256,
      objects,
      rows,
      bytes,
      ...by,
    });
    return { status: 'proved', at, bytes };
  } catch (error) {
    const failure = toFailure(error, 'verify');
    if (failure.code !== 'object-archived') throw error;
    return { status: 'unreadable', failure };
  }
}

async function readManifest(
  folder: RunFolder,
  onPiece: (piece: Buffer) => void,
): Promise<StoredManifest | { message: string }> {
  try {
    const manifest = await folder.manifest(onPiece);
    return manifest ?? (await lostManifest(folder)) ?? { message: 'it is not there any more' };
  } catch (error) {
    const problem = problemOfManifest(error);
    if (problem !== undefined) return problem;
    throw error;
  }
}

function differentManifest({ config, archive }: ProveParts, run: string, message: string): ProofOutcome {
  const key = fullKey(destinationOf(config, archive), manifestKey(archive.name, run));
  return { status: 'different', differences: [{ key, message }], more: 0 };
}

async function describeDifferences(
  { config, archive }: ProveParts,
  run: string,
  { problems, objects }: Verification,
  gone: Gone | undefined,
): Promise<{ differences: Difference[]; more: number }> {
  const differences: Difference[] = [];
  let count = 0;
  const add = (key: string, { line, message }: VerifiedObject['problems'][number]): void => {
    count += 1;
    if (differences.length < MOST_DIFFERENCES)
      differences.push({ key, ...(line === undefined ? {} : { line }), message });
  };
  const manifest = fullKey(destinationOf(config, archive), manifestKey(archive.name, run));
  if (typeof gone === 'object') add(manifest, gone);
  for await (const { key, problems: own } of objects('different')) for (const problem of own) add(key, problem);
  for (const problem of problems) add(manifest, problem);
  return { differences, more: count - differences.length };
}
