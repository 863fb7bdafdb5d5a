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
import type { Attempt, OwnedPlan } from './attempt.ts';
import { buildManifest } from './build-manifest.ts';
import { advanceHead, findLink, isLinked, takeHeadBack, type Link } from './chain-link.ts';
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
  const [seen, firstLink] = await Promise.all([requireUnchanged(run, attempt), findLink(run)]);
  const built = buildManifest({
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
  let manifest = built;
  let hasLooked = seen.showsOurs;
  const { sealed, link } = await takePlace(run, firstLink, async ({ fields }) => {
    manifest = { ...built, ...fields };
    const content = folder.seal(manifest);
    const isInside = content.bytes <= mostInsideBytes;
    hasLooked &&= isInside;
    await sayCommitting(run, attempt, content, { isInside, hasLooked });
    return content;
  });
  return writeManifest(run, session, { sealed, link }, manifest, hasLooked ? seen.journal : undefined);
}

/** How often another process may take a place in the chain before this one. */
const MOST_PLACES = 10;

/** A manifest that is the head of the chain, and may be written. */
interface Placed {
  sealed: Content;
  link: Link;
}

/**
 * Has the manifest made for its place in the chain, and takes that place. Where another run was faster, as one of a host whose lock
 * is of another server, both are done again. Throws FailureError.
 */
async function takePlace(run: Run, first: Link, seal: (link: Link) => Promise<Content>): Promise<Placed> {
  let link = first;
  for (let place = 1; place <= MOST_PLACES; place += 1) {
    const sealed = await seal(link);
    if (await advanceHead(run.folder, link, sealed.sha256)) return { sealed, link };
    link = await findLink(run, sealed.sha256);
  }
  throw fail('conflict', {
    stage: 'commit',
    message: `other runs of the archive were committed ${MOST_PLACES} times while this one was about to be`,
  });
}

/** From here on the manifest may come at any time, so that nothing of the run may change any more. */
async function sayCommitting(
  { folder }: Run,
  owned: OwnedPlan,
  sealed: Content,
  { isInside, hasLooked }: { isInside: boolean; hasLooked: boolean },
): Promise<void> {
  const { sha256, bytes } = sealed;
  if (!isInside) await folder.stage(sealed);
  const inside = isInside ? { manifest: (await bytesOf(sealed)).toString() } : {};
  // A second time, the plan is another one than was listed.
  const isListed = hasLooked && owned.journal.committing === undefined;
  await replacePlan(folder, owned, { ...owned.journal, committing: { sha256, bytes, ...inside } }, isListed);
}

/**
 * Commits a run whose plan says that it is being committed, with the very manifest that was to be written; where other runs were
 * committed meanwhile, with its place in the chain behind them. Throws FailureError `object-changed` when it cannot be any more.
 */
export async function commitAsItStands(run: Run, session: Session, owned: Committing): Promise<ManifestSummary> {
  const { committing } = owned.journal;
  if (committing === undefined) throw new Error('the plan is not one that is being committed');
  const { folder } = run;
  const { manifest: inside } = committing;
  // Whoever reads a manifest reads it from where it lies.
  if (inside !== undefined) await folder.stage(insideOf(run, committing.sha256, inside));
  const staged = await folder.staged(committing.sha256);
  if (staged === undefined)
    throw objectChanged(`${folder.store.url}${folder.prefix} has not the manifest that its plan says is being written`);
  let { manifest } = staged;
  // Listed after the uploads of dead tries were swept: none of them can change it any more.
  await requireListed(run, manifest.objects, await folder.listing());
  run.log.info({ segments: manifest.objects.length }, 'run was being committed, and is committed as it stands');
  const placed = await takePlace(run, await findLink(run, committing.sha256), async (link) => {
    if (isLinked(manifest, link)) return staged.sealed;
    const { fields } = link;
    const sealed = await folder.reseal(staged.manifest, fields);
    manifest = { ...staged.manifest, ...fields };
    await sayCommitting(run, owned, sealed, { isInside: false, hasLooked: false });
    return sealed;
  });
  return writeManifest(run, session, placed, manifest);
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
  { sealed, link }: Placed,
  manifest: ManifestSummary,
  journal?: readonly string[],
): Promise<ManifestSummary> {
  const { folder } = run;
  const { sha256 } = sealed;
  await session.require();
  try {
    await folder.commit(sealed, journal !== undefined);
  } catch (error) {
    if (toFailure(error, 'commit').code === 'already-committed' && !(await folder.isCommittedAs(sha256)))
      await takeHeadBack(folder, link, sha256);
    throw error;
  }
  run.progress.becameHead(sha256);
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
