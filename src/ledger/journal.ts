/** The journal of an unfinished run, beside its data: the plan, then a receipt for each finished segment. Gone after the commit. */
import type { Snapshot } from '../postgres/snapshot.ts';
import type { ObjectFacts } from '../segment/task.ts';
import type { Store } from '../store/store.ts';
import { journalPrefix, manifestKey, planKey, receiptKey, runPrefix } from './names.ts';
import type { CutBy, PlannedSegment } from './segments.ts';

export const PLAN_FORMAT = 'pgsluice/plan/1';
const RECEIPT_FORMAT = 'pgsluice/receipt/1';
const MAX_PLAN_BYTES = 64 * 1024 ** 2;
const MAX_RECEIPT_BYTES = 1024 ** 2;
const JSON_OBJECT = { contentType: 'application/json' };

/** The first object of a run: what it will be made of. */
export interface JournalPlan {
  format: typeof PLAN_FORMAT;
  archive: string;
  run: string;
  /** Digest of all that decides what the segments hold; receipts of another one are never mixed in. */
  fingerprint: string;
  by: CutBy;
  why: string;
  segments: PlannedSegment[];
  snapshot: Snapshot;
  estimatedRows: number;
  startedAt: string;
  host: string;
  /** Drawn anew by whoever takes the run up: it tells before the commit whether somebody else has. */
  owner: string;
  /** How the last try ended; absent while one is on, or when it was killed. A newer version may have other codes. */
  failure?: { code: string; stage: string; message: string; hint: string; at: string };
}

/** Says that one segment is done. */
export interface Receipt extends ObjectFacts {
  format: typeof RECEIPT_FORMAT;
  fingerprint: string;
  segment: number;
  /** The snapshot that it was read under. */
  snapshot: Snapshot;
}

/** Writes the plan, over the one of an earlier try. */
export async function writePlan(store: Store, plan: JournalPlan): Promise<void> {
  await store.put(planKey(plan.archive, plan.run), toBody(plan), JSON_OBJECT);
}

/** The plan that a run goes by; undefined when there is none, or none that this version understands. */
export async function readPlan(store: Store, archive: string, run: string): Promise<JournalPlan | undefined> {
  const found = await store.get(planKey(archive, run), MAX_PLAN_BYTES);
  const plan = found === undefined ? undefined : (parse(found.body) as JournalPlan | undefined);
  return plan?.format === PLAN_FORMAT && Array.isArray(plan.segments) ? plan : undefined;
}

export async function writeReceipt(
  store: Store,
  archive: string,
  run: string,
  content: Omit<Receipt, 'format'>,
): Promise<Receipt> {
  const receipt: Receipt = { format: RECEIPT_FORMAT, ...content };
  await store.put(receiptKey(archive, run, receipt.segment), toBody(receipt), JSON_OBJECT);
  return receipt;
}

/** The receipts of a run, of this fingerprint only. */
export async function readReceipts(
  store: Store,
  archive: string,
  run: string,
  fingerprint: string,
): Promise<Receipt[]> {
  const receipts: Receipt[] = [];
  for await (const { key } of store.list(journalPrefix(archive, run))) {
    if (key === planKey(archive, run)) continue;
    const found = await store.get(key, MAX_RECEIPT_BYTES);
    const receipt = found === undefined ? undefined : (parse(found.body) as Receipt | undefined);
    if (receipt?.format === RECEIPT_FORMAT && receipt.fingerprint === fingerprint) receipts.push(receipt);
  }
  return receipts;
}

/** How many receipts there are, for a list of runs; they are not read. */
export async function countReceipts(store: Store, archive: string, run: string): Promise<number> {
  let count = 0;
  for await (const { key } of store.list(journalPrefix(archive, run))) if (key !== planKey(archive, run)) count += 1;
  return count;
}

/**
 * Removes the journal of an earlier plan. Its data objects are written over by the new one, or removed before the commit;
 * a role that may delete nothing but journals can do without.
 */
export async function discardRun(store: Store, archive: string, run: string): Promise<void> {
  await clearJournal(store, archive, run);
}

/** Removes the data objects, never a manifest, that `keep` does not name, so that a reader who globs sees only what the manifest names. */
export async function removeStrays(
  store: Store,
  archive: string,
  run: string,
  keep: ReadonlySet<string>,
): Promise<void> {
  const journal = journalPrefix(archive, run);
  const kept = new Set([...keep, manifestKey(archive, run)]);
  await removeAll(store, runPrefix(archive, run), (key) => !key.startsWith(journal) && !kept.has(key));
}

/** Removes the journal of a committed run; what cannot be removed does no harm. */
export async function clearJournal(store: Store, archive: string, run: string): Promise<void> {
  await removeAll(store, journalPrefix(archive, run), () => true);
}

async function removeAll(store: Store, prefix: string, unwanted: (key: string) => boolean): Promise<void> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) if (unwanted(key)) keys.push(key);
  if (keys.length > 0) await store.remove(keys);
}

function toBody(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}
