/** A run's folder in a destination, and all that is read and written there beside the data. It decides nothing. */
import { fail, FailureError } from '../base/errors.ts';
import { visible } from '../base/visible.ts';
import type { PutResult, Replaces, Store, StoredObject } from '../store/store.ts';
import { badDocument, readDocument, writeDocument, type DocumentKind } from './documents.ts';
import { PLAN, type JournalPlan } from './journal.ts';
import { MANIFEST, type Manifest } from './manifest.ts';
import {
  dataKey,
  emptyOfReceiptKey,
  emptyReceiptKey,
  journalPrefix,
  manifestKey,
  planKey,
  receiptKey,
  runPrefix,
  segmentOfDataKey,
  segmentOfReceiptKey,
} from './names.ts';
import { openDocument, signDocument } from './signature.ts';
import { RECEIPT, RECEIPT_FORMAT, type Receipt } from './receipts.ts';

/** How reading fails where a receipt is no receipt. */
const UNREADABLE: ReadonlySet<string> = new Set([RECEIPT.code, 'object-too-large', 'untrusted']);

/** Receipts that are read at once. */
const READ_AT_ONCE = 16;

const JSON_OBJECT = { contentType: 'application/json' };

/** A plan as it lies there, with the ETag by which it can be replaced. */
export interface StoredPlan {
  plan: JournalPlan;
  etag: string;
}

/** The receipts of one plan. */
export interface StoredReceipts {
  receipts: Receipt[];
  /** Those of segments that an earlier plan named. */
  empties: Receipt[];
  /** Why others cannot be believed: their segments are as good as not done. */
  unreadable: FailureError[];
}

/** Told of each receipt, as it is read. */
export interface ReceiptSeen {
  receipt: (receipt: Receipt) => void;
  empty?: (receipt: Receipt) => void;
  unreadable?: (failure: FailureError) => void;
}

export class RunFolder {
  readonly store: Store;
  readonly archive: string;
  /** The run id. */
  readonly run: string;

  constructor(store: Store, archive: string, run: string) {
    this.store = store;
    this.archive = archive;
    this.run = run;
  }

  /** Relative to the destination's prefix; ends in `/`. */
  get prefix(): string {
    return runPrefix(this.archive, this.run);
  }

  get manifestUrl(): string {
    return this.store.url + manifestKey(this.archive, this.run);
  }

  dataKey(segment: number, extension: string): string {
    return dataKey(this.archive, this.run, segment, extension);
  }

  /** Where an object of the run's manifest lies, relative to the destination's prefix, wherever the folder was moved to. */
  keyOf({ key }: { key: string }): string {
    return this.prefix + key.slice(key.lastIndexOf('/') + 1);
  }

  /** Whether readers of the archive take the object of this key for data: they skip names that begin with `_`. */
  isReadAsData(key: string): boolean {
    const isOurs = key === manifestKey(this.archive, this.run) || key.startsWith(journalPrefix(this.archive, this.run));
    return !isOurs && !key.slice(this.prefix.length).startsWith('_');
  }

  /** Whether the key is one of a data object of this run. */
  isDataKey(key: string): boolean {
    return segmentOfDataKey(this.archive, this.run, key) !== undefined;
  }

  /** All objects that are there. */
  list(): AsyncIterable<StoredObject> {
    return this.store.list(this.prefix);
  }

  /** The same at once, by key. */
  async listing(): Promise<Map<string, StoredObject>> {
    const found = new Map<string, StoredObject>();
    for await (const object of this.list()) found.set(object.key, object);
    return found;
  }

  /** Whether the run is committed, without a look at what its manifest says. */
  async isCommitted(): Promise<boolean> {
    return (await this.store.head(manifestKey(this.archive, this.run))) !== undefined;
  }

  /** Whether the run was begun, and has a plan. */
  async isPlanned(): Promise<boolean> {
    return (await this.store.head(planKey(this.archive, this.run))) !== undefined;
  }

