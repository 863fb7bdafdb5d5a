/** How the rehearsals of an archive stand, as the page, the events and `pgsluice status` show it. */
import type { RehearsalResult } from '../../ledger/rehearsals.ts';
import type { Pause } from '../../pace/pauses.ts';
import { differentOf, type RehearsalEntry, type RehearsalStanding } from '../rehearsals.ts';
import type { ShownFailure } from '../run-ending.ts';

/** Times in ISO 8601, sizes in bytes. */
export interface RehearsalState {
  /** Runs with rows; null before the first look. */
  runs: number | null;
  /** Of these, how many were rehearsed, and came back at the latest time. */
  rehearsed: number;
  /** The latest rehearsal, however it ended, and the latest one that a run came back by. */
  last: ShownResult | null;
  lastEqual: ShownResult | null;
  current: RehearsingRun | null;
  /** Runs that did not come back at the latest time: some of them, and how many there are. */
  different: ShownResult[];
  differentRuns: number;
  /** Why none could be made when it was the archive's turn, or why its runs could not be looked at; null when they could. */
  failure: (ShownFailure & { run: string }) | null;
}

export type ShownResult = Omit<RehearsalResult, 'code' | 'message'> & { message: string | null };

export interface RehearsingRun {
  run: string;
  rows: number;
  rowsDone: number;
  objects: number;
  objectsOfRun: number;
  percent: number;
  elapsedSeconds: number;
  /** Why the pace lets nothing begin now; null when it goes on. */
  pause: Pause | null;
}

const MOST_SHOWN = 20;

/** Null for an archive that is not rehearsed. */
export function describeRehearsals(
  standing: RehearsalStanding | undefined,
  entry: RehearsalEntry | undefined,
  now: Date,
): RehearsalState | null {
  if (standing === undefined) return null;
  const { findings, failure, unknown } = standing;
  const results = resultsOf(standing);
  const different = differentOf(standing);
  return {
    runs: findings?.runs.length ?? null,
    rehearsed: results.filter(({ status }) => status === 'equal').length,
    last: show(latest(findings?.results ?? [])),
    lastEqual: show(latest((findings?.results ?? []).filter(({ status }) => status === 'equal'))),
    current: entry === undefined ? null : describeEntry(entry, now),
    different: different.slice(0, MOST_SHOWN).map(shown),
    differentRuns: different.length,
    failure: failure ?? (unknown === undefined ? null : { ...unknown, run: '' }),
  };
}

/** Of the runs that are there still. */
export function resultsOf({ findings }: RehearsalStanding): RehearsalResult[] {
  const there = new Set(findings?.runs.map(({ run }) => run));
  return (findings?.results ?? []).filter(({ run }) => there.has(run));
}

export function latest(results: readonly RehearsalResult[]): RehearsalResult | undefined {
  return results.reduce<RehearsalResult | undefined>(
    (last, result) => (last === undefined || result.at > last.at ? result : last),
    undefined,
  );
}

function show(result: RehearsalResult | undefined): ShownResult | null {
  return result === undefined ? null : shown(result);
}

function shown({ code: _code, message, ...rest }: RehearsalResult): ShownResult {
  return { ...rest, message: message ?? null };
}

function describeEntry(
  { run, rows, rowsDone, objects, objectsOfRun, startedAt, pauses }: RehearsalEntry,
  now: Date,
): RehearsingRun {
  return {
    ...{ run, rows, rowsDone, objects, objectsOfRun },
    percent: rows === 0 ? 0 : Math.min(100, Math.round((rowsDone / rows) * 1000) / 10),
    elapsedSeconds: Math.round((now.getTime() - startedAt.getTime()) / 100) / 10,
    pause: pauses.current ?? null,
  };
}
