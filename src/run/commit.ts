/**
 * The end of a run: all segments are there and unchanged, the plan says that it is being committed, the manifest is written,
 * the journal goes.
 */
import { fail, toFailure, type FailureError } from '../base/errors.ts';
import type { ManifestSummary } from '../ledger/manifest.ts';
import { fullKey } from '../ledger/names.ts';
import type { Receipt } from '../ledger/receipts.ts';
import type { SealedManifest } from '../ledger/run-folder.ts';
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
export async function commitRun(run: Run, attempt: Attempt): Promise<ManifestSummary> {
  const { folder } = run;
  const { session, plan } = attempt;
  const receipts = requireAll(plan, attempt.done);
  const empties = inOrder(attempt.empties.values());
  await sweepAgain(run, attempt);
  await requireUnchanged(run, [...receipts, ...empties], await folder.listing());
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
  await folder.stage(sealed);
  const { sha256, body } = sealed;
  // From here on the manifest may come at any time, so that nothing of the run may change any more.
  await replacePlan(folder, attempt, { ...attempt.journal, committing: { sha256, bytes: body.length } });
  return writeManifest(run, session, sealed, manifest);
}

/**
 * Commits a run whose plan says that it is being committed, with the very manifest that was to be written. Throws
 * FailureError `object-changed` when it cannot be any more.
 */
export async function commitAsItStands(run: Run, session: Session, { journal }: Committing): Promise<ManifestSummary> {
  const { committing } = journal;
  if (committing === undefined) throw new Error('the plan is not one that is being committed');
  const { folder } = run;
  const staged = await folder.staged(committing.sha256);
  if (staged === undefined)
    throw objectChanged(`${folder.store.url}${folder.prefix} has not the manifest that its plan says is being written`);
  const { manifest } = staged;
  // Listed after the uploads of dead tries were swept: none of them can change it any more.
  await requireUnchanged(run, manifest.objects, await folder.listing());
  run.log.info({ segments: manifest.objects.length }, 'run was being committed, and is committed as it stands');
  return writeManifest(run, session, staged, manifest);
}

async function writeManifest(
  run: Run,
  session: Session,
  sealed: SealedManifest,
  manifest: ManifestSummary,
): Promise<ManifestSummary> {
  const { folder } = run;
  await session.require();
  await folder.commit(sealed);
  try {
    await unlessDenied(run.log, folder.store, JOURNAL_STAYS, () => folder.clearJournal());
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

/** An object as a receipt or a manifest has it. */
type Stored = Pick<Receipt, 'key' | 'bytes' | 'etag'>;

/** Each object must still be the one that its receipt is of. */
async function requireUnchanged(
  { folder }: Run,
  objects: AsyncIterable<Stored> | Iterable<Stored>,
  listed: ReadonlyMap<string, StoredObject>,
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
