/** What a purge is asked to do, and how it ended. */
import type { Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { ArchiveConfig, Config, SourceConfig } from '../config/schema.ts';
import type { Pauses } from '../pace/pauses.ts';
import type { Totals } from '../ledger/purge.ts';

export type PurgeOption = NonNullable<ArchiveConfig['purge']>;

export interface PurgeRequest {
  archive: ArchiveConfig & { purge: PurgeOption };
  /** Undefined for the latest committed run. */
  run: string | undefined;
  /** Whether nobody has named the run, so that it must be as old as `purge.after`. */
  byAge: boolean;
  /** The database that rows are deleted from. */
  source: SourceConfig;
  /** Whether a run that was purged or restored before is purged anew. */
  again?: boolean;
  /** Whether rows are deleted; else it is only counted what would go. */
  execute: boolean;
  /** Asked once, when nothing stands against it and all is proved, before the first row goes. */
  confirm?: (what: PurgeQuestion) => Promise<boolean>;
}

/** What is asked before the first row goes. */
export interface PurgeQuestion {
  run: string;
  table: string;
  lines: number;
  /** There where it goes whole. */
  partition?: { name: string; then: 'drop' | 'detach' };
}

/** What a purge needs besides the request. */
export interface PurgeContext {
  config: Config;
  log: Log;
  /** Stops it after its batch; what is deleted stays so. */
  signal: AbortSignal;
  /** Of performance.now(): it stops then. Absent: after `purge.maxDuration`. */
  endsAtMs?: number;
  /** Whether it stops as soon as a run or a restore of the table is in progress, of whatever archive and host. */
  yieldsToRuns?: boolean;
  /** Does what takes long and needs no place among the archives: it waits for the pace. */
  aside?: <T>(work: () => Promise<T>) => Promise<T>;
  /** Gets the pauses that the pace makes. */
  onPauses?: (pauses: Pauses) => void;
  onProof?: (progress: { objects: number; objectsDone: number; bytes: number; bytesDone: number }) => void;
  onProgress?: (progress: PurgeProgress) => void;
  /** How long locks on partitions are waited for; for tests. */
  patience?: PartitionPatience;
}

/** How long a partition's locks are waited for, and how often that is tried. */
export interface PartitionPatience {
  /** Of a detach that holds nobody up. */
  detachMs: number;
  /** Of a detach that others wait behind. */
  shortMs: number;
  tries: number;
}

/** A batch that is over. */
export interface DoneBatch {
  rows: number;
  /** Of its JSON Lines. */
  bytes: number;
  ms: number;
}

/** Why a purge was broken off: it was asked to stop, its time was over, or a run of the table is in progress. */
export type StoppedBy = 'asked' | 'maxDuration' | 'run-in-progress';

/** What is done with a partition that goes whole, in this order. */
export type PartitionStep = 'comparing' | 'detaching' | 'comparing again' | 'dropping' | 'attaching again';

export interface PurgeProgress {
  /** What is done with a partition; absent where rows are deleted. */
  step?: PartitionStep;
  /** Lines of the run, and those gone through. */
  lines: number;
  linesDone: number;
  totals: Totals;
}

/**
 * `counted`: a dry run. `stopped`: broken off, by a signal, by maxDuration or by who was asked; the next one goes on.
 * `different`: the proof found a difference.
 */
export type PurgeStatus = 'purged' | 'counted' | 'stopped' | 'refused' | 'different' | 'failed';

/** What `purge --json` prints of one run. */
export interface PurgeResult {
  archive: string;
  /** Empty when no run was found. */
  run: string;
  status: PurgeStatus;
  /** Lines of the run. */
  lines: number;
  /** Lines by what became of them; of a dry run, `deleted` are those that would go. */
  totals: Totals;
  /** What of them the purges before this one had come to. */
  totalsBefore: Totals;
  /** Whether it went on with a purge that was broken off, or left lines that could not go then. */
  wentOn: boolean;
  /** Whether a further purge may delete some of what stayed. */
  mayGoOn: boolean;
  seconds: number;
  /** What stands against it, all at once; empty unless refused. */
  problems: Problem[];
  /** What the proof found. */
  differences: string[];
  warnings: string[];
  /** The advice for afterwards, when rows were deleted: rows of the table that are dead, and what makes their room usable again. */
  vacuum?: { deadRows: number; statement: string };
  /** Of a run whose partition goes whole: which one, and how it stands. */
  partition?: { name: string; state: 'attached' | 'half detached' | 'detached' | 'dropped' | 'gone' };
  stoppedBy?: StoppedBy;
  error?: Failure;
}

/** One thing that stands against a purge. */
export type Problem = Pick<Failure, 'code' | 'message' | 'hint'>;
