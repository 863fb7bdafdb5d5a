/** The story of a restore: find the run, lock the target, look before the first row, then objects in parallel, then tidy up. */
import { fail, FailureError, toFailure, type Failure } from '../base/errors.ts';
import { peakRssBytes } from '../base/peak-rss.ts';
import { destinationOf } from '../config/resolve.ts';
import type { StoredManifest } from '../ledger/stored-manifest.ts';
import type { Client } from '../postgres/connect.ts';
import type { RowDigest } from '../postgres/row-digest.ts';
import { dispatchTasks } from '../work/dispatch.ts';
import { RunProgress } from '../work/progress.ts';
import { noteTrouble, watchStall } from '../work/trouble-log.ts';
import { restoreFailure } from '../segment/restore/errors.ts';
import type { RestoredFacts, RestoreTask } from '../segment/restore/task.ts';
import type { PlannedObject } from './objects.ts';
import { openStore } from '../store/open.ts';
import { findRun } from './find-run.ts';
import { describeLoss } from './loss.ts';
import { closeRecord } from './record.ts';
import { countRows, countRowsInTime, recount } from './recount.ts';
import { planRestore, type RestorePlan } from './plan.ts';
import { Refusal } from './refusal.ts';
import type { RestoreContext, RestoreRequest, RestoreResult } from './request.ts';
import { substituteTypes } from './scratch.ts';
import { advanceSequences } from './sequences.ts';
import { byHand, putBack } from './self-references.ts';
import { GO_ON, openRestoreSession, type RestoreSession } from './session.ts';
import { explainTwice } from './snapshots.ts';
import { describeTarget, type Target } from './target.ts';
import { restoreTasks } from './tasks.ts';

/** What is known on the way; the result is made of it, however the restore ends. */
type Tally = Omit<RestoreResult, 'archive' | 'into' | 'status' | 'seconds' | 'peakRssBytes' | 'error'>;

/** Restores a run. Never throws: how it ended is in the result, and has been logged. */
export async function restoreArchive(context: RestoreContext, request: RestoreRequest): Promise<RestoreResult> {
  const into = `${request.into.schema}.${request.into.table}`;
  const log = context.log.child({ archive: request.archive.name, into });
  const started = performance.now();
  const tally: Tally = {
    run: request.run ?? '',
    rows: 0,
    skipped: 0,
    objects: 0,
    peakHeapBytes: 0,
    resumed: false,
    problems: [],
    warnings: [],
  };
  if (request.scratch === undefined) log.info('restore starts');
  const ending = await endRestore({ ...context, log }, request, tally);
  const result: RestoreResult = {
    archive: request.archive.name,
    into,
    ...ending,
    ...tally,
    seconds: Math.round(performance.now() - started) / 1000,
    peakRssBytes: peakRssBytes(),
  };
  if (request.scratch === undefined) logResult(log, result);
  return result;
}

async function endRestore(
  context: RestoreContext,
  request: RestoreRequest,
  tally: Tally,
): Promise<Pick<RestoreResult, 'status' | 'error'>> {
  try {
    await restore(context, request, tally);
    return { status: 'restored' };
  } catch (error) {
    if (error instanceof Refusal) {
      tally.problems.push(...error.problems);
      return { status: 'refused' };
    }
    const place = { archive: request.archive.name, ...(tally.run === '' ? {} : { run: tally.run }) };
    return { status: 'failed', error: { ...forRestore(toFailure(error, 'restore')), ...place } };
  }
}

async function restore(context: RestoreContext, request: RestoreRequest, tally: Tally): Promise<void> {
  const store = openStore(destinationOf(context.config, request.archive), context.signal);
  const note = (warnings: readonly string[]): void => {
    tally.warnings.push(...warnings);
    if (request.scratch === undefined) for (const warning of warnings) context.log.warn(warning);
  };
  try {
    const { folder, manifest: found } = await findRun(store, request.archive.name, request.run);
    tally.run = found.run;
    const session = await openRestoreSession(request, found.run, context.signal);
    try {
      const manifest = await forTarget(session.client, request, found);
      const plan = await planRestore(session.client, folder, request, manifest, note);
      await request.scratch?.onMade();
      if (plan.record.aside.length > 0) tally.dropped = byHand(plan.target.name, plan.record.aside);
      await fill(context, request, session, plan, tally);
      await finish(session.client, request, plan, tally, note);
    } catch (error) {
      if (session.lost.aborted && !context.signal.aborted) throw session.lost.reason;
      throw error instanceof FailureError ? new FailureError(explainTwice(error.failure, found)) : error;
    } finally {
      await session.close();
    }
  } finally {
    store.close();
  }
}

