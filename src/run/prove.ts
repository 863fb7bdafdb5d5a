/** Finds out which segments of an earlier try are done: a receipt is believed when its object is still the one that it is of. */
import { createHash } from 'node:crypto';
import type { Log } from '../base/log.ts';
import type { JournalPlan } from '../ledger/journal.ts';
import type { Receipt } from '../ledger/receipts.ts';
import type { RunFolder } from '../ledger/run-folder.ts';
import { isSameSnapshot } from '../postgres/snapshot.ts';
import type { StoredObject } from '../store/store.ts';
import type { Cut } from './cut/cut.ts';

/** Objects that are read again at once. */
const PROVED_AT_ONCE = 2;

/** Receipts that are believed: by segment, and those of empty segments by key. */
export interface Proved {
  done: Map<number, Receipt>;
  empties: Map<string, Receipt>;
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
  const { receipts, empties, unreadable } = await folder.receipts(plan.fingerprint);
  for (const { failure } of unreadable) log.warn({ failure }, 'a receipt cannot be read; its segment is done again');
  const waiting = receipts.filter((receipt) => belongsTo(receipt, plan, cut));
  const done = new Map<number, Receipt>();
  const prove = async (): Promise<void> => {
    for (let receipt = waiting.pop(); receipt !== undefined; receipt = waiting.pop()) {
      const { segment, key } = receipt;
      const proved = await proveOne(folder, receipt, listed.get(key), signal);
      if (proved !== undefined) done.set(segment, proved);
      else log.warn({ segment, key }, 'a receipt does not match its object; the segment is done again');
    }
  };
  await Promise.all(Array.from({ length: PROVED_AT_ONCE }, prove));
  const provedEmpties = empties.filter((receipt) => isSameObject(receipt, listed.get(receipt.key)));
  return { done, empties: new Map(provedEmpties.map((receipt) => [receipt.key, receipt])) };
}

/** Whether what is there is what the receipt is of, as far as size and ETag tell. */
export function isSameObject({ bytes, etag = '' }: Receipt, there: StoredObject | undefined): boolean {
  if (there?.bytes !== bytes) return false;
  // Some servers give no ETags: there is no more to be known then.
  return etag === '' || there.etag === '' || there.etag === etag;
}

/** Some segments mean their rows under the plan's own snapshot only, even where two plans have the same ones. */
function belongsTo({ segment, snapshot }: Receipt, plan: JournalPlan, cut: Pick<Cut, 'survivesSnapshot'>): boolean {
  return segment < plan.segments.length && (cut.survivesSnapshot || isSameSnapshot(snapshot, plan.snapshot));
}

async function proveOne(
  { store }: RunFolder,
  receipt: Receipt,
  there: StoredObject | undefined,
  signal: AbortSignal,
): Promise<Receipt | undefined> {
  if (there?.bytes !== receipt.bytes) return undefined;
  const { etag = '' } = receipt;
  if (etag !== '' && there.etag !== '') return etag === there.etag ? receipt : undefined;
  const hash = createHash('sha256');
  for await (const slice of store.read(receipt.key, signal)) hash.update(slice);
  return hash.digest('hex') === receipt.sha256 ? { ...receipt, etag: there.etag } : undefined;
}
