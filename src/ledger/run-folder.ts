/** A run's folder in a destination, and all that is read and written there beside the data. It decides nothing. */
import { createHash } from 'node:crypto';
import os from 'node:os';
import { fail, type FailureError } from '../base/errors.ts';
import { NEVER } from '../base/signals.ts';
import { ContentMeter } from '../store/content.ts';
import type { Content, PutResult, Replaces, Store, StoredObject } from '../store/store.ts';
import type { ChainFields } from './chain.ts';
import { PLAN, type JournalPlan, type PlanOutline } from './journal.ts';
import { MANIFEST, type ListedManifest } from './manifest.ts';
import { PURGE, type PurgeRecord } from './purge.ts';
import { RESTORED, type RestoredMark } from './restored.ts';
import { MAX_SEGMENTS } from './fields.ts';
import {
  aliveKey,
  dataKey,
  folderOfDataKey,
  journalPrefix,
  manifestKey,
  planKey,
  purgeKey,
  restoredKey,
  runPrefix,
  segmentOfDataKey,
  stagedManifestKey,
  verifiedKey,
} from './names.ts';
import { JSON_OBJECT, putDocument, putSealed, readOwn, sealDocument, type RunPlace } from './own-documents.ts';
import { keyInRun, readManifest, resealManifest } from './own-manifest.ts';
import { PackedListing, type Listing } from './packed-listing.ts';
import type { Receipt } from './receipts.ts';
import type { StoredManifest } from './stored-manifest.ts';
import {
  planEtag,
  readOutline,
  readOwner,
  readPlan,
  writePlan,
  type KnownSegments,
  type StoredPlan,
} from './stored-plan.ts';
import { VERIFIED, type Verified } from './verified.ts';
import { eachReceipt, writeEmptyReceipt, writeReceipts, type ReceiptSeen, type ReceiptsOf } from './stored-receipts.ts';

/** What S3 removes in one request. */
export const MOST_REMOVED = 1000;

const ALIVE_FORMAT = 'pgsluice/alive/1';

export class RunFolder implements RunPlace {
  readonly store: Store;
  readonly archive: string;
  /** The run id. */
  readonly run: string;
  /** What is being written to the journal, which must not come after its removal. */
  #saying: Promise<unknown> = Promise.resolve();
  #isCleared = false;
  #hasSaid = false;
  #apart: KnownSegments = new WeakMap();

  constructor(store: Store, archive: string, run: string) {
    this.store = store;
    this.archive = archive;
    this.run = run;
  }

  /** The same folder, whose reading and writing ends with another signal. */
  under(signal: AbortSignal): RunFolder {
    const folder = new RunFolder(this.store.under(signal), this.archive, this.run);
    folder.#apart = this.#apart;
    return folder;
  }

  /** Relative to the destination's prefix; ends in `/`. */
  get prefix(): string {
    return runPrefix(this.archive, this.run);
  }

  get manifestUrl(): string {
    return this.store.url + manifestKey(this.archive, this.run);
  }

  /** `folder` is that of the segment's value; '' without a layout by value. */
  dataKey(segment: number, extension: string, folder = ''): string {
    return dataKey(this.archive, this.run, segment, extension, folder);
  }

  /** Where an object of the run's manifest lies, relative to the destination's prefix, wherever the folder was moved to. */
  keyOf({ key }: { key: string }): string {
    return keyInRun(this, key);
  }

  /** The folder of a data object in that of the run, such as `domain_id=42/`; '' for one that lies there itself. */
  folderOf(key: string): string {
    return folderOfDataKey(this.archive, this.run, key) ?? '';
  }

  /** Whether readers of the archive take the object of this key for data: they skip names that begin with `_`. */
  isReadAsData(key: string): boolean {
    const isOurs = key === manifestKey(this.archive, this.run) || key.startsWith(journalPrefix(this.archive, this.run));
    return !isOurs && (this.isDataKey(key) || !key.slice(this.prefix.length).startsWith('_'));
  }

  /** Whether the key is one of the journal, all of which goes after the commit. */
  isOfJournal(key: string): boolean {
    return key.startsWith(journalPrefix(this.archive, this.run));
  }

  /** Whether the key is one of a data object of this run. */
  isDataKey(key: string): boolean {
    return segmentOfDataKey(this.archive, this.run, key) !== undefined;
  }

  /** All objects that are there, or that are below a folder of values such as `domain_id=42/`. */
  list(folder = ''): AsyncIterable<StoredObject> {
    return this.store.list(this.prefix + folder);
  }

  /** The data objects that are there, at once. */
  async listing(): Promise<Listing> {
    const found = new PackedListing(this.prefix);
    for await (const object of this.list()) if (this.isDataKey(object.key)) found.add(object);
    return found;
  }

  /** Whether nothing lies there. */
  async isEmpty(): Promise<boolean> {
    for await (const _ of this.list()) return false;
    return true;
  }

