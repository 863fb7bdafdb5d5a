/** How a purge of the daemon ended: what its row of the history, its metrics and its alarms say. */
import { fail } from '../base/errors.ts';
import { countOf } from '../base/units.ts';
import type { Totals } from '../ledger/purge.ts';
import type { PurgeResult, PurgeStatus } from '../purge/request.ts';
import { showFailure, type ShownFailure } from './run-ending.ts';

/** One purge of one run. Times in ISO 8601. */
export interface PurgeEnding {
  archive: string;
  run: string;
  status: PurgeStatus;
  /** `ok`, why it was broken off, or the first code of what was in its way. */
  reason: string;
  startedAt: string;
  finishedAt: string;
  seconds: number;
  /** Lines of the run, and what became of them by now, over all its purges. */
  lines: number;
  totals: Totals;
  /** What of them this purge came to. */
  totalsHere: Totals;
  /** Whether a further purge may delete some of what stayed. */
  mayGoOn: boolean;
  /** All that stands against it, or why it failed. */
  problems: ShownFailure[];
}

/** Problems that are kept of one purge. */
const MOST_PROBLEMS = 50;

export function describePurge(result: PurgeResult, startedAt: Date): PurgeEnding {
  const { archive, run, status, seconds, lines, totals, mayGoOn, error } = result;
  const problems = [...result.problems.map(showProblem), ...(error === undefined ? [] : [showFailure(error)])];
  const [first] = problems;
  const different = { code: 'purge-archive-damaged', message: result.differences[0] ?? '', hint: DAMAGED_HINT };
  const shown = status === 'different' && first === undefined ? [different] : problems;
  return {
    archive,
    run,
    status,
    reason: shown[0]?.code ?? result.stoppedBy ?? 'ok',
    startedAt: startedAt.toISOString(),
    finishedAt: new Date().toISOString(),
    seconds,
    lines,
    totals,
    totalsHere: since(result.totalsBefore, totals),
    mayGoOn,
    problems: shown.slice(0, MOST_PROBLEMS),
  };
}

const DAMAGED_HINT =
  'Nothing was deleted from then on. See what `pgsluice verify` says of the objects; where they are lost, archive the window anew (pgsluice run ARCHIVE --from … --to … --again).';

function showProblem({ code, message, hint }: PurgeResult['problems'][number]): ShownFailure {
  return { code, message, hint };
}

/** What was locked before may be deleted now: no outcome has become less for a counter. */
function since(before: Totals, now: Totals): Totals {
  const entries = Object.entries(now) as [keyof Totals, number][];
  return Object.fromEntries(
    entries.map(([outcome, count]) => [outcome, Math.max(0, count - before[outcome])]),
  ) as Totals;
}

/** Rows of the run that were changed since it was archived; undefined when there were none, or that was known before. */
export function describeChanged({ totals, totalsHere }: PurgeEnding): ShownFailure | undefined {
  if (totalsHere.changed === 0) return undefined;
  const message = `${countOf(totals.changed, 'row was', 'rows were')} changed since ${totals.changed === 1 ? 'it was' : 'they were'} archived`;
  return showFailure(fail('purge-changed', { stage: 'purge', message }).failure);
}

/** Whether this ending says that something is wrong. */
export function isPurgeFault({ status, reason }: Pick<PurgeEnding, 'status' | 'reason'>): boolean {
  return ['refused', 'different', 'failed'].includes(status) && reason !== 'locked';
}
