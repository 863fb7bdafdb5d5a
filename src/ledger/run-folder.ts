/** A run's folder in a destination, and all that is read and written there beside the data. It decides nothing. */
import { createHash } from 'node:crypto';
import os from 'node:os';
import { fail, FailureError } from '../base/errors.ts';
import { visible } from '../base/visible.ts';
import type { PutResult, Replaces, Store, StoredObject } from '../store/store.ts';
import { badDocument, readDocument, writeDocument, type DocumentKind } from './documents.ts';
import { describeLayout, isReceiptOf, PLAN, type JournalPlan, type PlanDocument, type PlanOutline } from './journal.ts';
import { folderOfObject, isStrayPartition, MANIFEST, STRAY_PARTITION, type Manifest } from './manifest.ts';
import { PURGE, type PurgeRecord } from './purge.ts';
import { MAX_SEGMENTS } from './fields.ts';
import {
  aliveKey,
  dataKey,
  emptyReceiptKey,
  folderOfDataKey,
  isEmptyReceiptKey,
  journalPrefix,
  manifestKey,
  planKey,
  purgeKey,
  receiptKey,
  runPrefix,
  segmentOfDataKey,
  segmentOfReceiptKey,
  segmentsKey,
  stagedManifestKey,
} from './names.ts';
import { openDocument, signDocument } from './signature.ts';
import { RECEIPTS, RECEIPTS_FORMAT, type Receipt } from './receipts.ts';
import type { PlannedSegment } from './segments.ts';
import { ManifestReader, type StoredManifest } from './stored-manifest.ts';
import { SignedReader } from './signed-reader.ts';
import { lieApart, SEGMENTS, SEGMENTS_FORMAT, type SegmentsApart, type SegmentsRef } from './segments-apart.ts';

/** How reading fails where a receipt is no receipt. */
const UNREADABLE: ReadonlySet<string> = new Set([RECEIPTS.code, 'object-too-large', 'untrusted']);

/** Documents of receipts that are read at once. */
const READ_AT_ONCE = 8;
/** What S3 removes in one request. */
const REMOVED_AT_ONCE = 1000;

const ALIVE_FORMAT = 'pgsluice/alive/1';
const JSON_OBJECT = { contentType: 'application/json' };

/** A plan as it lies there, with the ETag by which it can be replaced. */
export interface StoredPlan {
  plan: JournalPlan;
  etag: string;
}

/** Told of each receipt, as it is read. There may be several of one segment: that of a try that is dead may come late. */
export interface ReceiptSeen {
  /** `lowest` says in which document it stands. */
  receipt: (receipt: Receipt, lowest: number) => void;
  /** Of segments that an earlier plan named. */
  empty?: (receipt: Receipt) => void;
  /** Why others cannot be believed: their segments are as good as not done. */
  unreadable?: (failure: FailureError) => void;
}

/** The plan that receipts are wanted of. */
export type ReceiptsOf = Pick<JournalPlan, 'fingerprint' | 'extended'>;

/** A manifest that is about to be written, as it will be. */
export interface SealedManifest {
  body: Buffer;
  sha256: string;
}

export class RunFolder {
  readonly store: Store;
  readonly archive: string;
  /** The run id. */
  readonly run: string;
  /** What is being written to the journal, which must not come after its removal. */
  #saying: Promise<unknown> = Promise.resolve();
  #isCleared = false;
  /** Segments that lie apart already, so that a plan with the same ones does not bring them again. */
  #apart = new WeakMap<readonly PlannedSegment[], SegmentsRef>();

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
    return key.slice(key.lastIndexOf(this.prefix));
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

  /** Whether the key is one of a data object of this run. */
  isDataKey(key: string): boolean {
    return segmentOfDataKey(this.archive, this.run, key) !== undefined;
  }

  /** All objects that are there, or that are below a folder of values such as `domain_id=42/`. */
  list(folder = ''): AsyncIterable<StoredObject> {
    return this.store.list(this.prefix + folder);
  }