/** A scratch table need not have the types of the archive. */
async function forTarget(
  client: Client,
  { scratch }: RestoreRequest,
  manifest: StoredManifest,
): Promise<StoredManifest> {
  if (scratch === undefined) return manifest;
  const { manifest: substituted, substitutes } = await substituteTypes(client, manifest);
  scratch.onColumns({ columns: substituted.columns, substitutes });
  return substituted;
}

/** What comes after the last object: rows are counted, sequences set, keys put back, and the record goes. */
async function finish(
  client: Client,
  request: RestoreRequest,
  plan: RestorePlan,
  tally: Tally,
  note: (warnings: readonly string[]) => void,
): Promise<void> {
  const { target, record } = plan;
  try {
    // Of many windows, each would be counted anew for every try.
    if (!plan.isBack || request.together?.isLast !== false) await countAgain(client, request.into, plan, tally);
    note(await advanceSequences(client, target));
    const broken = await putBack(client, target, record.aside);
    await closeRecord(client, target, record, request);
    delete tally.dropped;
    if (broken !== undefined) throw broken;
  } catch (error) {
    throw restoreFailure(error, `finishing the restore into ${target.name}`);
  }
}

async function fill(
  context: RestoreContext,
  request: RestoreRequest,
  session: RestoreSession,
  plan: RestorePlan,
  tally: Tally,
): Promise<void> {
  const progress = new RunProgress(request.archive.name, plan.manifest.run, context.onProgress);
  const { pace } = context;
  if (pace !== undefined) progress.follow(pace.pauses);
  const { done } = plan.record;
  const { sums } = done;
  tally.resumed = plan.record.resumed;
  tally.objects = done.size;
  tally.rows = sums.rows;
  tally.skipped = sums.skipped;
  const { count, rows } = plan.amounts;
  const left = count - done.size;
  /** The objects of each task that is under way, by the first one of them. */
  const together = new Map<number, RestoreTask['objects']>();
  const open = openObjects(plan, progress);
  const tasks = noted(restoreTasks(context, request, plan, open, left), together);
  progress.begin({ segments: plan.manifest.objects, count, estimate: { rows } }, new Map());
  const stopWatching = watchStall(context.log, progress);
  try {
    const summary = await dispatchTasks<RestoreTask>(Object.assign(tasks, { length: left }), {
      place: context.place,
      log: context.log,
      retry: request.archive.retry,
      parallel: isOneByOne(request) ? 1 : context.config.workers.threads,
      signal: AbortSignal.any([context.signal, session.lost]),
      drain: new AbortController().signal,
      ...(pace && { turn: (signal) => pace.turn(signal), grant: (bytes, signal) => pace.grant(bytes, signal) }),
      onAttempt: (first, attempt) => {
        for (const { segment } of together.get(first) ?? []) progress.attempt(segment, attempt);
      },
      onFailed: (segment, failure, isLast) => {
        progress.fail(segment, failure, isLast);
      },
      onProgress: (segment, at) => {
        progress.update(segment, at);
      },
      onTrouble: (segment, trouble) => {
        noteTrouble(context.log, progress, trouble, segment);
      },
      onFinished: async ({ segment, objects }, facts) => {
        together.delete(segment);
        await request.scratch?.onLines(digestOf(facts));
        for (const [at, one] of facts.entries()) {
          const object = objects[at];
          if (object === undefined) continue;
          done.set(object.key, one);
          tally.rows += one.rows;
          tally.skipped += one.skipped;
          tally.objects += 1;
          progress.finish(object.segment, { ...one, rows: object.expected.rows });
        }
      },
    });
    tally.peakHeapBytes = summary.peakHeapBytes;
  } finally {
    stopWatching();
    tally.peakHeapBytes = Math.max(tally.peakHeapBytes, progress.counts.peakHeapBytes);
    progress.end();
  }
}

