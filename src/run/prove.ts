/** Finds out which segments of an earlier try are done: a receipt is believed when its object is still the one that it is of. */
import { createHash } from 'node:crypto';
import type { Log } from '../base/log.ts';
import type { JournalPlan } from '../ledger/journal.ts';
import { MAX_SEGMENTS } from '../ledger/fields.ts';
import type { Listing } from '../ledger/packed-listing.ts';
import { PackedReceipts, ReceiptsByKey, ReceiptsBySegment } from '../ledger/packed-receipts.ts';
import type { Receipt } from '../ledger/receipts.ts';
import type { RunFolder } from '../ledger/run-folder.ts';
import { folderOf } from '../ledger/segments.ts';
import { isSameSnapshot } from '../postgres/snapshot.ts';
import type { StoredObject } from '../store/store.ts';
import type { Attempt } from './attempt.ts';
import type { Cut } from './cut/cut.ts';

/** Objects that are read again at once. */
const PROVED_AT_ONCE = 2;
const MOST_DOUBTFUL = 2 * MAX_SEGMENTS;

/** Receipts that are believed: by segment, and those of empty segments by key. */
export type Proved = Pick<Attempt, 'done' | 'empties' | 'together'>;

/**
 * The receipts of the plan whose objects are `listed` with their size and ETag. An object whose receipt has no ETag is read
 * again. Others are logged.
 */
export async function proveReceipts(
  folder: RunFolder,
  plan: JournalPlan,
  cut: Pick<Cut, 'survivesSnapshot'>,
  listed: Listing,
  log: Log,
  signal: AbortSignal,
): Promise<Proved> {
  const believed = new Believed(folder, plan.segments.length);
  const { done, empties } = believed;
  const doubtful = new Doubtful(folder);
  await folder.eachReceipt(plan, {
    receipt: (receipt, lowest) => {
      if (done.has(receipt.segment) || !belongsTo(receipt, plan, cut, folder)) return;
      if (isSameState(receipt, listed.get(receipt.key))) believed.add(receipt, lowest);
      else doubtful.add(receipt, lowest);
    },
    empty: (receipt) => {
      if (!empties.has(receipt.key) && isSameObject(receipt, listed.get(receipt.key)))
        empties.set(receipt.key, receipt);
    },
    unreadable: ({ failure }) => {
      log.warn({ failure }, 'a receipt cannot be read; its segments are done again');
    },
  });
  const waiting = doubtful.each();
  const prove = async (): Promise<void> => {
    for (const [receipt, lowest] of waiting) {
      if (done.has(receipt.segment)) continue;
      const proved = await proveOne(folder, receipt, listed.get(receipt.key), signal);
      if (proved !== undefined && !done.has(receipt.segment)) believed.add(proved, lowest);
    }
  };
  await Promise.all(Array.from({ length: PROVED_AT_ONCE }, prove));
  for (const [{ segment, key }] of doubtful.each()) {
    if (!done.has(segment))
      log.warn({ segment, key }, 'a receipt does not match its object; the segment is done again');
  }
  return { done, empties, together: believed.together() };
}

/** What was proved so far. Of several receipts of one object, the first one is as good as the others. */
class Believed {
  readonly done: ReceiptsBySegment;
  readonly empties: ReceiptsByKey;
  /** The number in the name of the document of each receipt. */
  readonly #lowest: Uint32Array;

  constructor({ prefix }: RunFolder, segments: number) {
    this.done = new ReceiptsBySegment(prefix, segments);
    this.empties = new ReceiptsByKey(prefix);
    this.#lowest = new Uint32Array(segments);
  }

  add(receipt: Receipt, lowest: number): void {
    this.done.set(receipt.segment, receipt);
    this.#lowest[receipt.segment] = lowest;
  }

  /** A document is only written again when its own segment is done again. */
  together(): Map<number, number[]> {
    const together = new Map<number, number[]>();
    for (const segment of this.done.keys()) {
      const lowest = this.#lowest[segment] ?? segment;
      if (this.done.has(lowest)) continue;
      const segments = together.get(lowest) ?? [];
      segments.push(segment);
      together.set(lowest, segments);
    }
    return together;
  }
}

/** Receipts that do not match what was listed, and in which documents they stand. Those without an ETag are not told yet. */
class Doubtful {
  readonly #receipts: PackedReceipts;
  readonly #lowest: number[] = [];

  constructor({ prefix }: RunFolder) {
    this.#receipts = new PackedReceipts(prefix);
  }

  add(receipt: Receipt, lowest: number): void {
    // Far more than there can be segments are left out: these are done again.
    if (this.#lowest.length === MOST_DOUBTFUL) return;
    this.#receipts.add(receipt);
    this.#lowest.push(lowest);
  }

  *each(): Generator<[receipt: Receipt, lowest: number], undefined> {
    for (const [at, lowest] of this.#lowest.entries()) {
      const receipt = this.#receipts.at(at);
      if (receipt !== undefined) yield [receipt, lowest];
    }
    return undefined;
  }
}

/** Whether what is there is what the receipt is of, as far as size and ETag tell. */
export function isSameObject(
  { bytes, etag = '' }: Pick<Receipt, 'bytes' | 'etag'>,
  there: StoredObject | undefined,
): boolean {
  if (there?.bytes !== bytes) return false;
  // Some servers give no ETags: there is no more to be known then.
  return etag === '' || there.etag === '' || there.etag === etag;
}

/** The same, where there is an ETag to tell it by. */
function isSameState(receipt: Receipt, there: StoredObject | undefined): boolean {
  return (receipt.etag ?? '') !== '' && there?.etag !== '' && isSameObject(receipt, there);
}

/**
 * Some segments mean their rows under the plan's own snapshot only, even where two plans have the same ones. An object in the
 * folder of another value is none of this segment.
 */
function belongsTo(
  { segment: index, key, snapshot }: Receipt,
  plan: JournalPlan,
  cut: Pick<Cut, 'survivesSnapshot'>,
  folder: RunFolder,
): boolean {
  const segment = plan.segments.at(index);
  if (segment === undefined || folder.folderOf(key) !== folderOf(plan.partitionBy, segment)) return false;
  return cut.survivesSnapshot || isSameSnapshot(snapshot, plan.snapshot);
}

async function proveOne(
  { store }: RunFolder,
  receipt: Receipt,
  there: StoredObject | undefined,
  signal: AbortSignal,
): Promise<Receipt | undefined> {
  if (there?.bytes !== receipt.bytes) return undefined;
  const { etag = '' } = receipt;
  if (etag !== '' && there.etag !== '') return undefined;
  const hash = createHash('sha256');
  for await (const slice of store.read(receipt.key, signal)) hash.update(slice);
  return hash.digest('hex') === receipt.sha256 ? { ...receipt, etag: there.etag } : undefined;
}
