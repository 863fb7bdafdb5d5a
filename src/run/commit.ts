/**
 * The end of a run: all segments are there and unchanged, the plan says that it is being committed, the manifest is written,
 * the journal goes.
 */
import { fail, toFailure, type FailureError } from '../base/errors.ts';
import type { ItemsOf } from '../ledger/documents.ts';
import { MOST_INSIDE_BYTES } from '../ledger/journal.ts';
import type { ManifestObject, ManifestSummary } from '../ledger/manifest.ts';
import { fullKey, manifestKey, planKey, segmentOfDataKey } from '../ledger/names.ts';
import type { Listing } from '../ledger/packed-listing.ts';
import type { Receipts } from '../ledger/packed-receipts.ts';
import type { Receipt } from '../ledger/receipts.ts';
import { MOST_REMOVED, type RunFolder } from '../ledger/run-folder.ts';
import { JOURNAL_STAYS, unlessDenied } from '../ledger/optional-rights.ts';
import { sweepUploads } from '../ledger/sweep.ts';
import { bytesOf, contentOf } from '../store/content.ts';
import type { Content } from '../store/store.ts';
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
  requireAll(plan, attempt.done);
  await sweepAgain(run, attempt);
  const seen = await requireUnchanged(run, attempt);
  const manifest = buildManifest({
    archive: folder.archive,
    run: folder.run,
    consistency: run.archive.consistency,
    partitionBy: run.archive.partitionBy,
    snapshot: session.snapshot,
    plan,
    source: session.identity,
    receipts: inOrder(attempt.done, plan),
    empties: byKey(attempt.empties),
    fullKey: (key) => fullKey(run.destination, key),
    startedAt: attempt.journal.startedAt,
  });
  const sealed = folder.seal(manifest);
  const { sha256, bytes } = sealed;
  const isInside = bytes <= mostInsideBytes;
  if (!isInside) await folder.stage(sealed);
  const hasLooked = isInside && seen.showsOurs;
  const inside = isInside ? { manifest: (await bytesOf(sealed)).toString() } : {};
  // From here on the manifest may come at any time, so that nothing of the run may change any more.
  await replacePlan(folder, attempt, { ...attempt.journal, committing: { sha256, bytes, ...inside } }, hasLooked);
  return writeManifest(run, session, sealed, manifest, hasLooked ? seen.journal : undefined);
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
  const { manifest, sealed } = staged;
  // Listed after the uploads of dead tries were swept: none of them can change it any more.
  await requireListed(run, manifest.objects, await folder.listing());
  run.log.info({ segments: manifest.objects.length }, 'run was being committed, and is committed as it stands');
  return writeManifest(run, session, sealed, manifest);
}

function insideOf({ folder }: Run, sha256: string, manifest: string): Content {
  const content = contentOf(Buffer.from(manifest));
  if (content.sha256 === sha256) return content;
  throw objectChanged(`the plan of ${folder.store.url}${folder.prefix} holds another manifest than it says`);
}

/** `journal` are the keys of the journal, where they were just listed, and with them that there is no manifest. */
async function writeManifest(
  run: Run,
  session: Session,
  sealed: Content,
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

/** The plan and the receipts must match one to one before a manifest may name them. */
function requireAll({ segments: { length } }: RunPlan, done: Receipts<number>): void {
  let there = 0;
  for (let segment = 0; segment < length; segment += 1) if (done.has(segment)) there += 1;
  if (there === length) return;
  throw fail('segment-missing', {
    stage: 'commit',
    message: `${there} of ${length} segments have a receipt; the run is not committed`,
  });
}

/** Those of all segments, in their order; none of them is held. */
function inOrder(done: Receipts<number>, { segments: { length } }: RunPlan): ItemsOf<Receipt> {
  return {
    length,
    *[Symbol.iterator]() {
      for (let segment = 0; segment < length; segment += 1) yield* existing(done.get(segment));
    },
  };
}

/** Those of empty segments, in the order of their keys. */
function byKey(empties: Receipts<string>): ItemsOf<Receipt> {
  const keys = [...empties.keys()].sort();
  return {
    length: keys.length,
    *[Symbol.iterator]() {
      for (const key of keys) yield* existing(empties.get(key));
    },
  };
}

function existing<T>(item: T | undefined): T[] {
  return item === undefined ? [] : [item];
}

/** What else the list before the commit has shown. */
interface Seen {
  /** Whether what the commit replaces is there: our plan, and no manifest. */
  showsOurs: boolean;
  /** The keys of the journal, or more of them than are removed at once. */
  journal: readonly string[];
}

/** Each object must still be the one that its receipt is of. What lies there is compared as it is listed, and not held. */
async function requireUnchanged({ archive, id, folder }: Run, { done, empties, plan, etag }: Attempt): Promise<Seen> {
  const journal: string[] = [];
  let [isPlanOurs, isCommitted] = [false, false];
  const segments = new Uint8Array(plan.segments.length);
  const emptyKeys = new Set<string>();
  for await (const object of folder.list()) {
    const { key } = object;
    if (folder.isOfJournal(key) && journal.length <= MOST_REMOVED) journal.push(key);
    if (key === planKey(archive.name, id)) isPlanOurs = etag !== '' && object.etag === etag;
    if (key === manifestKey(archive.name, id)) isCommitted = true;
    const segment = segmentOfDataKey(archive.name, id, key);
    if (segment === undefined) continue;
    const receipt = done.get(segment);
    if (receipt?.key === key) segments[segment] = isSameObject(receipt, object) ? 1 : 0;
    else {
      const empty = empties.get(key);
      if (empty !== undefined && isSameObject(empty, object)) emptyKeys.add(key);
    }
  }
  const differing = new Differing(folder);
  for (const [segment, isSame] of segments.entries()) if (isSame === 0) differing.add(done.get(segment)?.key ?? '');
  for (const { key } of byKey(empties)) if (!emptyKeys.has(key)) differing.add(key);
  differing.throwIfAny();
  return { showsOurs: isPlanOurs && !isCommitted, journal };
}

/** The same of a manifest that is not made of receipts. */
async function requireListed({ folder }: Run, objects: AsyncIterable<ManifestObject>, listed: Listing): Promise<void> {
  const differing = new Differing(folder);
  for await (const object of objects) {
    const key = folder.keyOf(object);
    if (!isSameObject(object, listed.get(key))) differing.add(key);
  }
  differing.throwIfAny();
}

/** Objects that are not what they were: the first one is named, and the others are counted. */
class Differing {
  readonly #folder: RunFolder;
  #first: string | undefined;
  #count = 0;

  constructor(folder: RunFolder) {
    this.#folder = folder;
  }

  add(key: string): void {
    this.#first ??= key;
    this.#count += 1;
  }

  throwIfAny(): void {
    if (this.#first === undefined) return;
    const others = this.#count === 1 ? '' : ` and ${this.#count - 1} more`;
    throw objectChanged(
      `${this.#folder.store.url}${this.#first}${others} changed after it was uploaded; the run is not committed`,
    );
  }
}

function objectChanged(message: string): FailureError {
  return fail({ code: 'object-changed', transient: false }, { stage: 'commit', message });
}
