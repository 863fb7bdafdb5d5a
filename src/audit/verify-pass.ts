/** A pass of standing verification: proves the runs of all archives whose last proof is too old, oldest first, within a budget of bytes. */
import { toFailure, type Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { archiveNamed, destinationOf, sourceOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config, VerifyAudit } from '../config/schema.ts';
import { archivePrefix, verifiedKey } from '../ledger/names.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import type { Pace } from '../pace/pace.ts';
import { withLock, type LockTarget } from '../run/lock.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import type { VerifyProgress } from '../verify/run.ts';
import { openKnownRuns } from '../windows/known-runs.ts';
import { auditPace } from './audit-pace.ts';
import {
  findRuns,
  inOrder,
  isDue,
  NEVER_AGAIN_MS,
  readProof,
  type AuditedRun,
  type AuditFindings,
  type KnownProofs,
} from './due.ts';
import { proveRun, type ProofOutcome } from './prove-run.ts';

/** A run that is due. */
export interface DueProof extends AuditedRun {
  archive: string;
}

export interface PassParts {
  /** The one in force: an archive that is taken out of it is not looked at any more. */
  config: () => Config;
  log: Log;
  signal: AbortSignal;
  memory: AuditMemory;
  /** When the run was found to differ, by the clock; undefined when it is not known to. */
  foundDifferentMs: (archive: string, run: string) => number | undefined;
  hooks: PassHooks;
}

/** Proofs that are known, by the folder of the archive. */
export type AuditMemory = Map<string, KnownProofs>;

/** What a pass reports; nothing of this may throw. */
export interface PassHooks {
  found: (archive: string, findings: AuditFindings) => void;
  /** What could not be found out or read. */
  failed: (archive: string, failure: Failure) => void;
  begin: (due: DueProof, pace: Pace) => void;
  progress: (progress: VerifyProgress) => void;
  end: (due: DueProof, outcome: ProofOutcome) => void;
}

/** What is open of an archive while a pass goes on. */
interface Open {
  archive: ArchiveConfig;
  store: Store;
  pace: Pace;
  proofs: KnownProofs;
}

/** Never throws. Resolves to how many bytes were read. */
export async function verifyPass(parts: PassParts, { everyMs, atMostBytes }: VerifyAudit): Promise<number> {
  const { config, log, signal, foundDifferentMs } = parts;
  const opened = new Map<string, Open>();
  const givenUp = new Set<string>();
  let bytes = 0;
  try {
    const due: DueProof[] = [];
    for (const name of Object.keys(config().archives)) {
      if (signal.aborted) return bytes;
      // While others were looked at, it may have been taken out of the config, and its destination with it.
      const archive = archiveNamed(config(), name);
      if (archive === undefined) continue;
      const open = openArchive(parts, archive);
      opened.set(archive.name, open);
      const found = await findIn(parts, open, everyMs);
      for (const run of found?.runs ?? [])
        if (isDue(run.provedMs, everyMs)) due.push({ ...run, archive: archive.name });
    }
    for (const next of inOrder(due, ({ archive, run }) => foundDifferentMs(archive, run))) {
      if (signal.aborted) break;
      const open = opened.get(next.archive);
      const isGone = archiveNamed(config(), next.archive) === undefined || givenUp.has(next.archive);
      if (open === undefined || isGone) continue;
      if (bytes > 0 && bytes + next.bytes > atMostBytes) {
        log.info(
          { bytes, atMostBytes },
          'what may be read at a time is read: the other runs are proved at the next slot',
        );
        break;
      }
      bytes += await proveNext(parts, open, next, everyMs, () => givenUp.add(next.archive));
    }
  } finally {
    for (const { store, pace } of opened.values()) {
      store.close();
      await pace.close();
    }
  }
  return bytes;
}

/** Proofs that are asked for at the same time where nobody waits for them: there may be a million runs. */
const LOOKED_AT_ONCE = 2;

/** Finds out how the proofs of all archives stand, and proves nothing. Never throws. */
export async function lookPass(parts: PassParts, { everyMs }: VerifyAudit): Promise<void> {
  const { config, signal } = parts;
  for (const name of Object.keys(config().archives)) {
    if (signal.aborted) return;
    const archive = archiveNamed(config(), name);
    if (archive === undefined) continue;
    const { store, pace, ...open } = openArchive(parts, archive);
    try {
      await findIn(parts, { ...open, store, pace }, everyMs, LOOKED_AT_ONCE);
    } finally {
      store.close();
      await pace.close();
    }
  }
}

function openArchive({ config, log, signal, memory }: PassParts, archive: ArchiveConfig): Open {
  const store = openStore(destinationOf(config(), archive), signal);
  const place = store.url + archivePrefix(archive.name);
  const proofs = memory.get(place) ?? new Map<string, number>();
  memory.set(place, proofs);
  return { archive, store, proofs, pace: auditPace(archive, log) };
}

/** Undefined where the destination cannot be read, which has been reported. */
async function findIn(
  { config, log, signal, hooks }: PassParts,
  { archive, store, proofs }: Open,
  everyMs: number,
  proofsAtOnce?: number,
): Promise<AuditFindings | undefined> {
  try {
    const known = { runs: openKnownRuns(config(), archive), proofs };
    const found = await findRuns(store, archive, known, {
      ...{ everyMs, log },
      ...(proofsAtOnce !== undefined && { proofsAtOnce }),
    });
    hooks.found(archive.name, found);
    return found;
  } catch (error) {
    if (!signal.aborted) hooks.failed(archive.name, toFailure(error, 'verify'));
    return undefined;
  }
}

/** `giveUp` leaves the other runs of the archive to the next slot. Resolves to how many bytes were read. */
async function proveNext(
  parts: PassParts,
  open: Open,
  due: DueProof,
  everyMs: number,
  giveUp: () => void,
): Promise<number> {
  let isLocked = false;
  const prove = (): Promise<number> => {
    isLocked = true;
    return proveUnlessProved(parts, open, due, everyMs);
  };
  try {
    return await withLock(lockOf(parts, open, due), prove).catch((error: unknown) => {
      if (isLocked) throw error;
      // Another host is at it. Without the database nobody can know, and it would be read twice, no more.
      return toFailure(error, 'lock').code === 'locked' ? 0 : prove();
    });
  } catch (error) {
    if (!parts.signal.aborted) {
      parts.hooks.failed(due.archive, { ...toFailure(error, 'verify'), archive: due.archive, run: due.run });
      giveUp();
    }
    return 0;
  }
}

/** Each run has a lock of its own, so that hosts with one config share the work. A run of the archive waits for none of them. */
function lockOf({ config }: PassParts, { archive, store }: Open, { run }: DueProof): LockTarget {
  const source = sourceOf(config(), archive);
  return { source, archive: archive.name, folderUrl: store.url + verifiedKey(archive.name, run) };
}

async function proveUnlessProved(
  { config, log, signal, hooks }: PassParts,
  { archive, store, pace, proofs }: Open,
  due: DueProof,
  everyMs: number,
): Promise<number> {
  signal.throwIfAborted();
  const provedMs = await readProof(new RunFolder(store, archive.name, due.run), log);
  if (provedMs !== undefined && !isDue(provedMs, everyMs)) {
    proofs.set(due.run, provedMs);
    return 0;
  }
  hooks.begin(due, pace);
  const parts = { config: config(), archive, store, pace, log, signal, onProgress: hooks.progress };
  const outcome = await proveRun(parts, due.run);
  if (outcome.status === 'proved') proofs.set(due.run, Date.parse(outcome.at));
  if (outcome.status === 'expired') proofs.set(due.run, NEVER_AGAIN_MS);
  hooks.end(due, outcome);
  return outcome.status === 'proved' || outcome.status === 'different' ? due.bytes : 0;
}
