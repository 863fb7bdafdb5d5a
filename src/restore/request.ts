/** What a restore is asked to do, and how it ended. */
import type { Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { ArchiveConfig, Config, SourceConfig } from '../config/schema.ts';
import type { ManifestHead } from '../ledger/manifest.ts';
import type { Pace } from '../pace/pace.ts';
import type { Place } from '../work/place.ts';
import type { ProgressListener } from '../work/progress.ts';
import type { ConflictRule } from '../segment/restore/task.ts';
import type { ScratchRequest } from './scratch.ts';

export interface RestoreRequest {
  archive: ArchiveConfig;
  /** Undefined for the latest committed run. */
  run: string | undefined;
  /** The database that is restored into. */
  source: SourceConfig;
  into: { schema: string; table: string };
  /** Whether the table is made from the manifest. */
  create: boolean;
  onConflict: ConflictRule;
  selfReferences: SelfReferenceRule;
  /** Only rows whose key is in this range, ends included; an end is the values of the key's columns as text. */
  keys: KeyBounds;
  /** Only the objects of these values, as `--partition` was given; absent for all. */
  partition?: PartitionRequest;
  /** Of one of several runs that come back one after the other; absent for one alone. */
  together?: TogetherRequest;
  /** Of a rehearsal: the table is made for it, and is dropped by whoever asked. It says itself how it ended. */
  scratch?: ScratchRequest;
}

/** Until the last one is back, the records of all stay: the same command, given again, would bring the first ones twice. */
export type TogetherRequest =
  { isLast: false } | { isLast: true; before: readonly Pick<ManifestHead, 'archive' | 'run' | 'finishedAt'>[] };

export interface PartitionRequest {
  wanted: readonly string[];
  /** Whether a run need not have them, as one of many windows. */
  mayLack: boolean;
}

/**
 * What is done about foreign keys of the table to itself, where its rows lie in several objects: refused; objects one after the
 * other, as the archive has them; or the keys dropped meanwhile, and added and validated at the end.
 */
export const SELF_REFERENCE_RULES = ['refuse', 'ordered', 'later'] as const;
export type SelfReferenceRule = (typeof SELF_REFERENCE_RULES)[number];

/** As the user wrote them; absent ends are open. */
export interface KeyBounds {
  from?: string;
  to?: string;
}

/** What a restore needs besides the request. */
export interface RestoreContext {
  config: Config;
  /** Of the config, as the place knows it. */
  generation: number;
  place: Place;
  log: Log;
  /** Stops the restore; what is committed stays. */
  signal: AbortSignal;
  /** How fast objects are read; absent: as fast as it goes. */
  pace?: Pick<Pace, 'turn' | 'grant' | 'pieceBytes' | 'pauses'>;
  onProgress?: ProgressListener;
}

/** What `restore --json` prints. Sizes in bytes. */
export interface RestoreResult {
  archive: string;
  /** Empty when no run was found. */
  run: string;
  into: string;
  /** `refused`: the preflight found what stands against it, and nothing was written. */
  status: 'restored' | 'refused' | 'failed';
  /** Rows that are in the table because of this restore, over all its tries. */
  rows: number;
  /** Rows that were there already. */
  skipped: number;
  /** Rows that the table holds at the end, in the range that was asked for; absent where it took too long to count them, and nothing asked for it. */
  counted?: number;
  /** Objects that are in the table. */
  objects: number;
  seconds: number;
  /** Largest heap of a worker thread that was seen. */
  peakHeapBytes: number;
  /** Largest resident set of the whole process so far. */
  peakRssBytes: number;
  /** Whether it went on with a restore that was broken off. */
  resumed: boolean;
  /** What the preflight found against it; empty unless refused. */
  problems: string[];
  warnings: string[];
  /** Statements for the foreign keys of the table that are dropped until the restore is done; absent where none are, as when it is. */
  dropped?: string[];
  error?: Failure;
}
