/** Finds out which segments of an earlier try are done: a receipt is believed when its object is still the one that it is of. */
import { createHash } from 'node:crypto';
import type { Log } from '../base/log.ts';
import type { JournalPlan } from '../ledger/journal.ts';
import type { Receipt } from '../ledger/receipts.ts';
import type { RunFolder } from '../ledger/run-folder.ts';
import { folderOf } from '../ledger/segments.ts';
import { isSameSnapshot } from '../postgres/snapshot.ts';
import type { StoredObject } from '../store/store.ts';
import type { Cut } from './cut/cut.ts';

/** Objects that are read again at once. */
const PROVED_AT_ONCE = 2;

/** Receipts that are believed: by segment, and those of empty segments by key. */
export interface Proved {
  done: Map<number, Receipt>;
  empties: Map<string, Receipt>;
  /** Segments whose receipts stand in one document, by the number in its name. */
  together: Map<number, number[]>;
}

/**
 * The receipts of the plan whose objects are `listed` with their size and ETag. An object whose receipt has no ETag is read
 * again. Others are logged.
 */
export async function proveReceipts(
  folder: RunFolder,
  plan: JournalPlan,
  cut: Pick<Cut, 'survivesSnapshot'>,
  listed: ReadonlyMap<string, StoredObject>,
  log: Log,
  signal: AbortSignal,
): Promise<Proved> {
  const done = new Map<number, Receipt>();
  const empties = new Map<string, Receipt>();
  const together = new Map<number, number[]>();
  /** Others, and in which document they stand. Those without an ETag are not told yet. */
  const doubtful: { receipt: Receipt; lowest: number }[] = [];
  const believe = (receipt: Receipt, lowest: number): void => {
    done.set(receipt.segment, sharing(receipt, plan));
    together.set(lowest, [...(together.get(lowest) ?? []), receipt.segment]);
  };
  await folder.eachReceipt(plan, {
    receipt: (receipt, lowest) => {
      if (!belongsTo(receipt, plan, cut, folder)) return;
      if (isSameState(receipt, listed.get(receipt.key))) believe(receipt, lowest);
      else doubtful.push({ receipt, lowest });
    },
    empty: (receipt) => {
      if (isSameObject(receipt, listed.get(receipt.key))) empties.set(receipt.key, receipt);
    },
    unreadable: ({ failure }) => {
      log.warn({ failure }, 'a receipt cannot be read; its segments are done again');
    },
  });
  const waiting = doubtful.values();
  const prove = async (): Promise<void> => {
    for (const { receipt, lowest } of waiting) {
      const proved = await proveOne(folder, receipt, listed.get(receipt.key), signal);
      if (proved !== undefined && !done.has(receipt.segment)) believe(proved, lowest);
    }
  };
  await Promise.all(Array.from({ length: PROVED_AT_ONCE }, prove));
  for (const { receipt } of doubtful) {
    const { segment, key } = receipt;
    if (!done.has(segment))
      log.warn({ segment, key }, 'a receipt does not match its object; the segment is done again');
  }
  return { done, empties, together };
}

/** The receipt with the plan's own snapshot and fingerprint, where it says the same: of each text, one is held and not 400,000. */
function sharing(receipt: Receipt, { fingerprint, snapshot }: JournalPlan): Receipt {
  return {
    ...receipt,
    fingerprint: receipt.fingerprint === fingerprint ? fingerprint : receipt.fingerprint,
    snapshot: isSameSnapshot(receipt.snapshot, snapshot) ? snapshot : receipt.snapshot,
  };
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
  const segment = plan.segments[index];
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