  /**
   * The manifest; undefined when the run is not committed. Throws FailureError for one that cannot be believed, or that is
   * larger than `mostBytes`.
   */
  async manifest(mostBytes = MANIFEST.maxBytes): Promise<Manifest | undefined> {
    const found = await this.#read(MANIFEST, manifestKey(this.archive, this.run), mostBytes);
    if (found === undefined) return undefined;
    const stray = found.document.objects.findIndex(({ key }) => !this.#holds(key));
    if (stray === -1) return found.document;
    throw badDocument(MANIFEST, this.manifestUrl, `objects[${stray}].key: it does not lie in ${this.prefix}`);
  }

  /** The plan; undefined when there is none. Throws FailureError for one that cannot be believed, or that is too large. */
  async plan(mostBytes = PLAN.maxBytes): Promise<StoredPlan | undefined> {
    const found = await this.#read(PLAN, planKey(this.archive, this.run), mostBytes);
    return found && { plan: found.document, etag: found.etag };
  }

  /**
   * The receipts of the plan with this fingerprint; those of other plans are left out. Throws FailureError for one of a
   * newer version.
   */
  async receipts(fingerprint: string): Promise<StoredReceipts> {
    const found: StoredReceipts = { receipts: [], empties: [], unreadable: [] };
    await this.eachReceipt(fingerprint, {
      receipt: (receipt) => found.receipts.push(receipt),
      empty: (receipt) => found.empties.push(receipt),
      unreadable: (failure) => found.unreadable.push(failure),
    });
    found.receipts.sort((a, b) => a.segment - b.segment);
    return found;
  }

  /** The same, for who does not keep them, in any order. What `seen` throws ends it. */
  async eachReceipt(fingerprint: string, seen: ReceiptSeen): Promise<void> {
    const keys: string[] = [];
    for await (const { key } of this.store.list(journalPrefix(this.archive, this.run))) keys.push(key);
    const waiting = keys.values();
    const read = async (): Promise<void> => {
      for (const key of waiting) await this.#readReceipt(key, fingerprint, seen);
    };
    await Promise.all(Array.from({ length: READ_AT_ONCE }, read));
  }

  /** How many segments have receipts, of whatever plan; they are not read. */
  async countReceipts(): Promise<number> {
    let count = 0;
    for await (const { key } of this.store.list(journalPrefix(this.archive, this.run)))
      if (segmentOfReceiptKey(this.archive, this.run, key) !== undefined) count += 1;
    return count;
  }

  /** Makes the run ours: writes the plan that it goes by from now on. With `replaces`, only over nothing or over that plan. */
  async own(plan: JournalPlan, replaces?: Replaces): Promise<PutResult> {
    const key = planKey(this.archive, this.run);
    const body = this.#sign(writeDocument(PLAN, plan, this.store.url + key));
    return this.store.put(key, body, { ...JSON_OBJECT, ...(replaces === undefined ? {} : { replaces }) });
  }

  /** Says that a segment is done. */
  async record(content: Omit<Receipt, 'format'>): Promise<Receipt> {
    return this.#writeReceipt(receiptKey(this.archive, this.run, content.segment), content);
  }

  /** Says that the empty segment is there that stands under a key of an earlier plan. */
  async recordEmpty(content: Omit<Receipt, 'format'>): Promise<Receipt> {
    return this.#writeReceipt(emptyReceiptKey(this.archive, this.run, content.key), content);
  }

  /**
   * Writes the manifest where there must be none yet: this is the commit. Then reads it back, as all that is left of the
   * journal may go only when the manifest is there, byte for byte. Throws FailureError.
   */
  async commit(manifest: Manifest): Promise<void> {
    const key = manifestKey(this.archive, this.run);
    const body = this.#sign(writeDocument(MANIFEST, manifest, this.manifestUrl));
    const { outcome } = await this.store.put(key, body, { ...JSON_OBJECT, replaces: 'nothing' });
    if (outcome !== 'written') throw committedMeanwhile(this.manifestUrl);
    const found = await this.store.get(key, MANIFEST.maxBytes);
    if (found?.body.equals(body) !== true) throw readsDifferently(this.manifestUrl);
  }

  /**
   * Removes the journal of a run that is committed; what cannot be removed does no harm to it. Nothing else of a run is ever
   * removed: where a key is free, a late request of a try that is dead may write to it.
   */
  async clearJournal(): Promise<void> {
    const keys: string[] = [];
    for await (const { key } of this.store.list(journalPrefix(this.archive, this.run))) keys.push(key);
    if (keys.length > 0) await this.store.remove(keys);
  }

  #sign(body: Buffer): Buffer {
    return signDocument(body, this.store.signing);
  }

