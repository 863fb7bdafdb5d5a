/**
 * Whose a run is: of whoever wrote its plan.json last. The lock is one server's, and a process that was frozen, or cut off,
 * knows nothing of what happened meanwhile; so each write that counts goes by the ETag of what it replaces.
 */
import { randomUUID } from 'node:crypto';
import { fail, type FailureError } from '../base/errors.ts';
import type { JournalPlan } from '../ledger/journal.ts';
import type { RunFolder } from '../ledger/run-folder.ts';
import type { Replaces } from '../store/store.ts';
import type { OwnedPlan } from './attempt.ts';
import type { Run } from './run.ts';

/** Whom a plan is of that is written for this run: no two are equal, so that no two plans are. */
export function drawOwner({ owner }: Pick<Run, 'owner'>): string {
  return `${owner}/${randomUUID()}`;
}

/** Whether the plan was written for this run, by a session of it that is over. */
export function isPlanOf({ owner }: Pick<Run, 'owner'>, plan: Pick<JournalPlan, 'owner'>): boolean {
  return plan.owner.startsWith(`${owner}/`);
}

/** Writes a plan where `replaces` is; resolves to its ETag, or undefined when something else is there. */
export async function ownPlan(
  folder: RunFolder,
  journal: JournalPlan,
  replaces: Replaces,
  hasLooked = false,
): Promise<string | undefined> {
  const result = await folder.own(journal, replaces, hasLooked);
  return result.outcome === 'written' ? result.etag : undefined;
}

/** Writes another plan in the place of ours, which may have just been seen to be there. Throws FailureError when it is not ours any more. */
export async function replacePlan(
  folder: RunFolder,
  owned: OwnedPlan,
  journal: JournalPlan,
  hasLooked = false,
): Promise<void> {
  const etag = await ownPlan(folder, journal, owned.etag, hasLooked);
  if (etag === undefined) throw await lostRun(folder);
  owned.journal = journal;
  owned.etag = etag;
}

/** Throws FailureError `taken-over` or `already-committed` when the run is not ours any more. */
export async function requireOwnership(folder: RunFolder, { journal }: OwnedPlan): Promise<void> {
  if ((await folder.owner())?.owner !== journal.owner) throw await lostRun(folder);
}

/** The failure of a run whose plan is not ours any more. */
export async function lostRun(folder: RunFolder): Promise<FailureError> {
  const { manifestUrl } = folder;
  if (await folder.isCommitted()) {
    const message = `${manifestUrl} was written by somebody else while this run was in progress`;
    return fail('already-committed', { stage: 'commit', message });
  }
  const found = await folder.owner();
  const who = found === undefined ? 'somebody, who has removed its plan' : `a process on ${found.host}`;
  return fail('taken-over', {
    stage: 'journal',
    message: `${folder.store.url}${folder.prefix} was taken over by ${who}`,
    ...(found === undefined ? {} : { host: found.host }),
  });
}
