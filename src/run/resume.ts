/**
 * Takes a run up: makes its plan ours before anything else is touched, and decides what of the run is still to be done. It
 * goes on from the receipts of an earlier try, or is planned anew.
 */
import os from 'node:os';
import { fail, type FailureError } from '../base/errors.ts';
import { growHeapsSlowly } from '../base/process-memory.ts';
import { TOOL } from '../base/tool.ts';
import { CODEC_FILES } from '../format/compress/codec.ts';
import { PLAN_FORMAT, type JournalPlan } from '../ledger/journal.ts';
import { manifestKey } from '../ledger/names.ts';
import { PackedListing, type Listing } from '../ledger/packed-listing.ts';
import { ReceiptsByKey, ReceiptsBySegment } from '../ledger/packed-receipts.ts';
import { parseRunId } from '../ledger/run-id.ts';
import type { PlannedSegment } from '../ledger/segments.ts';
import type { StoredPlan } from '../ledger/stored-plan.ts';
import { findUploads, sweepUploads } from '../ledger/sweep.ts';
import type { Attempt, OwnedPlan } from './attempt.ts';
import { requireOwnerGone } from './former-owner.ts';
import { extendedPlan, fingerprintOf, journalPlan } from './journal-plan.ts';
import { requireKeysFit } from './layout.ts';
import { drawOwner, isPlanOf, lostRun, ownPlan } from './ownership.ts';
import type { RunPlan } from './plan.ts';
import { proveReceipts } from './prove.ts';
import type { Run } from './run.ts';
import type { Session } from './session.ts';
import { requireWindowOver } from './window.ts';

/** How often another process may be faster before the run is left to it. */
const DECISIONS = 5;
const MOST_NAMED = 10;
/** What was seen before the run was begun counts as just seen for so long. */
const JUST_MS = 10_000;
/** With more than these, plan and receipts count in the memory of the process. */
const MANY_SEGMENTS = 1000;

/** A run whose manifest may be on its way: it is committed as its plan says, or not at all. */
export type Committing = OwnedPlan;

/**
 * `isNew`: nothing lay in the folder of the run a moment ago. Throws FailureError, `already-committed` when there is a manifest
 * once the plan is ours.
 */
export async function takeUp(run: Run, session: Session, isNew = false): Promise<Attempt | Committing> {
  for (let decision = 1; decision <= DECISIONS; decision += 1) {
    const isFirst = isNew && decision === 1;
    const found = isFirst ? undefined : await run.folder.plan();
    if (found !== undefined) await requireFree(run, session, found.plan);
    const taken = await (found?.plan.committing === undefined
      ? takeUpPlan(run, session, found, isFirst)
      : takeUpCommit(run, session, found));
    if (taken === undefined) continue;
    if (found !== undefined && !isPlanOf(run, found.plan)) sayTakenUp(run, found.plan);
    return taken;
  }
  throw await lostRun(run.folder);
}

/** Whether what was seen of the run's folder at its begin is as good as seen now. */
export function wasJustBegun({ startedAt }: Pick<Run, 'startedAt'>): boolean {
  return Date.now() - startedAt.getTime() < JUST_MS;
}

/** Throws FailureError when the run is to be left as it ended, and what {@link requireOwnerGone} throws. */
async function requireFree(run: Run, session: Session, plan: JournalPlan): Promise<void> {
  const { ended } = plan;
  const left = isPlanOf(run, plan) ? undefined : run.leaves.find((how) => how === ended?.how);
  if (ended !== undefined && left !== undefined) {
    const message = `the run ${left === 'cancelled' ? 'was cancelled' : 'has failed'} on ${ended.host} at ${ended.at}`;
    throw fail(`${left}-elsewhere`, { stage: 'journal', host: ended.host, message });
  }
  await requireOwnerGone(run, session, plan);
}

function sayTakenUp({ log, progress }: Run, { host, ended }: JournalPlan): void {
  progress.tookUp(host);
  log.info({ host, ended: ended?.how ?? 'killed' }, `the run is taken up from ${host}`);
}

async function takeUpCommit(run: Run, session: Session, { plan, etag }: StoredPlan): Promise<Committing | undefined> {
  const owned = await own(run, ours(run, session, plan), etag);
  if (owned !== undefined) await listFolder(run);
  return owned;
}

/** Undefined when somebody else has written a plan meanwhile: what was decided then counts no more. */
async function takeUpPlan(
  run: Run,
  session: Session,
  found: StoredPlan | undefined,
  isNew: boolean,
): Promise<Attempt | undefined> {
  const kept = found && (await keepPlan(run, session, found.plan));
  if (kept === undefined || found === undefined) {
    const fresh = await planAnew(run, session, found?.plan);
    // Where planning took long, a server that ignores conditions is looked at again.
    const owned = await own(run, fresh.journal, found?.etag ?? 'nothing', isNew && wasJustBegun(run));
    return (
      owned && begin(run, session, fresh.plan, owned, { listed: await listFolder(run), isTakenUp: found !== undefined })
    );
  }
  const owned = await own(run, kept.journal, found.etag);
  return owned && goOn(run, session, kept.plan, owned);
}

