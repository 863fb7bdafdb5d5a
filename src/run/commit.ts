/**
 * The end of a run: all segments are there and unchanged, the plan says that it is being committed, the manifest is written,
 * the journal goes.
 */
import { fail, toFailure, type FailureError } from '../base/errors.ts';
import type { Manifest, ManifestHead } from '../ledger/manifest.ts';
import { fullKey } from '../ledger/names.ts';
import type { Receipt } from '../ledger/receipts.ts';
import { sweepUploads } from '../ledger/sweep.ts';
import type { StoredObject } from '../store/store.ts';
import type { Attempt } from './attempt.ts';
import { describeCommit, nameObjects } from './build-manifest.ts';
import { replacePlan } from './ownership.ts';
import { isSameObject } from './prove.ts';
import type { Committing } from './resume.ts';
import type { Run } from './run.ts';

/** Commits a run. Throws FailureError; then nothing is committed, unless the plan says that it may be. */
export async function commitRun(run: Run, attempt: Attempt): Promise<Manifest> {
  const { folder } = run;
  const { session, plan } = attempt;
  const receipts = requireAll(
    plan.segments.map(({ index }) => index),
    attempt.done,
  );
  const empties = inOrder(attempt.empties.values());
  await sweepAgain(run);
  requireUnchanged(run, [...receipts, ...empties], await folder.listing());
  const head = describeCommit({
    archive: folder.archive,
    run: folder.run,
    consistency: run.archive.consistency,
    plan,
    source: session.identity,
    snapshot: receipts.at(-1)?.snapshot ?? session.snapshot,
    receipts,
    empties,
    fullKey: (key) => fullKey(run.destination, key),
    startedAt: attempt.journal.startedAt,
  });
  // From here on the manifest may come at any time, so that nothing of the run may change any more.
  await replacePlan(folder, attempt, { ...attempt.journal, committing: head });
  return writeManifest(run, head, receipts, empties);
}

/** Commits a run whose plan says that it is being committed. Throws FailureError `object-changed` when it cannot be any more. */
export async function commitAsItStands(run: Run, { journal, listed }: Committing): Promise<Manifest> {
  const { committing: head, segments, fingerprint } = journal;
  if (head === undefined) throw new Error('the plan is not one that is being committed');
  const found = await run.folder.receipts(fingerprint);
  const done = new Map(found.receipts.map((receipt) => [receipt.segment, receipt]));
  const receipts = requireAll(
    segments.map(({ index }) => index),
    done,
  );
  const empties = inOrder(found.empties);
  requireUnchanged(run, [...receipts, ...empties], listed);
  requireSameSums(run, head, [...receipts, ...empties]);
  run.log.info({ segments: receipts.length }, 'run was being committed, and is committed as it stands');
  return writeManifest(run, head, receipts, empties);
}

async function writeManifest(
  run: Run,
  head: ManifestHead,
  receipts: readonly Receipt[],
  empties: readonly Receipt[],
): Promise<Manifest> {
  const { folder } = run;
  const manifest = nameObjects(head, { receipts, empties, fullKey: (key) => fullKey(run.destination, key) });
  await folder.commit(manifest);
  try {
    await folder.clearJournal();
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
async function sweepAgain({ folder, progress, archive, log, id }: Run): Promise<void> {
  if (progress.counts.retries === 0 && !progress.resumed) return;
  progress.swept(await sweepUploads(folder.store, archive.name, log, id));
}

/** The plan and the receipts must match one to one before a manifest may name them. In the order of the segments. */
function requireAll(segments: readonly number[], done: ReadonlyMap<number, Receipt>): Receipt[] {
  const receipts = segments.flatMap((index) => done.get(index) ?? []);
  if (receipts.length === segments.length) return receipts;
  throw fail('segment-missing', {
    stage: 'commit',
    message: `${receipts.length} of ${segments.length} segments have a receipt; the run is not committed`,
  });
}

/** Each object must still be the one that its receipt is of. */
function requireUnchanged(
  { folder }: Run,
  receipts: readonly Receipt[],
  listed: ReadonlyMap<string, StoredObject>,
): void {
  const changed = receipts.filter((receipt) => !isSameObject(receipt, listed.get(receipt.key)));
  const [first] = changed;
  if (first === undefined) return;
  const others = changed.length === 1 ? '' : ` and ${changed.length - 1} more`;
  throw objectChanged(
    `${folder.store.url}${first.key}${others} changed after it was uploaded; the run is not committed`,
  );
}

function requireSameSums({ folder }: Run, head: ManifestHead, receipts: readonly Receipt[]): void {
  for (const what of ['rows', 'jsonBytes', 'bytes'] as const) {
    const sum = receipts.reduce((total, receipt) => total + receipt[what], 0);
    if (sum !== head[what])
      throw objectChanged(
        `the receipts of ${folder.store.url}${folder.prefix} say ${sum} ${what}, its plan says ${head[what]}`,
      );
  }
}

function objectChanged(message: string): FailureError {
  return fail({ code: 'object-changed', transient: false }, { stage: 'commit', message });
}

function inOrder(empties: Iterable<Receipt>): Receipt[] {
  return [...empties].sort((a, b) => (a.key < b.key ? -1 : 1));
}
