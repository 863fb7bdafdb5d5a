/** The story of one run: lock, snapshot, plan or resume, dispatch, commit; again from the receipts when the session is lost. */
import { fail, FailureError, toFailure, type Failure } from '../base/errors.ts';
import type { FailureCode } from '../base/failures.ts';
import { retrying } from '../base/retry.ts';
import { linkSignals } from '../base/signals.ts';
import { formatCount } from '../base/units.ts';
import { endedAs } from '../ledger/journal.ts';
import { warnOfLongLine } from '../ledger/long-line.ts';
import { lostRun as purgedRun } from '../ledger/lost-run.ts';
import type { ManifestSummary } from '../ledger/manifest.ts';
import { isSameSnapshot } from '../postgres/snapshot.ts';
import type { SegmentTask } from '../segment/task.ts';
import { dispatchTasks } from '../work/dispatch.ts';
import { noteTrouble } from '../work/trouble-log.ts';
import type { Attempt, OwnedPlan } from './attempt.ts';
import { commitAsItStands, commitRun } from './commit.ts';
import { writeEmptySegments } from './empty-segments.ts';
import { disowned } from './journal-plan.ts';
import { warnOfHeldBytes } from './held-bytes.ts';
import { isPlanOf, lostRun, replacePlan } from './ownership.ts';
import { ReceiptWriter } from './receipt-writer.ts';
import { takeUp, wasJustBegun, type Committing } from './resume.ts';
import type { Run } from './run.ts';
import { segmentTask } from './segment-task.ts';
import type { Session } from './session.ts';
import { giveSigns, type SignOfLife } from './sign-of-life.ts';
import { SnapshotTerm } from './snapshot-term.ts';
import { verifySource } from './source-digest.ts';
import { withCondition } from './upload-condition.ts';

/** Failures that end a session, not the run. */
const SESSION_CODES: ReadonlySet<FailureCode> = new Set<FailureCode>([
  'session-lost',
  'snapshot-lost',
  // After a failover all may be on one server again.
  'several-servers',
  // A command that waits for the run's own lock: the run lets go, so that it passes.
  'lock-not-available',
  'relation-rewritten',
]);

/** How a run ended that did not fail. */
export interface Commit {
  status: 'committed' | 'already-committed';
  manifest: ManifestSummary;
}

/**
 * Runs until the manifest is written; `isNew` says that nothing lay in its folder a moment ago. Throws the failure that ended it;
 * then the run can be taken up again.
 */
export async function executeRun(run: Run, isNew = false): Promise<Commit> {
  try {
    return await executeUnderSessions(run, isNew);
  } catch (error) {
    return await endedElsewhere(run, error);
  }
}

async function executeUnderSessions(run: Run, isNew: boolean): Promise<Commit> {
  let isFirst = true;
  const open = async (): Promise<[Session, boolean]> => {
    const session = await (isFirst ? run.openSession() : openAgain(run));
    const isStillNew = isNew && isFirst && wasJustBegun(run);
    isFirst = false;
    return [session, isStillNew];
  };
  for (;;) {
    const commit = await executeUntilLetGo(run, open);
    if (commit !== undefined) return commit;
  }
}

/** Undefined when the snapshot was let go, and the run is not done. */
async function executeUntilLetGo(run: Run, open: () => Promise<[Session, boolean]>): Promise<Commit | undefined> {
  // As long as sessions bring the run forward, it is worth another one.
  const policy = { ...run.archive.retry, progress: () => run.progress.segmentsDone };
  let strays = 0;
  return retrying(
    policy,
    run.signal,
    async () => {
      await waitForTurn(run);
      return executeUnderOneSnapshot(run, ...(await open()));
    },
    (error, attempt, isLast) => {
      const failure = toFailure(error, 'worker');
      const { attempts } = policy;
      // A failover is over some time; an endpoint that spreads its connections goes on for ever, and a run may crawl on by luck.
      if (failure.code === 'several-servers') strays += 1;
      if (!endsSessionOnly(failure) || strays >= attempts) return false;
      if (!isLast) run.log.warn({ failure, attempt, attempts }, whatIsDone(failure));
      return true;
    },
  );
}

/** Neither a lock nor a snapshot is held meanwhile, and other archives can go on. */
async function waitForTurn(run: Run): Promise<void> {
  const either = linkSignals([run.signal, run.drain]);
  try {
    await run.aside(() => run.pace.turn(either.signal));
  } catch (error) {
    run.signal.throwIfAborted();
    if (run.drain.aborted)
      throw fail('drained', { stage: 'lock', message: 'the run was stopped while it waited to begin' });
    throw error;
  } finally {
    either.release();
  }
}

/** A destination that failed before, between or after the segments costs the session, but is not why it ended. */
function whatIsDone({ code }: Failure): string {
  return SESSION_CODES.has(code)
    ? 'session lost, the run goes on with a new one'
    : 'the run cannot go on for the moment, and is tried again under a new session';
}