  /** Whether the run is committed, without a look at what its manifest says. */
  async isCommitted(): Promise<boolean> {
    return (await this.store.head(manifestKey(this.archive, this.run))) !== undefined;
  }

  /** Whether the run was begun, and has a plan. */
  async isPlanned(): Promise<boolean> {
    return (await this.store.head(planKey(this.archive, this.run))) !== undefined;
  }

  /** Whether anything of its journal lies there. */
  async hasJournal(): Promise<boolean> {
    for await (const _ of this.store.list(journalPrefix(this.archive, this.run))) return true;
    return false;
  }

  /** The manifest; undefined when the run is not committed. Throws FailureError for one that cannot be believed. `onPiece` gets its bytes. */
  async manifest(onPiece?: (piece: Buffer) => void): Promise<StoredManifest | undefined> {
    return readManifest(this, manifestKey(this.archive, this.run), onPiece);
  }

  /** The plan; undefined when there is none. Throws FailureError for one that cannot be believed, or that is too large. */
  async plan(mostBytes = PLAN.maxBytes): Promise<StoredPlan | undefined> {
    return readPlan(this, this.#apart, mostBytes);
  }

  /**
   * The plan, and how many segments it has, none of which is held: for who shows a run. How they fit together is looked at by
   * {@link plan}. Throws FailureError for one that cannot be believed.
   */
  async outline(): Promise<PlanOutline | undefined> {
    return readOutline(this);
  }

  /** Whose the run is, without a look at the segments; undefined when there is no plan. Throws as {@link plan} does. */
  async owner(): Promise<Pick<JournalPlan, 'owner' | 'host' | 'committing'> | undefined> {
    return readOwner(this);
  }

  /**
   * Tells of the receipts of this plan, in any order; undefined for those of all plans. What `seen` throws ends it. Throws
   * FailureError for one of a newer version.
   */
  async eachReceipt(plan: ReceiptsOf | undefined, seen: ReceiptSeen): Promise<void> {
    await eachReceipt(this, plan, seen);
  }

  /** What a purge has noted; undefined when none was begun. Throws FailureError for one that cannot be believed. */
  async purge(): Promise<{ record: PurgeRecord; etag: string } | undefined> {
    const found = await readOwn(this, PURGE, purgeKey(this.archive, this.run));
    return found && { record: found.document, etag: found.etag };
  }

  /** Notes what a purge has done: only over nothing, or over the record that has this ETag. */
  async writePurge(record: PurgeRecord, replaces: Replaces): Promise<PutResult> {
    return putDocument(this, PURGE, record, purgeKey(this.archive, this.run), replaces);
  }

  /** Whether a purge of the run was begun, without a look at what it noted. */
  async hasPurge(): Promise<boolean> {
    return (await this.store.head(purgeKey(this.archive, this.run))) !== undefined;
  }

  /** The mark of the latest restore into the table of the run; undefined without one. Throws FailureError for one that cannot be believed. */
  async restored(): Promise<RestoredMark | undefined> {
    return (await readOwn(this, RESTORED, restoredKey(this.archive, this.run)))?.document;
  }

  /** Marks the run as restored; what lay there before was the mark of an earlier restore. */
  async markRestored(mark: RestoredMark): Promise<void> {
    await putDocument(this, RESTORED, mark, restoredKey(this.archive, this.run));
  }

  /** The latest proof of the run; undefined when it was never proved. Throws FailureError for one that cannot be believed. */
  async verified(): Promise<Verified | undefined> {
    return (await readOwn(this, VERIFIED, verifiedKey(this.archive, this.run)))?.document;
  }

  /** Whether the run was ever proved, without a look at the proof. */
  async wasProved(): Promise<boolean> {
    return (await this.store.head(verifiedKey(this.archive, this.run))) !== undefined;
  }

  /** Notes that the run was proved, over an earlier proof. */
  async noteVerified(verified: Verified): Promise<void> {
    await putDocument(this, VERIFIED, verified, verifiedKey(this.archive, this.run));
  }

  /** How many segments have receipts of this plan. */
  async countReceipts(plan?: ReceiptsOf): Promise<number> {
    const done = new Uint8Array(MAX_SEGMENTS);
    let count = 0;
    await this.eachReceipt(plan, {
      receipt: ({ segment }) => {
        count += done[segment] === 0 ? 1 : 0;
        done[segment] = 1;
      },
    });
    return count;
  }

  /**
   * Makes the run ours: writes the plan that it goes by from now on. With `replaces`, only over nothing or over that plan;
   * `hasLooked` says that this was just seen to be there.
   */
  async own(plan: JournalPlan, replaces?: Replaces, hasLooked = false): Promise<PutResult> {
    return writePlan(this, this.#apart, plan, replaces, hasLooked);
  }

  /** Says that segments are done. In the order of their numbers; what the document held before is gone. */
  async record(receipts: readonly Receipt[]): Promise<void> {
    await writeReceipts(this, receipts);
  }

  /** Says that the empty segment is there that stands under a key of an earlier plan. */
  async recordEmpty(receipt: Receipt): Promise<void> {
    await writeEmptyReceipt(this, receipt);
  }

  /** The manifest, byte for byte as it will be. Throws FailureError for one that could not be read again. */
  seal(manifest: ListedManifest): Content {
    return sealDocument(this, MANIFEST, manifest, manifestKey(this.archive, this.run));
  }

  /** A manifest that was read, with another place in the chain. */
  async reseal(manifest: StoredManifest, fields: ChainFields): Promise<Content> {
    return resealManifest(this, manifest, fields);
  }

  /** Whether this very manifest is the one that lies there. */
  async isCommittedAs(sha256: string): Promise<boolean> {
    return (await this.#measure(manifestKey(this.archive, this.run)))?.sha256 === sha256;
  }

  /** Writes the manifest into the journal, for whoever has to go on with the commit. */
  async stage(sealed: Content): Promise<void> {
    await putSealed(this.store, stagedManifestKey(this.archive, this.run, sealed.sha256), sealed);
  }

  /** The manifest of that digest which was staged, and what it says; undefined when it is not there. Throws FailureError. */
  async staged(sha256: string): Promise<{ sealed: Content; manifest: StoredManifest } | undefined> {
    const { store } = this;
    const key = stagedManifestKey(this.archive, this.run, sha256);
    const found = await this.#measure(key);
    if (found?.sha256 !== sha256) return undefined;
    const manifest = await readManifest(this, key);
    return manifest && { sealed: { ...found, pieces: () => store.read(key, NEVER) }, manifest };
  }

  /**
   * Writes the manifest where there must be none yet: this is the commit. Then reads it back, as all that is left of the
   * journal may go only when the manifest is there, byte for byte. Throws FailureError.
   */
  async commit(sealed: Content, hasLooked = false): Promise<void> {
    const key = manifestKey(this.archive, this.run);
    const { outcome } = await putSealed(this.store, key, sealed, 'nothing', { hasLooked, isHeld: true });
    if (outcome !== 'written') throw committedMeanwhile(this.manifestUrl);
    if ((await this.#measure(key))?.sha256 !== sealed.sha256) throw readsDifferently(this.manifestUrl);
  }

  /** How long a manifest is, and its digests; undefined when there is none of this key. */
  async #measure(key: string): Promise<Omit<Content, 'pieces'> | undefined> {
    const meter = new ContentMeter();
    const found = await this.store.scan(key, MANIFEST.maxBytes, meter.take);
    return found && meter.measured();
  }

  /** The ETag of the plan that lies there; undefined when there is none. */
  async planEtag(): Promise<string | undefined> {
    return planEtag(this);
  }

  /** Gives a sign of life of who owns the run: no two are equal. None is given once the journal is gone. */
  async sayAlive(): Promise<void> {
    if (this.#isCleared) return;
    const sign = { format: ALIVE_FORMAT, host: os.hostname(), at: new Date().toISOString() };
    const body = Buffer.from(`${JSON.stringify(sign, null, 2)}\n`);
    this.#hasSaid = true;
    const saying = this.store.put(aliveKey(this.archive, this.run), body, JSON_OBJECT);
    this.#saying = saying.catch(() => undefined);
    await saying;
  }

  /** A digest of what lies in the journal, which changes with whatever is written to it. */
  async journalDigest(): Promise<string> {
    const digest = createHash('sha256');
    for await (const { key, bytes, etag } of this.store.list(journalPrefix(this.archive, this.run)))
      digest.update(JSON.stringify([key, bytes, etag]));
    return digest.digest('hex');
  }

  /**
   * Removes the journal of a run that is committed; what cannot be removed does no harm to it. Nothing else of a run is ever
   * removed: where a key is free, a late request of a try that is dead may write to it. `keys` are those that lie there, when
   * that is known.
   */
  async clearJournal(keys?: readonly string[]): Promise<void> {
    this.#isCleared = true;
    await this.#saying;
    if (keys === undefined || keys.length > MOST_REMOVED || this.#hasSaid) return this.#clearAll();
    await this.store.remove(keys);
  }

  async #clearAll(): Promise<void> {
    let keys: string[] = [];
    for await (const { key } of this.store.list(journalPrefix(this.archive, this.run))) {
      keys.push(key);
      if (keys.length < MOST_REMOVED) continue;
      await this.store.remove(keys);
      keys = [];
    }
    if (keys.length > 0) await this.store.remove(keys);
  }
}

function committedMeanwhile(url: string): FailureError {
  const message = `${url} was written by somebody else while this run was in progress`;
  return fail('already-committed', { stage: 'commit', message });
}

function readsDifferently(url: string): FailureError {
  return fail('manifest-differs', { stage: 'commit', message: `${url} was written, but reads differently` });
}
