/** How the proofs of an archive stand, as the page, the events and `pgsluice status` show it. */
import { isDue, NEVER_AGAIN_MS, type AuditedRun } from '../../audit/due.ts';
import type { Difference } from '../../audit/prove-run.ts';
import type { Pause } from '../../pace/pauses.ts';
import type { ProofEntry, ProofStanding } from '../audits.ts';
import type { ShownFailure } from '../run-ending.ts';

/** Times in ISO 8601 unless they say otherwise. */
export interface ProofState {
  /** Runs whose data is there; null before the first look. */
  runs: number | null;
  /** Those whose last proof is older than it may be, or that were never proved. */
  due: number;
  unproved: number;
  /** The run with the oldest proof; of one that was never proved, `at` is its commit. */
  oldest: { run: string; at: string; isProved: boolean } | null;
  /** The run that has waited longest for its first proof, since its commit. */
  oldestUnproved: { run: string; at: string } | null;
  /** The latest proof of any run that is there, whichever host has made it. */
  last: { run: string; at: string } | null;
  /** Runs by how they stand, for a picture: each is in one of these. */
  shares: { proved: number; old: number; unproved: number; different: number };
  current: ProvingRun | null;
  /** Runs that were found to differ, and were not proved good since: some of them, and how many there are. */
  different: { run: string; foundAt: string; seenAt: string; differences: Difference[]; more: number }[];
  differentRuns: number;
  /** Runs whose objects lie in a storage class that cannot be read at once. */
  unreadableRuns: number;
  /** Why runs could not be looked for or read; null when they could. */
  failure: ShownFailure | null;
}

export interface ProvingRun {
  run: string;
  percent: number;
  bytes: number;
  bytesDone: number;
  elapsedSeconds: number;
  /** Why the pace lets nothing begin now; null when it goes on. */
  pause: Pause | null;
}

const MOST_SHOWN = 20;
const MOST_DIFFERENCES_SHOWN = 5;

/** Null for an archive that the daemon does not verify. `everyMs` is how old a proof may be. */
export function describeProofs(
  standing: ProofStanding | undefined,
  entry: ProofEntry | undefined,
  everyMs: number,
  now: Date,
): ProofState | null {
  if (standing === undefined) return null;
  const { different, unreadable, failure } = standing;
  const runs = provable(standing);
  const oldest = oldestOf(runs);
  return {
    runs: standing.runs === undefined ? null : runs.length,
    due: runs.filter(({ provedMs }) => isDue(provedMs, everyMs)).length,
    unproved: runs.filter(isUnproved).length,
    oldest:
      oldest === undefined
        ? null
        : { run: oldest.run, at: new Date(provedOf(oldest)).toISOString(), isProved: oldest.provedMs !== undefined },
    oldestUnproved: atOf(oldestOf(runs.filter(isUnproved))),
    last: lastProof(standing),
    shares: sharesOf(standing, everyMs),
    current: entry === undefined ? null : describeEntry(entry, now),
    different: different.slice(0, MOST_SHOWN).map(({ run, foundAt, seenAt, differences, more }) => ({
      ...{ run, foundAt, seenAt, differences: differences.slice(0, MOST_DIFFERENCES_SHOWN) },
      more: more + Math.max(0, differences.length - MOST_DIFFERENCES_SHOWN),
    })),
    differentRuns: different.length,
    unreadableRuns: unreadable.size,
    failure: failure ?? null,
  };
}

/** Runs of which something is left to be proved. */
export function provable({ runs = [] }: Pick<ProofStanding, 'runs'>): readonly AuditedRun[] {
  return runs.filter(({ provedMs }) => provedMs !== NEVER_AGAIN_MS);
}

export function isUnproved({ provedMs }: AuditedRun): boolean {
  return provedMs === undefined;
}

/** The latest proof; null where none is known. */
export function lastProof({ runs, last }: ProofStanding): { run: string; at: string } | null {
  const proved = provable({ runs }).filter((run) => !isUnproved(run));
  const latest = proved.reduce<AuditedRun | undefined>(
    (most, run) => (most === undefined || provedOf(run) > provedOf(most) ? run : most),
    undefined,
  );
  // What was proved may have gone since.
  return atOf(latest) ?? last ?? null;
}

function sharesOf(standing: ProofStanding, everyMs: number): ProofState['shares'] {
  const different = new Set(standing.different.map(({ run }) => run));
  const others = provable(standing).filter(({ run }) => !different.has(run));
  const unproved = others.filter(isUnproved).length;
  const due = others.filter(({ provedMs }) => isDue(provedMs, everyMs)).length;
  return { proved: others.length - due, old: due - unproved, unproved, different: different.size };
}

function atOf(run: AuditedRun | undefined): { run: string; at: string } | null {
  return run === undefined ? null : { run: run.run, at: new Date(provedOf(run)).toISOString() };
}

/** When the run was proved last; before the first time, when it was committed. */
export function provedOf({ provedMs, committedMs }: AuditedRun): number {
  return provedMs ?? committedMs;
}

export function oldestOf(runs: readonly AuditedRun[]): AuditedRun | undefined {
  return runs.reduce<AuditedRun | undefined>(
    (least, run) => (least === undefined || provedOf(run) < provedOf(least) ? run : least),
    undefined,
  );
}

function describeEntry({ run, startedAt, progress: { bytes, bytesDone }, pauses }: ProofEntry, now: Date): ProvingRun {
  return {
    ...{ run, bytes, bytesDone },
    percent: bytes === 0 ? 0 : Math.min(100, Math.round((bytesDone / bytes) * 1000) / 10),
    elapsedSeconds: Math.round((now.getTime() - startedAt.getTime()) / 100) / 10,
    pause: pauses.current ?? null,
  };
}
