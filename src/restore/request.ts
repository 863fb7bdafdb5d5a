/** What a restore is asked to do, and how it ended. */
import type { Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { ArchiveConfig, Config, SourceConfig } from '../config/schema.ts';
import type { Place } from '../work/place.ts';
import type { ProgressListener } from '../work/progress.ts';
import type { ConflictRule } from '../segment/restore/task.ts';

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
  /** Only rows whose key is in this range, ends included; an end is the values of the key's columns as text. */
  keys: KeyBounds;
}

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
  /** Rows that the table holds, in the range that was asked for: counted at the end of a restore that was taken up, and of an UNLOGGED table. */
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
  error?: Failure;
}
