/** Finds out which segments of an earlier try are done: a receipt is believed only when its object is read again. */
import { createHash } from 'node:crypto';
import type { Log } from '../base/log.ts';
import type { JournalPlan } from '../ledger/journal.ts';
import type { Receipt } from '../ledger/receipts.ts';
import type { RunFolder } from '../ledger/run-folder.ts';
import { isSameSnapshot } from '../postgres/snapshot.ts';
import type { Cut } from './cut/cut.ts';

/** Objects that are read again at once. */
const PROVED_AT_ONCE = 2;

/** The receipts of the plan whose objects are there, with that size and that digest, by segment. Others are logged. */
export async function proveReceipts(
  folder: RunFolder,
  plan: JournalPlan,
  cut: Pick<Cut, 'survivesSnapshot'>,
  log: Log,
  signal: AbortSignal,
): Promise<Map<number, Receipt>> {
  const { receipts, unreadable } = await folder.receipts(plan.fingerprint);
  for (const { failure } of unreadable) log.warn({ failure }, 'a receipt cannot be read; its segment is done again');
  const waiting = receipts.filter((receipt) => belongsTo(receipt, plan, cut));
  const done = new Map<number, Receipt>();
  const prove = async (): Promise<void> => {
    for (let receipt = waiting.pop(); receipt !== undefined; receipt = waiting.pop()) {
      const { segment, key } = receipt;
      if (await isProved(folder, receipt, signal)) done.set(segment, receipt);
      else log.warn({ segment, key }, 'a receipt does not match its object; the segment is done again');
    }
  };
  await Promise.all(Array.from({ length: PROVED_AT_ONCE }, prove));
  return done;
}

/** Some segments mean their rows under the plan's own snapshot only, even where two plans have the same ones. */
function belongsTo({ segment, snapshot }: Receipt, plan: JournalPlan, cut: Pick<Cut, 'survivesSnapshot'>): boolean {
  return segment < plan.segments.length && (cut.survivesSnapshot || isSameSnapshot(snapshot, plan.snapshot));
}

async function isProved({ store }: RunFolder, receipt: Receipt, signal: AbortSignal): Promise<boolean> {
  const head = await store.head(receipt.key);
  if (head?.bytes !== receipt.bytes) return false;
  const hash = createHash('sha256');
  for await (const slice of store.read(receipt.key, signal)) hash.update(slice);
  return hash.digest('hex') === receipt.sha256;
}
