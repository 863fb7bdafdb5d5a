/** The story of one run: lock, snapshot, plan or resume, dispatch, commit; again from the receipts when the session is lost. */
import { toFailure, type Failure } from '../base/errors.ts';
import type { FailureCode } from '../base/failures.ts';
import { maxRowBytes } from '../base/memory-budget.ts';
import { retrying } from '../base/retry.ts';
import { readerOf } from '../config/reader.ts';
import type { Config } from '../config/schema.ts';
import { chooseCompressor, CODEC_FILES } from '../format/compress/codec.ts';
import type { SegmentTask } from '../segment/task.ts';
import { commitRun } from './commit.ts';
import { dispatchTasks } from '../work/dispatch.ts';
import { endedBy } from '../ledger/journal.ts';
import type { Manifest } from '../ledger/manifest.ts';
import type { PlannedSegment } from '../ledger/segments.ts';
import { segmentSelect, type RunPlan } from './plan.ts';
import type { Place } from '../work/place.ts';
import type { RunProgress } from '../work/progress.ts';
import { takeUp, type Work } from './resume.ts';
import type { Run } from './run.ts';
import { openSession, type Session } from './session.ts';
import { sweepUploads } from '../ledger/sweep.ts';
import { verifySource } from './source-digest.ts';

export interface Execution {
  config: Config;
  generation: number;
  place: Place;
  progress: RunProgress;
  /** Aborts the run. */
  signal: AbortSignal;
  /** No segment is begun once this aborts; those that are on end. */
  drain: AbortSignal;
  /** Whether the archive is compared with its source before the commit. */
  verifySource: boolean;
}

/** Failures that end a session, not the run. */
export const SESSION_CODES: ReadonlySet<FailureCode> = new Set<FailureCode>([
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
export async function executeRun(run: Run, execution: Execution): Promise<Commit> {
  // As long as sessions bring the run forward, it is worth another one.
  const policy = { ...run.archive.retry, progress: () => execution.progress.segmentsDone };
  return retrying(
    policy,
    execution.signal,
    () => executeUnderOneSnapshot(run, execution),
    (error, attempt, isLast) => {
      const failure = toFailure(error, 'worker');
      if (!endsSessionOnly(failure)) return false;
      if (!isLast)
        run.log.warn({ failure, attempt, attempts: policy.attempts }, 'session lost, the run goes on with a new one');
      return true;
    },
  );
}

/** A segment that failed has had its own attempts; what failed around the segments has not. */
function endsSessionOnly(failure: Failure): boolean {
  return SESSION_CODES.has(failure.code) || (failure.transient && failure.segment === undefined);
}

async function executeUnderOneSnapshot(run: Run, execution: Execution): Promise<Commit> {
  const session = await openSession(run.lock, execution.signal);
  let work: Work | undefined;
  const cut = (): void => {
    session.cut();
  };
  execution.signal.addEventListener('abort', cut, { once: true });
  try {
    // Only under the lock does it count: another host may have committed while this one was waiting for it.
    const committed = await run.folder.manifest();
    if (committed !== undefined) return { status: 'already-committed', manifest: committed };
    execution.progress.swept(await sweepUploads(run.store, run.archive.name, run.log));
    work = await takeUp(run, session, execution.signal);
    await dispatch(run, execution, session, work);
    if (execution.verifySource) await verifySource(run, session, work);
    await session.require();
    await requireSameRows(run, session);
    execution.signal.throwIfAborted();
    return { status: 'committed', manifest: await commitRun(run, session, work) };
  } catch (error) {
    execution.signal.throwIfAborted();
    if (session.lost.aborted) throw session.lost.reason;
    if (work !== undefined) await recordFailure(run, work, error, execution.signal);
    throw error;
  } finally {
    execution.signal.removeEventListener('abort', cut);
    await session.close();
  }
}

/** What was attached to a table in mid-run belongs to some segments and not to others: then all are done again. */
async function requireSameRows(run: Run, session: Session): Promise<void> {
  try {
    await session.view.requireNotRewritten();
  } catch (error) {
    if (toFailure(error, 'snapshot').code === 'relation-rewritten') await run.folder.clearJournal();
    throw error;
  }
}

async function dispatch(run: Run, execution: Execution, session: Session, work: Work): Promise<void> {
  const { progress } = execution;
  progress.begin(work.plan, work.done, new Date(session.snapshot.takenAt));
  const open = work.plan.segments.filter(({ index }) => !work.done.has(index));
  const tasks = open.map((segment) => segmentTask(execution, run, session, work.plan, segment));
  const stopWatching = session.watch();
  const summary = await dispatchTasks(tasks, {
    place: execution.place,
    log: run.log,
    retry: run.archive.retry,
    parallel: run.archive.segments.parallel,
    signal: AbortSignal.any([execution.signal, session.lost]),
    drain: execution.drain,
    onAttempt: (segment, attempt) => {
      progress.attempt(segment, attempt);
    },
    onFailed: (segment, failure, isLast) => {
      progress.fail(segment, failure, isLast);
    },
    onProgress: (segment, at) => {
      progress.update(segment, at);
    },
    endsRetries: (failure) => SESSION_CODES.has(failure.code),
    onFinished: async (task, facts) => {
      await session.require();
      const receipt = {
        ...facts,
        segment: task.segment,
        fingerprint: work.journal.fingerprint,
        snapshot: session.snapshot,
      };
      work.done.set(task.segment, await run.folder.record(receipt));
      progress.finish(task.segment, facts);
    },
  }).finally(stopWatching);
  progress.sawHeap(summary.peakHeapBytes);
}

function segmentTask(
  execution: Execution,
  run: Run,
  session: Session,
  plan: RunPlan,
  segment: PlannedSegment,
): SegmentTask {
  const { archive, id } = run;
  const { subject } = plan;
  const reader = readerOf(archive);
  return {
    kind: 'archive-segment',
    archive: archive.name,
    run: id,
    segment: segment.index,
    attempt: 1,
    generation: execution.generation,
    source: archive.source,
    destination: archive.destination,
    snapshot: session.snapshot.id,
    read: reader,
    select: segmentSelect(plan, segment, reader),
    columns: subject.source.columns,
    subject: subject.name,
    keyColumns: keyColumnIndexes(plan),
    key: run.folder.dataKey(segment.index, CODEC_FILES[archive.compression.codec].extension),
    compression: archive.compression,
    compressor: chooseCompressor(archive.compression),
    ...(archive.contentEncoding === undefined ? {} : { contentEncoding: archive.contentEncoding }),
    ...(execution.verifySource ? { wantsLineDigest: true } : {}),
    maxRowBytes: maxRowBytes(execution.config.workers.maxOldGenerationSizeMb),
  };
}

/** Where the key's columns stand among those that are read; none when a part of the key is left out. */
function keyColumnIndexes({ subject }: RunPlan): number[] {
  const indexes = subject.key.map((name) => subject.source.columns.findIndex((column) => column.name === name));
  return indexes.includes(-1) ? [] : indexes;
}

/** So that `list` can tell a run that failed from one that is on. What ends a run from outside is no failure of it. */
async function recordFailure(run: Run, work: Work, error: unknown, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const failure = toFailure(error, 'worker');
  if (failure.code === 'drained' || failure.code === 'already-committed') return;
  try {
    await run.folder.own(endedBy(work.journal, failure));
  } catch {
    // The destination may be what failed; the log has the failure in any case.
  }
}
