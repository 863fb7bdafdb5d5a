/** What a run asks of its source, under the snapshot of one session. */
import type { ArchiveConfig } from '../config/schema.ts';
import type { Client } from '../postgres/connect.ts';
import { requireNotRewritten } from '../postgres/rewritten.ts';
import { digestRows, type RowDigest } from '../postgres/row-digest.ts';
import type { Narrowing, Selection } from '../postgres/select.ts';
import { planRun, replanRun, type KeptCut, type ReplannedRun, type RunPlan } from './plan.ts';

export interface SourceView {
  /** Plans a run, and locks what it reads against being rewritten. Throws FailureError. */
  plan(archive: ArchiveConfig, slot: Date): Promise<RunPlan>;
  /** The same for a run whose segments are known. */
  replan(archive: ArchiveConfig, slot: Date, kept: KeptCut): Promise<ReplannedRun>;
  /** Throws FailureError `relation-rewritten` when what is read is no longer what the snapshot saw. */
  requireNotRewritten(): Promise<void>;
  digest(selection: Selection, narrowing: Narrowing): Promise<RowDigest>;
}

/** Does what may keep the server busy for long. */
type During = <T>(statements: () => Promise<T>) => Promise<T>;

/** The view of the transaction that is open on `client`. */
export function viewSource(client: Client, during: During): SourceView {
  const withLocks = <T>(planning: () => Promise<T>): Promise<T> =>
    during(async () => {
      const plan = await planning();
      // What came between the snapshot and the locks that planning takes.
      await requireNotRewritten(client);
      return plan;
    });
  return {
    plan: (archive, slot) => withLocks(() => planRun(client, archive, slot)),
    replan: (archive, slot, kept) => withLocks(() => replanRun(client, archive, slot, kept)),
    requireNotRewritten: () => during(() => requireNotRewritten(client)),
    digest: (selection, narrowing) => during(() => digestRows(client, selection, narrowing)),
  };
}