/** With what the receipts of the earlier try prove; where that is not enough, it is planned anew. */
async function goOn(run: Run, session: Session, plan: RunPlan, owned: OwnedPlan): Promise<Attempt | undefined> {
  const listed = await listFolder(run);
  const { cut, segments } = plan;
  const proved = await proveReceipts(run.folder, owned.journal, cut, listed, run.log, run.signal);
  const { done } = proved;
  if (cut.survivesSnapshot || done.size === segments.length) {
    run.log.info({ segments: segments.length, done: done.size, by: cut.name }, 'run goes on from its receipts');
    return { session, plan, ...owned, listed, isTakenUp: true, ...proved };
  }
  startOver(run, `segments by ${cut.name} mean their rows under the lost snapshot only`);
  const fresh = await planAnew(run, session, owned.journal);
  const again = await own(run, fresh.journal, owned.etag);
  return again && begin(run, session, fresh.plan, again, { listed, isTakenUp: true });
}

function begin(
  run: Run,
  session: Session,
  plan: RunPlan,
  owned: OwnedPlan,
  found: Pick<Attempt, 'listed' | 'isTakenUp'>,
): Attempt {
  const { cut, why, segments, estimate } = plan;
  run.log.info({ by: cut.name, why, segments: segments.length, estimate }, 'run planned');
  const { prefix } = run.folder;
  const done = new ReceiptsBySegment(prefix, segments.length);
  return { session, plan, ...owned, ...found, done, empties: new ReceiptsByKey(prefix), together: new Map() };
}

/** The plan of the earlier try, to be gone on with; undefined when nothing of it can be used. */
async function keepPlan(
  run: Run,
  session: Session,
  earlier: JournalPlan,
): Promise<{ plan: RunPlan; journal: JournalPlan } | undefined> {
  const plan = await session.view.replan(run.archive, parseRunId(run.id), earlier);
  requireWindowOver(run.archive, plan.subject, session.snapshot);
  if (fingerprintOf(run.archive, plan, session.identity) !== earlier.fingerprint) {
    startOver(run, whyUseless(earlier));
    return undefined;
  }
  if (plan.problem !== undefined) {
    startOver(run, `its journal is no plan of this ${plan.subject.relation?.kind ?? 'query'}: ${plan.problem}`);
    return undefined;
  }
  const { extension } = CODEC_FILES[run.archive.compression.codec];
  const kept = extendedPlan(run, session, plan, { ...ours(run, session, earlier), extension });
  requireKeys(run, plan.more);
  if (plan.more.length > 0)
    run.log.info(
      { segments: plan.more.length },
      'the source has values that it had not when the run was begun: they get segments',
    );
  return kept;
}

/** Before anything is written. Throws FailureError `partition-key`. */
function requireKeys({ archive, id, destination }: Run, segments: Iterable<PlannedSegment>): void {
  requireKeysFit({ destination, archive, run: id }, segments);
}

function whyUseless({ ended }: JournalPlan): string {
  const isMismatch = ended?.failure?.code === 'source-mismatch' || ended?.failure?.code === 'relation-rewritten';
  return isMismatch
    ? 'what an earlier try wrote is not what the source says'
    : 'the config, the table or the database has changed since this run was begun';
}

async function planAnew(
  run: Run,
  session: Session,
  earlier: JournalPlan | undefined,
): Promise<{ plan: RunPlan; journal: JournalPlan }> {
  const plan = await session.view.plan(run.archive, parseRunId(run.id));
  requireWindowOver(run.archive, plan.subject, session.snapshot);
  if (plan.isExpectedEmpty !== true && run.archive.segments.on === 'here') run.place.warmUp?.();
  requireKeys(run, plan.segments);
  const fingerprint = fingerprintOf(run.archive, plan, session.identity);
  return { plan, journal: journalPlan(run, session, plan, fingerprint, earlier) };
}

/** The plan as ours: how an earlier try ended is forgotten. */
function ours(run: Run, session: Session, { ended: _ended, ...plan }: JournalPlan): JournalPlan {
  return {
    ...plan,
    format: PLAN_FORMAT,
    owner: drawOwner(run),
    host: os.hostname(),
    instance: session.instance,
    tool: TOOL,
  };
}

async function own(
  { folder }: Run,
  journal: JournalPlan,
  replaces: string,
  hasLooked = false,
): Promise<OwnedPlan | undefined> {
  if (journal.segments.length > MANY_SEGMENTS) growHeapsSlowly();
  const etag = await ownPlan(folder, journal, replaces, hasLooked);
  return etag === undefined ? undefined : { journal, etag };
}

/** What lies there once the plan is ours: only from then on does it count. Then uploads of dead tries are aborted. */
async function listFolder(run: Run): Promise<Listing> {
  const { folder, log, archive, id, progress } = run;
  const uploads = findUploads(folder.store, archive.name);
  uploads.catch(() => undefined);
  const listed = new PackedListing(folder.prefix);
  const others: string[] = [];
  let count = 0;
  for await (const object of folder.list()) {
    const { key } = object;
    if (key === manifestKey(folder.archive, folder.run)) throw committedBefore(run);
    if (folder.isDataKey(key)) listed.add(object);
    else if (folder.isReadAsData(key)) {
      count += 1;
      if (others.length < MOST_NAMED) others.push(key);
    }
  }
  progress.swept(await sweepUploads(folder.store, archive.name, log, id, uploads));
  if (count > 0)
    log.warn(
      { keys: others, count },
      'objects lie in the folder of the run that are not of pgsluice: they are left, and whoever reads all of the folder reads them too',
    );
  return listed;
}

function committedBefore({ folder }: Run): FailureError {
  return fail('already-committed', { stage: 'journal', message: `${folder.manifestUrl} is there already` });
}

function startOver(run: Run, why: string): void {
  run.log.warn({ why }, 'run starts over: what an earlier try left is replaced');
}