  /** The same at once, by key. */
  async listing(): Promise<Map<string, StoredObject>> {
    const found = new Map<string, StoredObject>();
    for await (const object of this.list()) found.set(object.key, object);
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

  /** The manifest; undefined when the run is not committed. Throws FailureError for one that cannot be believed. */
  async manifest(): Promise<StoredManifest | undefined> {
    return this.#manifestAt(manifestKey(this.archive, this.run));
  }

  /** The plan; undefined when there is none. Throws FailureError for one that cannot be believed, or that is too large. */
  async plan(mostBytes = PLAN.maxBytes): Promise<StoredPlan | undefined> {
    const found = await this.#read(PLAN, planKey(this.archive, this.run), mostBytes);
    if (found === undefined) return undefined;
    const { segmentsIn, ...plan } = found.document;
    if (segmentsIn === undefined) return { plan, etag: found.etag };
    const segments = await this.#segmentsOf(plan, segmentsIn, mostBytes);
    if (segments !== undefined) return { plan: this.#withSegments(plan, segments), etag: found.etag };
    return this.#withoutSegments(found.etag, () => this.plan(mostBytes));
  }

  /**
   * The plan, and how many segments it has, none of which is held: for who shows a run. How they fit together is looked at by
   * {@link plan}. Throws FailureError for one that cannot be believed.
   */
  async outline(): Promise<PlanOutline | undefined> {
    const found = await this.#scanList(PLAN, planKey(this.archive, this.run));
    if (found === undefined) return undefined;
    const { segmentsIn, ...plan } = found.document;
    if (segmentsIn === undefined) return { ...plan, segments: { length: found.items } };
    const apart = await this.#scanList(SEGMENTS, segmentsKey(this.archive, this.run, segmentsIn.sha256));
    if (apart === undefined) return this.#withoutSegments(found.etag, () => this.outline());
    const url = this.store.url + segmentsKey(this.archive, this.run, segmentsIn.sha256);
    requireNamed(url, apart, segmentsIn);
    requireSameCut(url, apart.document, plan);
    if (found.items > 0) throw badDocument(PLAN, this.store.url + planKey(this.archive, this.run), TWICE);
    return { ...plan, segments: { length: apart.items } };
  }

  /** Whose the run is, without a look at the segments; undefined when there is no plan. Throws as {@link plan} does. */
  async owner(): Promise<Pick<JournalPlan, 'owner' | 'host'> | undefined> {
    return (await this.#read(PLAN, planKey(this.archive, this.run), PLAN.maxBytes))?.document;
  }

  /**
   * Tells of the receipts of this plan, in any order; undefined for those of all plans. What `seen` throws ends it. Throws
   * FailureError for one of a newer version.
   */
  async eachReceipt(plan: ReceiptsOf | undefined, seen: ReceiptSeen): Promise<void> {
    // One that all readers draw from: what lies there is not held.
    const listed = this.store.list(journalPrefix(this.archive, this.run))[Symbol.asyncIterator]();
    const read = async (): Promise<void> => {
      try {
        for (let next = await listed.next(); next.done !== true; next = await listed.next())
          await this.#readReceipts(next.value.key, plan, seen);
      } catch (error) {
        listed.return?.().catch(() => undefined);
        throw error;
      }
    };
    await Promise.all(Array.from({ length: READ_AT_ONCE }, read));
  }

  /** What a purge has noted; undefined when none was begun. Throws FailureError for one that cannot be believed. */
  async purge(): Promise<{ record: PurgeRecord; etag: string } | undefined> {
    const found = await this.#read(PURGE, purgeKey(this.archive, this.run), PURGE.maxBytes);
    return found && { record: found.document, etag: found.etag };
  }

  /** Notes what a purge has done: only over nothing, or over the record that has this ETag. */
  async writePurge(record: PurgeRecord, replaces: Replaces): Promise<PutResult> {
    const key = purgeKey(this.archive, this.run);
    const body = this.#sign(writeDocument(PURGE, record, this.store.url + key));
    return this.store.put(key, body, { ...JSON_OBJECT, replaces });
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

  /** Makes the run ours: writes the plan that it goes by from now on. With `replaces`, only over nothing or over that plan. */
  async own(plan: JournalPlan, replaces?: Replaces): Promise<PutResult> {
    const key = planKey(this.archive, this.run);
    const body = this.#sign(writeDocument(PLAN, await this.#withoutMany(plan), this.store.url + key));
    return this.store.put(key, body, { ...JSON_OBJECT, ...(replaces === undefined ? {} : { replaces }) });
  }

  /** Says that segments are done. In the order of their numbers; what the document held before is gone. */
  async record(receipts: readonly Receipt[]): Promise<void> {
    const [lowest] = receipts;
    if (lowest === undefined) throw new Error('there are no receipts');
    await this.#writeReceipts(receiptKey(this.archive, this.run, lowest.segment), receipts);
  }

  /** Says that the empty segment is there that stands under a key of an earlier plan. */
  async recordEmpty(receipt: Receipt): Promise<void> {
    await this.#writeReceipts(emptyReceiptKey(this.archive, this.run, receipt.key), [receipt]);
  }

  /** The manifest, byte for byte as it will be. Throws FailureError for one that could not be read again. */
  seal(manifest: Manifest): SealedManifest {
    const body = this.#sign(writeDocument(MANIFEST, manifest, this.manifestUrl));
    return { body, sha256: digestOf(body) };
  }

  /** Writes the manifest into the journal, for whoever has to go on with the commit. */
  async stage({ body, sha256 }: SealedManifest): Promise<void> {
    await this.store.put(stagedManifestKey(this.archive, this.run, sha256), body, JSON_OBJECT);
  }

  /** The manifest of that digest which was staged, and what it says; undefined when it is not there. Throws FailureError. */
  async staged(sha256: string): Promise<(SealedManifest & { manifest: StoredManifest }) | undefined> {
    const key = stagedManifestKey(this.archive, this.run, sha256);
    const found = await this.store.get(key, MANIFEST.maxBytes);
    if (found === undefined || digestOf(found.body) !== sha256) return undefined;
    const manifest = await this.#manifestAt(key);
    return manifest && { body: found.body, sha256, manifest };
  }

  /**
   * Writes the manifest where there must be none yet: this is the commit. Then reads it back, as all that is left of the
   * journal may go only when the manifest is there, byte for byte. Throws FailureError.
   */
  async commit({ body }: SealedManifest): Promise<void> {
    const key = manifestKey(this.archive, this.run);
    const { outcome } = await this.store.put(key, body, { ...JSON_OBJECT, replaces: 'nothing' });
    if (outcome !== 'written') throw committedMeanwhile(this.manifestUrl);
    const found = await this.store.get(key, MANIFEST.maxBytes);
    if (found?.body.equals(body) !== true) throw readsDifferently(this.manifestUrl);
  }

  /** The ETag of the plan that lies there; undefined when there is none. */
  async planEtag(): Promise<string | undefined> {
    return (await this.store.head(planKey(this.archive, this.run)))?.etag;
  }

  /** Gives a sign of life of who owns the run: no two are equal. None is given once the journal is gone. */
  async sayAlive(): Promise<void> {
    if (this.#isCleared) return;
    const sign = { format: ALIVE_FORMAT, host: os.hostname(), at: new Date().toISOString() };
    const body = Buffer.from(`${JSON.stringify(sign, null, 2)}\n`);
    const saying = this.store.put(aliveKey(this.archive, this.run), body, JSON_OBJECT);
    this.#saying = saying.catch(() => undefined);
    await saying;
  }

  /** A digest of what lies in the journal, which changes with whatever is written to it. */
  async journalDigest(): Promise<string> {
    const hash = createHash('sha256');
    for await (const { key, bytes, etag } of this.store.list(journalPrefix(this.archive, this.run)))
      hash.update(JSON.stringify([key, bytes, etag]));
    return hash.digest('hex');
  }

  /**
   * Removes the journal of a run that is committed; what cannot be removed does no harm to it. Nothing else of a run is ever
   * removed: where a key is free, a late request of a try that is dead may write to it.
   */
  async clearJournal(): Promise<void> {
    this.#isCleared = true;
    await this.#saying;
    let keys: string[] = [];
    for await (const { key } of this.store.list(journalPrefix(this.archive, this.run))) {
      keys.push(key);
      if (keys.length < REMOVED_AT_ONCE) continue;
      await this.store.remove(keys);
      keys = [];
    }
    if (keys.length > 0) await this.store.remove(keys);
  }

  /** The plan as it is to lie there: many segments lie apart, and do so before a plan names them. */
  async #withoutMany(plan: JournalPlan): Promise<PlanDocument> {
    const { archive, run } = this;
    const { by, segments } = plan;
    const known = this.#apart.get(segments);
    if (known !== undefined) return { ...plan, segments: [], segmentsIn: known };
    if (!lieApart(segments)) return plan;
    const document: SegmentsApart = { format: SEGMENTS_FORMAT, archive, run, by, segments };
    const body = this.#sign(writeDocument(SEGMENTS, document, this.store.url + this.prefix));
    const segmentsIn = { sha256: digestOf(body), bytes: body.length };
    await this.store.put(segmentsKey(archive, run, segmentsIn.sha256), body, JSON_OBJECT);
    this.#apart.set(segments, segmentsIn);
    return { ...plan, segments: [], segmentsIn };
  }

  /** The segments of a plan that lie apart; undefined when they are not there. Throws FailureError. */
  async #segmentsOf(
    plan: Pick<JournalPlan, 'by'>,
    ref: SegmentsRef,
    mostBytes: number,
  ): Promise<PlannedSegment[] | undefined> {
    const key = segmentsKey(this.archive, this.run, ref.sha256);
    const found = await this.store.get(key, Math.min(mostBytes, SEGMENTS.maxBytes));
    if (found === undefined) return undefined;
    const url = this.store.url + key;
    requireNamed(url, { sha256: digestOf(found.body), bytes: found.body.length }, ref);
    const document = this.#open(SEGMENTS, found.body, url);
    requireSameCut(url, document, plan);
    this.#apart.set(document.segments, ref);
    return document.segments;
  }

  /** When the segments that a plan names are not there. They go with the plan when somebody commits the run: then it is looked for anew. */
  async #withoutSegments<T>(planEtag: string, again: () => Promise<T>): Promise<T> {
    if ((await this.planEtag()) !== planEtag) return again();
    const url = this.store.url + planKey(this.archive, this.run);
    throw badDocument(PLAN, url, 'the segments that it names are not there');
  }

  /** A document without the items of its long list, and how many there are; each says that it is the next one. */
  async #scanList<T extends { archive: string; run: string }>(
    kind: DocumentKind<T>,
    key: string,
  ): Promise<(SegmentsRef & { document: T; items: number; etag: string }) | undefined> {
    const url = this.store.url + key;
    const digest = createHash('sha256');
    let [bytes, items] = [0, 0];
    const reader = new SignedReader(kind, url, (item) => {
      const { index } = item as PlannedSegment;
      if (index !== items) throw badDocument(kind, url, `segments[${items}]: its index is ${index}`);
      items += 1;
    });
    const found = await this.store.scan(key, kind.maxBytes, (piece) => {
      digest.update(piece);
      bytes += piece.length;
      reader.write(piece);
    });
    if (found === undefined) return undefined;
    const document = reader.end(this.store.signing);
    this.#requireOwn(kind, document, url);
    return { document, items, etag: found.etag, sha256: digest.digest('hex'), bytes };
  }

  #sign(body: Buffer): Buffer {
    return signDocument(body, this.store.signing);
  }

