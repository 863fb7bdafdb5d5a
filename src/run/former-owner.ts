/**
 * Whoever owned a run, as its plan says: is he gone? Where he holds his lock on our server, ours decides, at once. Where it is
 * another server's, such as the primary before a failover, his journal is watched for a sign of life. That keeps hosts polite
 * to each other; what keeps archives whole is the order of the writes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { fail, type FailureError } from '../base/errors.ts';
import { formatDuration } from '../base/units.ts';
import type { Instance, JournalPlan } from '../ledger/journal.ts';
import { LIVENESS } from './liveness.ts';
import { isPlanOf } from './ownership.ts';
import type { Run } from './run.ts';
import type { Session } from './session.ts';

/** Returns when he is gone, which may take a while. Throws FailureError `locked` when he lives. */
export async function requireOwnerGone(run: Run, session: Session, plan: JournalPlan): Promise<void> {
  const { folder, log } = run;
  if (plan.ended !== undefined || isPlanOf(run, plan) || isSameInstance(plan.instance, session.instance)) return;
  const { silenceMs } = LIVENESS;
  const who = { host: plan.host, instance: plan.instance };
  log.info(
    { ...who, silenceMs },
    'the run is of a host that reads from another server: it is watched for a sign of life',
  );
  const before = await folder.journalDigest();
  await pause(run, session, silenceMs);
  if ((await folder.journalDigest()) !== before) throw stillOwned(run, plan);
  log.warn(who, 'the host that began the run has given no sign of life, and is taken for gone');
}

/** Whether a lock on the one is a lock on the other. A standby that is promoted stays the instance that it was. */
function isSameInstance(theirs: Instance | null, ours: Instance): boolean {
  return (
    theirs !== null &&
    theirs.systemIdentifier === ours.systemIdentifier &&
    theirs.postmasterStart === ours.postmasterStart &&
    theirs.database === ours.database
  );
}

/** By a clock that nobody sets. */
async function pause({ signal, drain }: Run, { lost }: Session, ms: number): Promise<void> {
  try {
    await sleep(ms, undefined, { signal: AbortSignal.any([signal, lost, drain]) });
  } catch {
    signal.throwIfAborted();
    lost.throwIfAborted();
    throw fail('drained', { stage: 'journal', message: 'the run was waiting for the host that has begun it' });
  }
}

function stillOwned({ archive, folder }: Run, { host, instance }: JournalPlan): FailureError {
  return fail('locked', {
    stage: 'journal',
    archive: archive.name,
    host,
    message:
      `${folder.store.url}${folder.prefix} is of a process on ${host}, which is at work: ` +
      `its journal has changed within ${formatDuration(LIVENESS.silenceMs)}; its lock is of ${describeInstance(instance)}`,
  });
}

function describeInstance(instance: Instance | null): string {
  if (instance === null) return 'a server that is not known';
  const { systemIdentifier, postmasterStart, database, inRecovery } = instance;
  const server = systemIdentifier === null ? 'a server' : `the server ${systemIdentifier}`;
  const kind = inRecovery === true ? ', a standby' : '';
  return `database ${database} on ${server} that was started ${postmasterStart}${kind}`;
}
