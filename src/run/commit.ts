/**
 * The end of a run: all segments are there and unchanged, the plan says that it is being committed, the manifest is written,
 * the journal goes.
 */
import { hash } from 'node:crypto';
import { fail, toFailure, type FailureError } from '../base/errors.ts';
import { MOST_INSIDE_BYTES } from '../ledger/journal.ts';
import type { ManifestSummary } from '../ledger/manifest.ts';
import { fullKey, manifestKey, planKey } from '../ledger/names.ts';
import type { Receipt } from '../ledger/receipts.ts';
import type { RunFolder, SealedManifest } from '../ledger/run-folder.ts';
import { JOURNAL_STAYS, unlessDenied } from '../ledger/optional-rights.ts';
import { sweepUploads } from '../ledger/sweep.ts';
import type { StoredObject } from '../store/store.ts';
import type { Attempt } from './attempt.ts';
import { buildManifest } from './build-manifest.ts';
import { replacePlan } from './ownership.ts';
import type { RunPlan } from './plan.ts';
import { isSameObject } from './prove.ts';
import type { Committing } from './resume.ts';
import type { Run } from './run.ts';
import type { Session } from './session.ts';

/** Commits a run. Throws FailureError; then nothing is committed, unless the plan says that it may be. */
export async function commitRun(
  run: Run,
  attempt: Attempt,
  mostInsideBytes = MOST_INSIDE_BYTES,
): Promise<ManifestSummary> {
  const { folder } = run;
  const { session, plan } = attempt;
  const receipts = requireAll(plan, attempt.done);
  const empties = inOrder(attempt.empties.values());
  await sweepAgain(run, attempt);
  const listed = await folder.listing();
  await requireUnchanged(run, [...receipts, ...empties], listed);
  const manifest = buildManifest({
    archive: folder.archive,
    run: folder.run,
    consistency: run.archive.consistency,
    partitionBy: run.archive.partitionBy,
    snapshot: session.snapshot,
    plan,
    source: session.identity,
    receipts,
    empties,
    fullKey: (key) => fullKey(run.destination, key),
    startedAt: attempt.journal.startedAt,
  });
  const sealed = folder.seal(manifest);
  const { sha256, body } = sealed;
  const isInside = body.length <= mostInsideBytes;
  if (!isInside) await folder.stage(sealed);
  const hasLooked = isInside && showsOurs(folder, attempt, listed);
  const committing = { sha256, bytes: body.length, ...(isInside ? { manifest: body.toString() } : {}) };
  // From here on the manifest may come at any time, so that nothing of the run may change any more.
  await replacePlan(folder, attempt, { ...attempt.journal, committing }, hasLooked);
  return writeManifest(run, session, sealed, manifest, hasLooked ? journalIn(folder, listed) : undefined);
}

/** Whether a list shows what the commit replaces: our plan, and no manifest. */
function showsOurs({ archive, run }: RunFolder, { etag }: Attempt, listed: Listed): boolean {
  return etag !== '' && listed.get(planKey(archive, run))?.etag === etag && !listed.has(manifestKey(archive, run));
}

function journalIn(folder: RunFolder, listed: Listed): string[] {
  return [...listed.keys()].filter((key) => folder.isOfJournal(key));
}

/**
 * Commits a run whose plan says that it is being committed, with the very manifest that was to be written. Throws
 * FailureError `object-changed` when it cannot be any more.
 */
export async function commitAsItStands(run: Run, session: Session, { journal }: Committing): Promise<ManifestSummary> {
  const { committing } = journal;
  if (committing === undefined) throw new Error('the plan is not one that is being committed');
  const { folder } = run;
  const { manifest: inside } = committing;
  // Whoever reads a manifest reads it from where it lies.
  if (inside !== undefined) await folder.stage(insideOf(run, committing.sha256, inside));
  const staged = await folder.staged(committing.sha256);
  if (staged === undefined)
    throw objectChanged(`${folder.store.url}${folder.prefix} has not the manifest that its plan says is being written`);
  const { manifest } = staged;
  // Listed after the uploads of dead tries were swept: none of them can change it any more.
  await requireUnchanged(run, manifest.objects, await folder.listing());
  run.log.info({ segments: manifest.objects.length }, 'run was being committed, and is committed as it stands');
  return writeManifest(run, session, staged, manifest);
}

function insideOf({ folder }: Run, sha256: string, manifest: string): SealedManifest {
  const body = Buffer.from(manifest);
  if (hash('sha256', body) === sha256) return { body, sha256 };
  throw objectChanged(`the plan of ${folder.store.url}${folder.prefix} holds another manifest than it says`);
}

/** `journal` are the keys of the journal, where they were just listed, and with them that there is no manifest. */
async function writeManifest(
  run: Run,
  session: Session,
  sealed: SealedManifest,
  manifest: ManifestSummary,
  journal?: readonly string[],
): Promise<ManifestSummary> {
  const { folder } = run;
  await session.require();
  await folder.commit(sealed, journal !== undefined);
  try {
    await unlessDenied(run.log, folder.store, JOURNAL_STAYS, () => folder.clearJournal(journal));
  } catch (error) {
    run.log.warn(
      { failure: toFailure(error, 'journal') },
      'the run is committed, but its journal could not be removed',
    );
  }
  return manifest;
}

/**
 * Uploads of attempts that are dead, once more: where a server ignores the condition of a Complete, what is aborted cannot
 * be completed any more.
 */
async function sweepAgain({ folder, progress, archive, log, id }: Run, { isTakenUp }: Attempt): Promise<void> {
  if (progress.counts.retries === 0 && !isTakenUp) return;
  progress.swept(await sweepUploads(folder.store, archive.name, log, id));
}

/** The plan and the receipts must match one to one before a manifest may name them. In the order of the segments. */
function requireAll({ segments }: RunPlan, done: ReadonlyMap<number, Receipt>): Receipt[] {
  const receipts = segments.flatMap(({ index }) => done.get(index) ?? []);
  if (receipts.length === segments.length) return receipts;
  throw fail('segment-missing', {
    stage: 'commit',
    message: `${receipts.length} of ${segments.length} segments have a receipt; the run is not committed`,
  });
}

/** What lies in the folder of a run, by key. */
type Listed = ReadonlyMap<string, StoredObject>;

/** An object as a receipt or a manifest has it. */
type Stored = Pick<Receipt, 'key' | 'bytes' | 'etag'>;

/** Each object must still be the one that its receipt is of. */
async function requireUnchanged(
  { folder }: Run,
  objects: AsyncIterable<Stored> | Iterable<Stored>,
  listed: Listed,
): Promise<void> {
  let first: string | undefined;
  let changed = 0;
  for await (const object of objects) {
    const key = folder.keyOf(object);
    if (isSameObject(object, listed.get(key))) continue;
    first ??= key;
    changed += 1;
  }
  if (first === undefined) return;
  const others = changed === 1 ? '' : ` and ${changed - 1} more`;
  throw objectChanged(`${folder.store.url}${first}${others} changed after it was uploaded; the run is not committed`);
}

function objectChanged(message: string): FailureError {
  return fail({ code: 'object-changed', transient: false }, { stage: 'commit', message });
}

function inOrder(empties: Iterable<Receipt>): Receipt[] {
  return [...empties].sort((a, b) => (a.key < b.key ? -1 : 1));
}
