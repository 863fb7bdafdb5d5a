/** Decides what of a run is still to be done: goes on from the receipts of an earlier try, or plans anew. */
import { randomUUID } from 'node:crypto';
import { TOOL } from '../base/tool.ts';
import { parseRunId } from '../ledger/run-id.ts';
import type { Run } from './run.ts';
import type { Session } from './session.ts';
import type { JournalPlan } from '../ledger/journal.ts';
import type { Attempt } from './attempt.ts';
import { fingerprintOf, journalPlan } from './journal-plan.ts';
import { proveReceipts } from './prove.ts';

/** Reads the journal, proves what it says, and writes the plan that the run goes by from now on. */
export async function takeUp(run: Run, session: Session): Promise<Attempt> {
  const earlier = await run.folder.plan();
  const resumed = earlier === undefined ? undefined : await tryToResume(run, session, earlier.plan);
  if (resumed !== undefined) return resumed;
  // Also without a plan: what removed it may have been stopped before it came to the receipts.
  await run.folder.clearJournal();
  const plan = await session.view.plan(run.archive, parseRunId(run.id));
  const fingerprint = fingerprintOf(run.archive, plan, session.identity);
  const journal = journalPlan(run.archive, run.id, plan, session.snapshot, fingerprint, run.startedAt);
  await run.folder.own(journal);
  run.log.info(
    { by: plan.cut.name, why: plan.why, segments: plan.segments.length, estimate: plan.estimate },
    'run planned',
  );
  return { session, plan, journal, done: new Map() };
}

/** Undefined when nothing of the earlier try can be used. */
async function tryToResume(run: Run, session: Session, earlier: JournalPlan): Promise<Attempt | undefined> {
  const plan = await session.view.replan(run.archive, parseRunId(run.id), earlier);
  if (fingerprintOf(run.archive, plan, session.identity) !== earlier.fingerprint) {
    startOver(run, 'the config, the table or the database has changed since this run was begun');
    return undefined;
  }
  if (plan.problem !== undefined) {
    startOver(run, `its journal is no plan of this ${plan.subject.relation?.kind ?? 'query'}: ${plan.problem}`);
    return undefined;
  }
  const { cut, segments } = plan;
  const done = await proveReceipts(run.folder, earlier, cut, run.log, run.signal);
  if (!cut.survivesSnapshot && done.size < segments.length) {
    startOver(run, `segments by ${cut.name} mean their rows under the lost snapshot only`);
    return undefined;
  }
  const { failure: _failure, ...rest } = earlier;
  const journal: JournalPlan = { ...rest, owner: randomUUID(), tool: TOOL };
  await run.folder.own(journal);
  run.log.info({ segments: segments.length, done: done.size, by: cut.name }, 'run goes on from its receipts');
  return { session, plan, journal, done };
}

function startOver(run: Run, why: string): void {
  run.log.warn({ why }, 'run starts over: what an earlier try left is removed');
}
