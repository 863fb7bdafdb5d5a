/** The receipts in the journal of a run: each document is believed only of the segments, or of the empty one, that its name is of. */
import { FailureError } from '../base/errors.ts';
import { badDocument } from './documents.ts';
import { isReceiptOf, type JournalPlan } from './journal.ts';
import {
  emptyReceiptKey,
  isEmptyReceiptKey,
  journalPrefix,
  receiptKey,
  segmentOfDataKey,
  segmentOfReceiptKey,
} from './names.ts';
import { openSigned, putDocument, type RunPlace } from './own-documents.ts';
import { RECEIPTS, RECEIPTS_FORMAT, type Receipt } from './receipts.ts';

/** How reading fails where a receipt is no receipt. */
const UNREADABLE: ReadonlySet<string> = new Set([RECEIPTS.code, 'object-too-large', 'untrusted']);

/** Documents of receipts that are read at once. */
const READ_AT_ONCE = 8;

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

/**
 * Tells of the receipts of this plan, in any order; undefined for those of all plans. What `seen` throws ends it. Throws
 * FailureError for one of a newer version.
 */
export async function eachReceipt(place: RunPlace, plan: ReceiptsOf | undefined, seen: ReceiptSeen): Promise<void> {
  // One that all readers draw from: what lies there is not held.
  const listed = place.store.list(journalPrefix(place.archive, place.run))[Symbol.asyncIterator]();
  const read = async (): Promise<void> => {
    try {
      for (let next = await listed.next(); next.done !== true; next = await listed.next())
        await readReceipts(place, next.value.key, plan, seen);
    } catch (error) {
      listed.return?.().catch(() => undefined);
      throw error;
    }
  };
  await Promise.all(Array.from({ length: READ_AT_ONCE }, read));
}

/** Writes those of segments that are done, in the order of their numbers; what the document held before is gone. */
export async function writeReceipts(place: RunPlace, receipts: readonly Receipt[]): Promise<void> {
  const [lowest] = receipts;
  if (lowest === undefined) throw new Error('there are no receipts');
  await put(place, receiptKey(place.archive, place.run, lowest.segment), receipts);
}

/** Writes that of the empty segment that stands under a key of an earlier plan. */
export async function writeEmptyReceipt(place: RunPlace, receipt: Receipt): Promise<void> {
  await put(place, emptyReceiptKey(place.archive, place.run, receipt.key), [receipt]);
}

async function put(place: RunPlace, key: string, receipts: readonly Receipt[]): Promise<void> {
  await putDocument(place, RECEIPTS, { format: RECEIPTS_FORMAT, receipts: [...receipts] }, key);
}

async function readReceipts(
  place: RunPlace,
  key: string,
  plan: ReceiptsOf | undefined,
  seen: ReceiptSeen,
): Promise<void> {
  const lowest = segmentOfReceiptKey(place.archive, place.run, key);
  if (lowest === undefined && !isEmptyReceiptKey(place.archive, place.run, key)) return;
  let receipts: readonly Receipt[] = [];
  try {
    receipts = await receiptsAt(place, key, lowest);
  } catch (error) {
    if (!(error instanceof FailureError) || !UNREADABLE.has(error.failure.code)) throw error;
    seen.unreadable?.(error);
  }
  for (const receipt of receipts) {
    // Where a plan has grown, a key that had been given up may be one of its own again.
    if (lowest === undefined && (plan === undefined || receipt.fingerprint === plan.fingerprint)) seen.empty?.(receipt);
    if (lowest !== undefined && (plan === undefined || isReceiptOf(plan, receipt))) seen.receipt(receipt, lowest);
  }
}

/**
 * Receipts that speak of the segments, or of the empty one, by which they are named, and of those segments' own objects.
 * `lowest` is undefined for one of an empty segment.
 */
async function receiptsAt(place: RunPlace, key: string, lowest: number | undefined): Promise<readonly Receipt[]> {
  const { store, archive, run } = place;
  const found = await store.get(key, RECEIPTS.maxBytes);
  if (found === undefined) return [];
  const url = store.url + key;
  const { receipts } = openSigned(place, RECEIPTS, found.body, key);
  const stray = receipts.find((receipt) => segmentOfDataKey(archive, run, receipt.key) !== receipt.segment);
  if (stray !== undefined)
    throw badDocument(RECEIPTS, url, `it names an object that is not of segment ${stray.segment}`);
  const [first] = receipts;
  const isNamed =
    lowest === undefined
      ? receipts.length === 1 && key === emptyReceiptKey(archive, run, first?.key ?? '')
      : first?.segment === lowest && receipts.every((receipt, at) => isAfter(receipt, receipts[at - 1]));
  if (isNamed) return receipts;
  throw badDocument(
    RECEIPTS,
    url,
    lowest === undefined ? 'it is not that of its name' : `it is not that of segment ${lowest}`,
  );
}

function isAfter({ segment }: Receipt, before: Receipt | undefined): boolean {
  return before === undefined || before.segment < segment;
}