  async #writeReceipts(key: string, receipts: readonly Receipt[]): Promise<void> {
    const document = { format: RECEIPTS_FORMAT, receipts: [...receipts] } as const;
    await this.store.put(key, this.#sign(writeDocument(RECEIPTS, document, this.store.url + key)), JSON_OBJECT);
  }

  async #readReceipts(key: string, plan: ReceiptsOf | undefined, seen: ReceiptSeen): Promise<void> {
    const lowest = segmentOfReceiptKey(this.archive, this.run, key);
    if (lowest === undefined && !isEmptyReceiptKey(this.archive, this.run, key)) return;
    let receipts: readonly Receipt[] = [];
    try {
      receipts = await this.#receiptsAt(key, lowest);
    } catch (error) {
      if (!(error instanceof FailureError) || !UNREADABLE.has(error.failure.code)) throw error;
      seen.unreadable?.(error);
    }
    for (const receipt of receipts) {
      // Where a plan has grown, a key that had been given up may be one of its own again.
      if (lowest === undefined && (plan === undefined || receipt.fingerprint === plan.fingerprint))
        seen.empty?.(receipt);
      if (lowest !== undefined && (plan === undefined || isReceiptOf(plan, receipt))) seen.receipt(receipt, lowest);
    }
  }

  async #manifestAt(key: string): Promise<StoredManifest | undefined> {
    const url = this.store.url + key;
    const seen = { stray: -1, isPlain: true };
    const reader = new ManifestReader(url, (object, index) => {
      if (!this.#holds(object.key)) seen.stray = seen.stray === -1 ? index : seen.stray;
      else seen.isPlain &&= object.partition === undefined && this.folderOf(this.keyOf(object)) === '';
    });
    const found = await this.store.scan(key, MANIFEST.maxBytes, (piece) => {
      reader.write(piece);
    });
    if (found === undefined) return undefined;
    const manifest = reader.end(this.store.signing, (from, bytes) => this.store.getPart(key, from, bytes));
    this.#requireOwn(MANIFEST, manifest, url);
    if (seen.stray !== -1)
      throw badDocument(MANIFEST, url, `objects[${seen.stray}].key: it does not lie in ${this.prefix}`);
    // By which columns the folders are is known at the end, so that the objects are read again.
    if (!seen.isPlain || manifest.partitionBy !== undefined) await this.#requireFolders(manifest, url);
    return manifest;
  }

  async #requireFolders(manifest: StoredManifest, url: string): Promise<void> {
    let at = 0;
    for await (const object of manifest.objects) {
      if (isStrayPartition(manifest, object))
        throw badDocument(MANIFEST, url, `objects[${at}].partition: ${STRAY_PARTITION}`);
      const folder = folderOfObject(manifest, object);
      if (folder !== undefined && folder !== this.folderOf(this.keyOf(object)))
        throw badDocument(
          MANIFEST,
          url,
          `objects[${at}].key: it does not lie in the folder of its value, ${visible(this.prefix + folder)}`,
        );
      at += 1;
    }
  }

  /** A document that says it is of this very run. */
  async #read<T extends { archive: string; run: string }>(
    kind: DocumentKind<T>,
    key: string,
    mostBytes: number,
  ): Promise<{ document: T; etag: string } | undefined> {
    const found = await this.store.get(key, mostBytes);
    return found && { document: this.#open(kind, found.body, this.store.url + key), etag: found.etag };
  }

  #open<T extends { archive: string; run: string }>(kind: DocumentKind<T>, body: Buffer, url: string): T {
    const document = readDocument(kind, openDocument(body, this.store.signing, url), url);
    this.#requireOwn(kind, document, url);
    return document;
  }

  #requireOwn(kind: DocumentKind<unknown>, document: { archive: string; run: string }, url: string): void {
    if (document.archive !== this.archive || document.run !== this.run) throw misplaced(kind, url, document);
  }

  /**
   * Receipts that speak of the segments, or of the empty one, by which they are named, and of those segments' own objects.
   * `lowest` is undefined for one of an empty segment.
   */
  async #receiptsAt(key: string, lowest: number | undefined): Promise<readonly Receipt[]> {
    const found = await this.store.get(key, RECEIPTS.maxBytes);
    if (found === undefined) return [];
    const url = this.store.url + key;
    const { receipts } = readDocument(RECEIPTS, openDocument(found.body, this.store.signing, url), url);
    const stray = receipts.find((receipt) => segmentOfDataKey(this.archive, this.run, receipt.key) !== receipt.segment);
    if (stray !== undefined)
      throw badDocument(RECEIPTS, url, `it names an object that is not of segment ${stray.segment}`);
    const [first] = receipts;
    const isNamed =
      lowest === undefined
        ? receipts.length === 1 && key === emptyReceiptKey(this.archive, this.run, first?.key ?? '')
        : first?.segment === lowest && receipts.every((receipt, at) => isAfter(receipt, receipts[at - 1]));
    if (isNamed) return receipts;
    throw badDocument(
      RECEIPTS,
      url,
      lowest === undefined ? 'it is not that of its name' : `it is not that of segment ${lowest}`,
    );
  }

  #withSegments(plan: JournalPlan, segments: PlannedSegment[]): JournalPlan {
    const whole = { ...plan, segments };
    const problem = describeLayout(whole);
    if (problem === undefined) return whole;
    throw badDocument(PLAN, this.store.url + planKey(this.archive, this.run), `segments${problem}`);
  }

  /** A manifest names whole keys, and the prefix of the destination that it was written to may have been another one. */
  #holds(key: string): boolean {
    const at = key.lastIndexOf(this.prefix);
    const isInFolder = at === 0 || (at > 0 && key[at - 1] === '/');
    return isInFolder && segmentOfDataKey(this.archive, this.run, key.slice(at)) !== undefined;
  }
}

