/** How a run of the daemon ended: what its one line of the log, its one metric and its one row of the history say. */
import type { Failure } from '../base/errors.ts';
import type { FailureCode } from '../base/failures.ts';
import type { RunProgress } from '../work/progress.ts';
import type { RunResult } from '../run/run-archive.ts';

/** What started a run. */
export type Trigger = 'schedule' | 'catch-up' | 'taken up' | 'by hand';

/** Why a run was not begun, or not by this process. */
export type SkipReason =
  'busy' | 'paused' | 'locked' | 'stopping' | 'cancelled' | 'not in the config' | 'rescheduled' | 'not caught up';

/** A failure as the page and the history show it. */
export interface ShownFailure {
  code: string;
  message: string;
  hint: string;
}

/** A segment that did not go well the first time. */
export interface SegmentTrouble {
  index: number;
  attempts: number;
  error: ShownFailure | null;
}

/** One attempt of a run. Sizes in bytes, times in ISO 8601. */
export interface RunEnding {
  archive: string;
  run: string;
  status: 'committed' | 'failed' | 'skipped';
  startedAt: string;
  finishedAt: string;
  seconds: number;
  /** Of these, how long the archive's pace held it up. */
  pausedSeconds: number;
  rows: number;
  objects: number;
  jsonBytes: number;
  bytes: number;
  retries: number;
  resumed: boolean;
  peakHeapBytes: number;
  peakRssBytes: number;
  /** `ok`, `already-committed`, the code of a failure, or why it was skipped. */
  reason: string;
  error: ShownFailure | null;
  trigger: Trigger;
  /** The other host: that had begun the run, or that has it, or that has ended it. Null where there is none. */
  otherHost: string | null;
  troubles: SegmentTrouble[];
}

/** Codes of runs that were ended from outside: that is no fault, and no reason for an alarm. */
const ENDED_FROM_OUTSIDE: ReadonlySet<string> = new Set<FailureCode>([
  'stopped',
  'drained',
  'cancelled',
  'interrupted',
]);
const MOST_TROUBLES = 100;

/** Whether this ending says that something is wrong. */
export function isFault({ status, reason }: Pick<RunEnding, 'status' | 'reason'>): boolean {
  return status === 'failed' && !ENDED_FROM_OUTSIDE.has(reason);
}

/** The ending of a run that ran. */
export function describeEnding(
  result: RunResult,
  trigger: Trigger,
  startedAt: Date,
  progress: RunProgress | undefined,
): RunEnding {
  const { archive, run, rows, objects, jsonBytes, bytes, seconds, resumed, peakHeapBytes, peakRssBytes } = result;
  const figures = { rows, objects, jsonBytes, bytes, seconds, resumed, peakHeapBytes, peakRssBytes };
  return {
    archive,
    run,
    ...statusOf(result),
    startedAt: startedAt.toISOString(),
    finishedAt: new Date().toISOString(),
    ...figures,
    pausedSeconds: result.pausedSeconds ?? 0,
    retries: progress?.counts.retries ?? 0,
    error: result.error === undefined || isEndedElsewhere(result.error) ? null : showFailure(result.error),
    trigger,
    otherHost: result.error?.host ?? result.takenUpFrom ?? null,
    troubles: troublesOf(progress),
  };
}

/** The ending of a run that was not begun. */
export function describeSkip(archive: string, run: string, trigger: Trigger, reason: SkipReason): RunEnding {
  const now = new Date().toISOString();
  const nothing = {
    rows: 0,
    objects: 0,
    jsonBytes: 0,
    bytes: 0,
    seconds: 0,
    pausedSeconds: 0,
    retries: 0,
    resumed: false,
  };
  return {
    archive,
    run,
    status: 'skipped',
    startedAt: now,
    finishedAt: now,
    ...nothing,
    peakHeapBytes: 0,
    peakRssBytes: 0,
    reason,
    error: null,
    trigger,
    otherHost: null,
    troubles: [],
  };
}

export function showFailure({ code, message, hint }: Failure): ShownFailure {
  return { code, message, hint };
}

function statusOf({ status, error }: RunResult): Pick<RunEnding, 'status' | 'reason'> {
  if (status === 'committed') return { status, reason: 'ok' };
  if (status === 'already-committed') return { status: 'committed', reason: status };
  if (error !== undefined && isEndedElsewhere(error))
    return {
      status: 'skipped',
      reason: `${error.code === 'cancelled-elsewhere' ? 'cancelled' : 'failed'} on ${error.host ?? ''}`,
    };
  return { status: isElsewhere(error?.code) ? 'skipped' : 'failed', reason: error?.code ?? 'internal' };
}

/** Whether another process has the run, or the lock of its archive, and reports how it ends. */
export function isElsewhere(reason: string | undefined): boolean {
  return reason === 'locked' || reason === 'taken-over';
}

/** Whether the reason is that somebody cancelled the run, on this host or on another one. */
export function isCancelled(reason: string): boolean {
  return reason === 'cancelled' || reason.startsWith('cancelled on ');
}

/** The reason without the name of a host. */
export function kindOfReason(reason: string): string {
  return reason.replace(/ on .*/s, ' elsewhere');
}

function isEndedElsewhere({ code }: Failure): boolean {
  return code === 'cancelled-elsewhere' || code === 'failed-elsewhere';
}

function troublesOf(progress: RunProgress | undefined): SegmentTrouble[] {
  return [...(progress?.segments.troubled().take(MOST_TROUBLES) ?? [])].map(({ index, attempts, failure }) => ({
    index,
    attempts,
    error: failure === undefined ? null : showFailure(failure),
  }));
}