/** A segment that failed has had its own attempts; what failed around the segments has not. */
function endsSessionOnly(failure: Failure): boolean {
  return SESSION_CODES.has(failure.code) || (failure.transient && failure.segment === undefined);
}

/** Whoever holds the lock that was ours goes on with the run, or is about to. */
async function openAgain(run: Run): Promise<Session> {
  try {
    return await run.openSession();
  } catch (error) {
    if (toFailure(error, 'lock').code !== 'locked') throw error;
    throw (await isStillOurs(run)) ? error : await lostRun(run.folder);
  }
}

async function isStillOurs(run: Run): Promise<boolean> {
  const found = await run.folder.owner();
  return found !== undefined && isPlanOf(run, found) && !(await run.folder.isCommitted());
}

async function executeUnderOneSnapshot(run: Run, session: Session, isNew: boolean): Promise<Commit | undefined> {
  run.progress.tookSnapshot(new Date(session.snapshot.takenAt));
  if (session.warning !== undefined) run.log.warn(session.warning);
  const cut = (): void => {
    session.cut();
  };
  run.signal.addEventListener('abort', cut, { once: true });
  try {
    // Only under the lock does it count: another host may have committed while this one was waiting for it. Of a new run, the
    // list that is made once its plan is ours tells.
    const committed = isNew ? undefined : await run.folder.manifest();
    if (committed !== undefined) return { status: 'already-committed', manifest: committed };
    if (!isNew && (await run.folder.hasPurge())) throw purgedRun(run.folder);
    const manifest = await goOn(run, session, isNew);
    return manifest && { status: 'committed', manifest };
  } catch (error) {
    run.signal.throwIfAborted();
    // The connection that held the snapshot knows why it is gone, and may hear of it later than the threads.
    if (toFailure(error, 'worker').code === 'snapshot-lost') await session.require();
    session.lost.throwIfAborted();
    throw error;
  } finally {
    run.signal.removeEventListener('abort', cut);
    await session.close();
    run.progress.letSnapshotGo();
  }
}

/** A run that somebody else has committed is committed: this process only was not the one who did it. */
async function endedElsewhere(run: Run, error: unknown): Promise<Commit> {
  const { code, message } = toFailure(error, 'worker');
  const manifest = code === 'already-committed' ? await run.folder.manifest() : undefined;
  if (manifest === undefined) throw error;
  run.log.warn({ why: message }, 'the run was committed by somebody else meanwhile');
  return { status: 'already-committed', manifest };
}

/** Undefined when the snapshot was let go before all segments were done. */
async function goOn(run: Run, session: Session, isNew: boolean): Promise<ManifestSummary | undefined> {
  const sinceMs = run.pace.clock.elapsed();
  const taken = await takeUp(run, session, isNew);
  const sign = giveSigns(run, taken);
  try {
    return await ('plan' in taken ? archiveRows(run, taken, sinceMs, sign) : finishCommit(run, session, taken));
  } finally {
    sign.stop();
  }
}

async function finishCommit(run: Run, session: Session, committing: Committing): Promise<ManifestSummary> {
  try {
    return await commitAsItStands(run, session, committing);
  } catch (error) {
    await recordEnding(run, session, committing, error);
    throw error;
  }
}

async function archiveRows(
  run: Run,
  attempt: Attempt,
  sinceMs: number,
  sign: SignOfLife,
): Promise<ManifestSummary | undefined> {
  const warnings = warnOfHeldBytes(attempt);
  for (const warning of [...attempt.plan.warnings, ...warnings]) run.log.warn(warning);
  try {
    if (!(await dispatch(run, attempt, sinceMs, sign))) return undefined;
    requireCounted(attempt);
    await writeEmptySegments(run, attempt);
    if (run.verifySource) await verifySource(run, attempt);
    await attempt.session.require();
    await requireSameRows(run, attempt);
    run.signal.throwIfAborted();
    if (warnings.length === 0) for (const warning of warnOfHeldBytes(attempt)) run.log.warn(warning);
    return await commitRun(run, attempt);
  } catch (error) {
    await recordEnding(run, attempt.session, attempt, error);
    throw error;
  }
}

