/** The story of one run: lock, snapshot, plan or resume, dispatch, commit; again from the receipts when the session is lost. */
import { toFailure, type Failure } from '../base/errors.ts';
import type { FailureCode } from '../base/failures.ts';
import { retrying } from '../base/retry.ts';
import { endedBy } from '../ledger/journal.ts';
import type { Manifest } from '../ledger/manifest.ts';
import { sweepUploads } from '../ledger/sweep.ts';
import { dispatchTasks } from '../work/dispatch.ts';
import type { Attempt } from './attempt.ts';
import { commitRun } from './commit.ts';
import { takeUp } from './resume.ts';
import type { Run } from './run.ts';
import { segmentTask } from './segment-task.ts';
import { verifySource } from './source-digest.ts';

/** Failures that end a session, not the run. */
const SESSION_CODES: ReadonlySet<FailureCode> = new Set<FailureCode>([
  'session-lost',
  'snapshot-lost',
  // A command that waits for the run's own lock: the run lets go, so that it passes.
  'lock-not-available',
  'relation-rewritten',
]);

/** How a run ended that did not fail. */
export interface Commit {
  status: 'committed' | 'already-committed';
  manifest: Manifest;
}

/** Runs until the manifest is written. Throws the failure that ended it; then the run can be taken up again. */
export async function executeRun(run: Run): Promise<Commit> {
  // As long as sessions bring the run forward, it is worth another one.
  const policy = { ...run.archive.retry, progress: () => run.progress.segmentsDone };
  return retrying(
    policy,
    run.signal,
    () => executeUnderOneSnapshot(run),
    (error, attempt, isLast) => {
      const failure = toFailure(error, 'worker');
      if (!endsSessionOnly(failure)) return false;
      const { attempts } = policy;
      if (!isLast) run.log.warn({ failure, attempt, attempts }, 'session lost, the run goes on with a new one');
      return true;
    },
  );
}

/** A segment that failed has had its own attempts; what failed around the segments has not. */
function endsSessionOnly(failure: Failure): boolean {
  return SESSION_CODES.has(failure.code) || (failure.transient && failure.segment === undefined);
}

async function executeUnderOneSnapshot(run: Run): Promise<Commit> {
  const session = await run.openSession();
  if (session.warning !== undefined) run.log.warn(session.warning);
  const cut = (): void => {
    session.cut();
  };
  run.signal.addEventListener('abort', cut, { once: true });
  try {
    // Only under the lock does it count: another host may have committed while this one was waiting for it.
    const committed = await run.folder.manifest();
    if (committed !== undefined) return { status: 'already-committed', manifest: committed };
    run.progress.swept(await sweepUploads(run.folder.store, run.archive.name, run.log));
    return { status: 'committed', manifest: await archiveRows(run, await takeUp(run, session)) };
  } catch (error) {
    run.signal.throwIfAborted();
    session.lost.throwIfAborted();
    throw error;
  } finally {
    run.signal.removeEventListener('abort', cut);
    await session.close();
  }
}

async function archiveRows(run: Run, attempt: Attempt): Promise<Manifest> {
  try {
    await dispatch(run, attempt);
    if (run.verifySource) await verifySource(run, attempt);
    await attempt.session.require();
    await requireSameRows(run, attempt);
    run.signal.throwIfAborted();
    return await commitRun(run, attempt);
  } catch (error) {
    await recordFailure(run, attempt, toFailure(error, 'worker'));
    throw error;
  }
}

async function dispatch(run: Run, attempt: Attempt): Promise<void> {
  const { session, plan, done } = attempt;
  const { progress } = run;
  progress.begin(plan, done, new Date(session.snapshot.takenAt));
  const open = plan.segments.filter(({ index }) => !done.has(index));
  const tasks = open.map((segment) => segmentTask(run, attempt, segment));
  const stopWatching = session.watch();
  const summary = await dispatchTasks(tasks, {
    place: run.place,
    log: run.log,
    retry: run.archive.retry,
    parallel: run.archive.segments.parallel,
    signal: AbortSignal.any([run.signal, session.lost]),
    drain: run.drain,
    onAttempt: (segment, number) => {
      progress.attempt(segment, number);
    },
    onFailed: (segment, failure, isLast) => {
      progress.fail(segment, failure, isLast);
    },
    onProgress: (segment, at) => {
      progress.update(segment, at);
    },
    endsRetries: (failure) => SESSION_CODES.has(failure.code),
    onFinished: async ({ segment }, facts) => {
      await session.require();
      const { fingerprint } = attempt.journal;
      done.set(segment, await run.folder.record({ ...facts, segment, fingerprint, snapshot: session.snapshot }));
      progress.finish(segment, facts);
    },
  }).finally(stopWatching);
  progress.sawHeap(summary.peakHeapBytes);
}

/** What was attached to a table in mid-run belongs to some segments and not to others: then all are done again. */
async function requireSameRows(run: Run, { session }: Attempt): Promise<void> {
  try {
    await session.view.requireNotRewritten();
  } catch (error) {
    if (toFailure(error, 'snapshot').code === 'relation-rewritten') await run.folder.clearJournal();
    throw error;
  }
}

/** Failures that say how a run was ended from outside, and nothing of the run. */
const NO_FAILURES: ReadonlySet<FailureCode> = new Set<FailureCode>(['drained', 'already-committed']);

/** So that `list` can tell a run that failed from one in progress. A run that was dropped, or that goes on, has not failed. */
async function recordFailure(run: Run, { session, journal }: Attempt, failure: Failure): Promise<void> {
  if (run.signal.aborted || session.lost.aborted || NO_FAILURES.has(failure.code)) return;
  try {
    await run.folder.own(endedBy(journal, failure));
  } catch {
    // The destination may be what failed; the log has the failure in any case.
  }
}