const TWICE = 'segments: they are here, and lie elsewhere as well';

/** Of names that a document says no more than this is shown. */
const MAX_SHOWN_CHARS = 200;

function digestOf(body: Buffer): string {
  return createHash('sha256').update(body).digest('hex');
}

/** Segments that lie apart must be those that the plan names. */
function requireNamed(url: string, there: SegmentsRef, named: SegmentsRef): void {
  if (there.bytes !== named.bytes || there.sha256 !== named.sha256)
    throw badDocument(SEGMENTS, url, 'it is not the one that the plan names');
}

function requireSameCut(url: string, apart: Pick<JournalPlan, 'by'>, plan: Pick<JournalPlan, 'by'>): void {
  if (apart.by !== plan.by) throw badDocument(SEGMENTS, url, `it is cut by ${apart.by}, and the plan by ${plan.by}`);
}

function isAfter({ segment }: Receipt, before: Receipt | undefined): boolean {
  return before === undefined || before.segment < segment;
}

/** Of another run than its folder is named for. A run is read from where it lies or not at all: never what its document names elsewhere. */
function misplaced(
  kind: DocumentKind<unknown>,
  url: string,
  { archive, run }: { archive: string; run: string },
): FailureError {
  const whose = visible(`${archive} ${run}`, MAX_SHOWN_CHARS);
  if (kind.code === 'bad-journal') return badDocument(kind, url, `it is that of ${whose}`);
  const home = visible(runPrefix(archive, run), MAX_SHOWN_CHARS);
  return fail('misplaced', {
    stage: kind.stage,
    message: `${url} is not of this run: it is that of ${whose}`,
    hint: `The folder was renamed or copied. Move it back to ${home} of its destination, or remove the copy. An archive that was renamed keeps its old runs under the old name: keep or add an archive of that name in the config to read them.`,
  });
}

function committedMeanwhile(url: string): FailureError {
  const message = `${url} was written by somebody else while this run was in progress`;
  return fail('already-committed', { stage: 'commit', message });
}

function readsDifferently(url: string): FailureError {
  return fail('manifest-differs', { stage: 'commit', message: `${url} was written, but reads differently` });
}