  async #writeReceipt(key: string, content: Omit<Receipt, 'format'>): Promise<Receipt> {
    const receipt: Receipt = { format: RECEIPT_FORMAT, ...content };
    await this.store.put(key, this.#sign(writeDocument(RECEIPT, receipt, this.store.url + key)), JSON_OBJECT);
    return receipt;
  }

  async #readReceipt(key: string, fingerprint: string, seen: ReceiptSeen): Promise<void> {
    const segment = segmentOfReceiptKey(this.archive, this.run, key);
    const emptyKey = emptyOfReceiptKey(this.archive, this.run, key);
    if (segment === undefined && emptyKey === undefined) return;
    let receipt: Receipt | undefined;
    try {
      receipt = await this.#receipt(key, segment, emptyKey);
    } catch (error) {
      if (!(error instanceof FailureError) || !UNREADABLE.has(error.failure.code)) throw error;
      seen.unreadable?.(error);
    }
    if (receipt?.fingerprint !== fingerprint) return;
    if (emptyKey === undefined) seen.receipt(receipt);
    else seen.empty?.(receipt);
  }

  /** A document that says it is of this very run. */
  async #read<T extends { archive: string; run: string }>(
    kind: DocumentKind<T>,
    key: string,
    mostBytes: number,
  ): Promise<{ document: T; etag: string } | undefined> {
    const found = await this.store.get(key, mostBytes);
    if (found === undefined) return undefined;
    const url = this.store.url + key;
    const document = readDocument(kind, openDocument(found.body, this.store.signing, url), url);
    if (document.archive === this.archive && document.run === this.run) return { document, etag: found.etag };
    throw badDocument(kind, url, `it is that of ${visible(`${document.archive} ${document.run}`, MAX_SHOWN_CHARS)}`);
  }

  /** A receipt that speaks of the segment, or of the empty one, whose name it has, and of that segment's own object. */
  async #receipt(key: string, segment: number | undefined, emptyKey: string | undefined): Promise<Receipt | undefined> {
    const found = await this.store.get(key, RECEIPT.maxBytes);
    if (found === undefined) return undefined;
    const url = this.store.url + key;
    const receipt = readDocument(RECEIPT, openDocument(found.body, this.store.signing, url), url);
    const isOfKey = segmentOfDataKey(this.archive, this.run, receipt.key) === receipt.segment;
    if (isOfKey && (emptyKey === undefined ? receipt.segment === segment : receipt.key === emptyKey)) return receipt;
    throw badDocument(RECEIPT, url, `it is not that of ${emptyKey ?? `segment ${segment ?? ''}`}`);
  }

  /** A manifest names whole keys, and the prefix of the destination that it was written to may have been another one. */
  #holds(key: string): boolean {
    const at = key.lastIndexOf(this.prefix);
    const isInFolder = at === 0 || (at > 0 && key[at - 1] === '/');
    return isInFolder && segmentOfDataKey(this.archive, this.run, key.slice(at)) !== undefined;
  }
}

/** Of names that a document says no more than this is shown. */
const MAX_SHOWN_CHARS = 200;

function committedMeanwhile(url: string): FailureError {
  const message = `${url} was written by somebody else while this run was in progress`;
  return fail('already-committed', { stage: 'commit', message });
}

function readsDifferently(url: string): FailureError {
  return fail('manifest-differs', { stage: 'commit', message: `${url} was written, but reads differently` });
}
