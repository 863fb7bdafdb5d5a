/** Purges the runs of an archive of windows that are due, oldest first, until all are gone through or it is asked to stop. */
import { toFailure, type Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Config } from '../config/schema.ts';
import type { Pauses } from '../pace/pauses.ts';
import type { KnownRuns } from '../windows/committed.ts';
import {
  findDuePurges,
  purgeSourceOf,
  type DonePurges,
  type DuePurges,
  type DueRun,
  type PurgedArchive,
} from './due.ts';
import { purgeRun } from './purge-run.ts';
import type { PurgeProgress, PurgeResult, StoppedBy } from './request.ts';

export interface PassOptions {
  config: Config;
  log: Log;
  /** Stops it after its batch. */
  signal: AbortSignal;
  known: KnownRuns;
  memory: PassMemory;
  aside?: <T>(work: () => Promise<T>) => Promise<T>;
}

/** What is remembered of an archive from pass to pass. */
export interface PassMemory {
  done: DonePurges;
  /** Runs whose objects were found to differ, and when, by performance.now(): to prove them costs a reading of all. */
  differentAtMs: Map<string, number>;
}

export interface PassHooks {
  found?: (due: DuePurges) => void;
  begin?: (run: DueRun) => void;
  proving?: (progress: { bytes: number; bytesDone: number }) => void;
  progress?: (progress: PurgeProgress) => void;
  pauses?: (pauses: Pauses) => void;
  end?: (result: PurgeResult) => void;
}

export interface PassEnding {
  /** Runs that are purged now. */
  purged: number;
  stoppedBy?: StoppedBy;
  /** Whether a partition is left that somebody was in the way of: he may be gone soon. */
  isBlocked?: boolean;
  /** Why it could not be found out what is due. */
  failure?: Failure;
}

/** After so many refusals or failures in a row with one cause, the next run would end like them. */
const MOST_ALIKE_IN_A_ROW = 3;
/** A run whose objects differ is not read again before. */
const DIFFERENT_FOR_MS = 3_600_000;

/** Never throws. `purge.maxDuration` holds for all of it together. */
export async function purgeDue(options: PassOptions, archive: PurgedArchive, hooks: PassHooks): Promise<PassEnding> {
  const { config, signal, known, memory } = options;
  const { maxDurationMs = Number.POSITIVE_INFINITY } = archive.purge;
  const endsAtMs = performance.now() + maxDurationMs;
  const log = options.log.child({ archive: archive.name });
  let purged = 0;
  try {
    const found = await findDuePurges(config, archive, known, memory.done, signal);
    hooks.found?.(found);
    const codes: string[] = [];
    let isBlocked = false;
    for (const due of inOrder(archive, found.due)) {
      if (signal.aborted) return { purged, stoppedBy: 'asked' };
      if (performance.now() - (memory.differentAtMs.get(due.run) ?? -Infinity) < DIFFERENT_FOR_MS) continue;
      hooks.begin?.(due);
      const result = await purgeOne(options, archive, due, endsAtMs, hooks);
      hooks.end?.(result);
      if (result.status === 'different') memory.differentAtMs.set(due.run, performance.now());
      if (result.status === 'purged') purged += 1;
      if (result.status === 'stopped') return { purged, stoppedBy: result.stoppedBy ?? 'asked' };
      // Whoever has the lock purges the others as well.
      if (result.error?.code === 'locked') return { purged, stoppedBy: 'run-in-progress' };
      isBlocked ||= [result.error, ...result.problems].some((problem) => problem?.code === 'partition-blocked');
      codes.push(codesOf(result));
      if (!areAlike(codes.slice(-MOST_ALIKE_IN_A_ROW))) continue;
      log.error(
        { codes: codes.at(-1) },
        `${MOST_ALIKE_IN_A_ROW} purges in a row have ended alike: the others are left to the next slot`,
      );
      break;
    }
    return { purged, isBlocked };
  } catch (error) {
    if (signal.aborted) return { purged, stoppedBy: 'asked' };
    const failure = { ...toFailure(error, 'purge'), archive: archive.name };
    log.error({ failure }, 'which runs are to be purged could not be found out');
    return { purged, failure };
  }
}

/** What was begun goes first, where partitions go: one that is half detached keeps all others from being detached. */
function inOrder({ purge }: PurgedArchive, due: readonly DueRun[]): readonly DueRun[] {
  if (purge.then === undefined) return due;
  return [...due.filter(({ isBegun }) => isBegun), ...due.filter(({ isBegun }) => !isBegun)];
}

async function purgeOne(
  { config, log, signal, aside }: PassOptions,
  archive: PurgedArchive,
  { run }: DueRun,
  endsAtMs: number,
  hooks: PassHooks,
): Promise<PurgeResult> {
  const source = purgeSourceOf(config, archive);
  const context = {
    ...{ config, log, signal, endsAtMs, yieldsToRuns: true },
    ...(aside && { aside }),
    onPauses: (pauses: Pauses) => hooks.pauses?.(pauses),
    onProof: (progress: { bytes: number; bytesDone: number }) => hooks.proving?.(progress),
    onProgress: (progress: PurgeProgress) => hooks.progress?.(progress),
  };
  return purgeRun(context, { archive, run, byAge: true, source, execute: true });
}

/** Why it did not go well; empty when it did. */
function codesOf({ status, problems, error }: PurgeResult): string {
  if (status === 'purged') return '';
  return [...new Set([status, error?.code, ...problems.map(({ code }) => code)])].sort().join(' ');
}

function areAlike(codes: readonly string[]): boolean {
  return codes.length === MOST_ALIKE_IN_A_ROW && codes[0] !== '' && codes.every((code) => code === codes[0]);
}
