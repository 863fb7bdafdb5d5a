/** Which runs of an archive are to be proved again: by what their folders say of the last proof, and by what was found since. */
import { toFailure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import { lostManifest } from '../ledger/lost-run.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import { compareRunIds } from '../ledger/run-id.ts';
import type { Store } from '../store/store.ts';
import { committedRuns, readEach, type CommittedRun, type DamagedRun, type KnownRuns } from '../windows/committed.ts';

/** A committed run, and when it was proved. */
export interface AuditedRun {
  run: string;
  bytes: number;
  committedMs: number;
  /** Undefined when it was never proved; {@link NEVER_AGAIN_MS} when there is nothing left to be. */
  provedMs: number | undefined;
}

/** When runs were proved, as it was read of their folders: a later look can only have found a later proof. */
export type KnownProofs = Map<string, number>;

/** Of a run whose data has expired: nothing is left to be proved. */
export const NEVER_AGAIN_MS = Infinity;

/** What is known of an archive's runs. */
export interface AuditFindings {
  runs: AuditedRun[];
  /** Runs whose manifests cannot be believed, or are gone. */
  damaged: readonly DamagedRun[];
}

/** A proof that says it was made later than so long from now was made by nobody. */
const MOST_AHEAD_MS = 86_400_000;

export interface FindOptions {
  /** How old a proof may be. */
  everyMs: number;
  log: Log;
  /** Proofs that are asked for at the same time; absent: some. */
  proofsAtOnce?: number;
}

/** The committed runs of an archive. Of those alone that `known` does not say to be proved lately, the folder is asked. Throws FailureError. */
export async function findRuns(
  store: Store,
  { name }: Pick<ArchiveConfig, 'name'>,
  known: { runs: KnownRuns; proofs: KnownProofs },
  { everyMs, log, proofsAtOnce }: FindOptions,
): Promise<AuditFindings> {
  const { committed, damaged, others = [] } = await committedRuns(store, name, known.runs);
  const lost = await findLost(store, name, others);
  const byRun = new Map(committed.map((run) => [run.run, run]));
  for (const run of known.proofs.keys()) if (!byRun.has(run)) known.proofs.delete(run);
  const open = committed.filter(({ run }) => isDue(known.proofs.get(run), everyMs));
  await readEach(
    open.map(({ run }) => run),
    async (run) => {
      const provedMs = await readProof(new RunFolder(store, name, run), log);
      if (provedMs !== undefined) known.proofs.set(run, provedMs);
    },
    proofsAtOnce,
  );
  return { runs: committed.map((run) => describe(run, known.proofs)), damaged: [...damaged, ...lost] };
}

/** When the run was proved last; undefined when it never was, or nobody can know. Throws FailureError where the destination cannot be read. */
export async function readProof(folder: RunFolder, log: Log): Promise<number | undefined> {
  const { archive, run } = folder;
  try {
    const atMs = Date.parse((await folder.verified())?.at ?? '');
    return Number.isNaN(atMs) || atMs > Date.now() + MOST_AHEAD_MS ? undefined : atMs;
  } catch (error) {
    const failure = toFailure(error, 'verify');
    if (!TELL_OF_PROOF.has(failure.code)) throw error;
    log.warn({ archive, run, failure }, 'the proof of a run cannot be believed: it counts as never proved');
    return undefined;
  }
}

/** Whether a run that was proved then is to be proved again. */
export function isDue(provedMs: number | undefined, everyMs: number): boolean {
  return provedMs === undefined || provedMs + everyMs <= Date.now();
}

/**
 * Those with the oldest proof first; a run that was never proved counts from its commit on. `lookedAtMs` says of runs that
 * were found to differ when that was: they come again behind the others, so that they do not use up what is read each time.
 */
export function inOrder<T extends AuditedRun>(runs: readonly T[], lookedAtMs: (run: T) => number | undefined): T[] {
  const since = (run: T): number => Math.max(run.provedMs ?? run.committedMs, lookedAtMs(run) ?? 0);
  return runs.toSorted((a, b) => since(a) - since(b) || compareRunIds(a.run, b.run));
}

function describe({ run, bytes, finishedAt }: CommittedRun, proofs: KnownProofs): AuditedRun {
  return { run, bytes, committedMs: Date.parse(finishedAt), provedMs: proofs.get(run) };
}

/** Runs that were committed, by what is left of them, and have no manifest any more. */
async function findLost(store: Store, archive: string, others: readonly string[]): Promise<DamagedRun[]> {
  const lost: DamagedRun[] = [];
  await readEach(others, async (run) => {
    const failure = await lostManifest(new RunFolder(store, archive, run));
    if (failure !== undefined) lost.push({ run, failure });
  });
  return lost;
}

/** Failures that tell of the proof, and not of the way to it. */
const TELL_OF_PROOF: ReadonlySet<string> = new Set([
  'bad-proof',
  'newer-journal',
  'misplaced',
  'untrusted',
  'object-too-large',
]);