/** A rehearsal leaves the other threads to runs. */
function isOneByOne({ selfReferences, scratch }: RestoreRequest): boolean {
  return selfReferences === 'ordered' || scratch !== undefined;
}

/** The objects that are not in the target yet. */
async function* openObjects({ objects, record }: RestorePlan, progress: RunProgress): AsyncGenerator<PlannedObject> {
  for await (const object of objects) {
    if (record.done.get(object.key) === undefined) yield object;
    else progress.wasDone(object.index, object);
  }
}

/** Of the lines that were read, which the transaction that has brought them has committed. */
function digestOf(facts: readonly RestoredFacts[]): RowDigest {
  const digest = { rows: 0, sum: 0n };
  for (const { rows, lineDigest } of facts) {
    digest.rows += rows;
    digest.sum = BigInt.asUintN(64, digest.sum + BigInt(lineDigest ?? 0));
  }
  return digest;
}

/** Each task is told of as it is made. */
async function* noted(
  tasks: AsyncIterable<RestoreTask>,
  together: Map<number, RestoreTask['objects']>,
): AsyncGenerator<RestoreTask, undefined> {
  for await (const task of tasks) {
    together.set(task.segment, task.objects);
    yield task;
  }
  return undefined;
}

/**
 * What was brought by an earlier try, or lies in a table that a crash empties, may be gone by now, and what was there when the
 * table was truncated is. Else the transactions have counted what they brought, and it is counted again only where that
 * takes no time to speak of.
 */
async function countAgain(
  client: Client,
  into: RestoreRequest['into'],
  plan: RestorePlan,
  tally: Tally,
): Promise<void> {
  const { target, record } = plan;
  await requireSame(client, into, target);
  if (!record.resumed && !target.isUnlogged) {
    const counted = await countRowsInTime(client, plan);
    // Whoever waited for the last object to drop or truncate it came in before the count.
    const { files } = await requireSame(client, into, target);
    if (files === target.files && counted !== undefined) tally.counted = counted;
    if (files === target.files && (counted === undefined || counted >= tally.rows + tally.skipped)) return;
  }
  const loss = describeLoss(await recount(client, plan, record), target.name);
  if (loss !== undefined) {
    throw fail('rows-missing', {
      stage: 'restore',
      message: `all objects were restored, but rows are gone again: ${loss}`,
      hint: `DROP TABLE ${record.table}, and empty the table or pass over what is left with --on-conflict skip.`,
    });
  }
  tally.counted = await countRows(client, plan);
}

/** The table as it is now. Throws FailureError `rows-missing` when it is another one, or none. */
async function requireSame(client: Client, into: RestoreRequest['into'], target: Target): Promise<Target> {
  const now = await describeTarget(client, into);
  if (now?.oid !== target.oid) throw tableGone(target, now);
  return now;
}

/** Its rows went with it, and those of later objects may be in one that was made in its place. */
function tableGone({ name }: Target, now: Target | undefined): FailureError {
  return fail('rows-missing', {
    stage: 'restore',
    message: `${name} was dropped${now === undefined ? '' : ' and made again'} while it was restored into, and rows of this restore went with it`,
    hint: `Empty ${name}, or restore with --create where it is gone; then restore again.`,
  });
}

/** What an operator does about a run that is interrupted or cut off is not what he does about such a restore. */
function forRestore(failure: Failure): Failure {
  switch (failure.code) {
    case 'interrupted':
    case 'aborted':
      return { ...failure, stage: 'restore', hint: GO_ON };
    case 'connection-lost':
    case 'connection-refused':
      return { ...failure, hint: `${failure.hint} ${GO_ON}` };
    default:
      return failure;
  }
}

/** The line's context names the archive and the table already. */
function logResult(log: RestoreContext['log'], { archive: _archive, into: _into, ...figures }: RestoreResult): void {
  switch (figures.status) {
    case 'restored':
      log.info(figures, 'restore done');
      break;
    case 'refused':
      log.error(figures, 'restore refused, nothing was written');
      break;
    case 'failed':
      log.error(figures, 'restore failed');
      break;
  }
}