/** Returns whether all segments are done; if not, the snapshot is to be let go. */
async function dispatch(run: Run, attempt: Attempt, sinceMs: number, sign: SignOfLife): Promise<boolean> {
  const { session, plan, done } = attempt;
  const { progress } = run;
  progress.begin(plan, done);
  // A task is far larger than a segment: it is made when its turn comes.
  const tasks = {
    length: plan.segments.length - done.size,
    *[Symbol.iterator](): Generator<SegmentTask, undefined> {
      for (const segment of plan.segments) if (!done.has(segment.index)) yield segmentTask(run, attempt, segment);
      return undefined;
    },
  };
  const writer = new ReceiptWriter(run.folder, attempt, {
    before: () => session.require(),
    onStored: (receipt) => {
      done.set(receipt.segment, receipt);
      for (const warning of warnOfLongLine(receipt)) run.log.warn(warning);
      sign.given();
      progress.finish(receipt.segment, receipt);
    },
  });
  const term = new SnapshotTerm(run, attempt, sinceMs);
  const dispatching = dispatchTasks(tasks, {
    place: run.place,
    log: run.log,
    retry: run.archive.retry,
    parallel: run.archive.segments.parallel,
    signal: AbortSignal.any([run.signal, session.lost, writer.failed]),
    drain: run.drain,
    leave: term.over,
    turn: (signal) => run.pace.turn(signal, { isPart: !plan.cut.survivesSnapshot }),
    grant: (bytes, signal) => run.pace.grant(bytes, signal),
    prepare: (task, number) => withCondition(run, attempt, task, number),
    onAttempt: (segment, number) => {
      term.begun();
      progress.attempt(segment, number);
    },
    onFailed: (segment, failure, isLast) => {
      progress.fail(segment, failure, isLast);
    },
    onProgress: (segment, at) => {
      progress.update(segment, at);
    },
    onTrouble: (segment, trouble) => {
      noteTrouble(run.log, progress, trouble, segment);
    },
    endsRetries: (failure) => SESSION_CODES.has(failure.code),
    onFinished: ({ segment }, facts) =>
      writer.record({ ...facts, segment, fingerprint: attempt.journal.fingerprint, snapshot: session.snapshot }),
  });
  const { isLeft, leftFailure, peakHeapBytes } = await recordAll(writer, dispatching).finally(() => {
    term.close();
  });
  progress.sawHeap(peakHeapBytes);
  // It would have been tried again under this snapshot; now that counts as a try of the run.
  if (leftFailure !== undefined) throw new FailureError(withoutSegment(leftFailure));
  return isLeft !== true;
}

/** However the dispatch ends, what is done by then gets its receipts; its own failure is the one to throw. */
async function recordAll<T>(writer: ReceiptWriter, dispatching: Promise<T>): Promise<T> {
  try {
    const summary = await dispatching;
    await writer.finish();
    return summary;
  } catch (error) {
    await writer.finish().catch(() => undefined);
    throw error;
  }
}

function withoutSegment({ segment: _segment, ...failure }: Failure): Failure {
  return failure;
}

/** What was counted while the run was planned is what was read, where all of it was read under that snapshot. */
function requireCounted({ session, plan, done }: Attempt): void {
  const counted = plan.cut.countedRows?.();
  if (counted === undefined) return;
  let read = 0;
  for (const { snapshot, rows } of done.values()) {
    if (!isSameSnapshot(snapshot, session.snapshot)) return;
    read += rows;
  }
  if (read === counted) return;
  throw fail(
    { code: 'row-count-mismatch', transient: false },
    {
      stage: 'read',
      message: `${plan.subject.name} has ${formatCount(counted)} rows by its values, and ${formatCount(read)} came; the run is not committed`,
      hint: 'A filter or a query that gives other rows each time, by now() or random(), cannot be laid out by value: use :slot, or leave partitionBy out.',
    },
  );
}

/** What was attached to a table in mid-run belongs to some segments and not to others: then all are done again. */
async function requireSameRows(run: Run, attempt: Attempt): Promise<void> {
  try {
    await attempt.session.view.requireNotRewritten();
  } catch (error) {
    if (toFailure(error, 'snapshot').code === 'relation-rewritten')
      await replacePlan(run.folder, attempt, disowned(attempt.journal));
    throw error;
  }
}

/** Failures of which the run itself knows nothing: it is not ours any more. */
const NOT_OURS: ReadonlySet<FailureCode> = new Set<FailureCode>(['already-committed', 'taken-over']);
/** How a run was ended from outside. One that was interrupted by hand is as one that was killed. */
const FROM_OUTSIDE: Partial<Record<FailureCode, 'cancelled' | 'drained' | 'killed'>> = {
  cancelled: 'cancelled',
  stopped: 'drained',
  drained: 'drained',
  interrupted: 'killed',
};
/** A run that is stopped waits no longer than this for a destination that may hang; one that failed has more time. */
const LAST_WORD_MS = { stopped: 2000, failed: 10_000 };

/**
 * Says in the plan how the try ended, so that `list` and other hosts can tell a run that failed from one in progress. One
 * that goes on under another session has not ended.
 */
async function recordEnding(run: Run, session: Session, owned: OwnedPlan, error: unknown): Promise<void> {
  const failure = toFailure(run.signal.aborted ? run.signal.reason : error, 'worker');
  const outside = FROM_OUTSIDE[failure.code];
  if (NOT_OURS.has(failure.code) || outside === 'killed') return;
  if (outside === undefined && (run.signal.aborted || session.lost.aborted)) return;
  const journal = endedAs(owned.journal, outside ?? 'failed', outside === undefined ? failure : undefined);
  // The destination may be what failed; the log has the failure in any case.
  const limitMs = run.signal.aborted ? LAST_WORD_MS.stopped : LAST_WORD_MS.failed;
  await replacePlan(run.folder.under(AbortSignal.timeout(limitMs)), owned, journal).catch(() => undefined);
}
