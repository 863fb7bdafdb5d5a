/** Decides what of a run is still to be done: goes on from the receipts of an earlier try, or plans anew. */
import { createHash, randomUUID } from 'node:crypto';
import { parseRunId } from '../ledger/run-id.ts';
import type { Run } from './run.ts';
import type { Session } from './session.ts';
import { discardRun, readPlan, readReceipts, writePlan, type JournalPlan, type Receipt } from '../ledger/journal.ts';
import { fingerprintOf, journalPlan } from './journal-plan.ts';
import type { Cut } from './cut/cut.ts';
import type { RunPlan } from './plan.ts';

/** A run as it is taken up. */
export interface Work {
  plan: RunPlan;
  journal: JournalPlan;
  /** Proved receipts by segment. */
  done: Map<number, Receipt>;
}

/** Objects that are read again at once to prove their receipts. */
const PROVED_AT_ONCE = 2;

/** Reads the journal, proves what it says, and writes the plan that the run goes by from now on. */
export async function takeUp(run: Run, session: Session, signal: AbortSignal): Promise<Work> {
  const earlier = await readPlan(run.store, run.archive.name, run.id);
  const resumed = earlier === undefined ? undefined : await tryToResume(run, session, earlier, signal);
  if (resumed !== undefined) return resumed;
  // Also without a plan: what removed it may have been stopped before it came to the receipts.
  await discardRun(run.store, run.archive.name, run.id);
  const plan = await session.view.plan(run.archive, parseRunId(run.id));
  const fingerprint = fingerprintOf(run.archive, plan, session.identity);
  const journal = journalPlan(run.archive, run.id, plan, session.snapshot, fingerprint, run.startedAt);
  await writePlan(run.store, journal);
  run.log.info(
    { by: plan.cut.name, why: plan.why, segments: plan.segments.length, estimate: plan.estimate },
    'run planned',
  );
  return { plan, journal, done: new Map() };
}

/** Undefined when nothing of the earlier try can be used. */
async function tryToResume(
  run: Run,
  session: Session,
  earlier: JournalPlan,
  signal: AbortSignal,
): Promise<Work | undefined> {
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
  const done = await proveReceipts(run, earlier, cut, signal);
  if (!cut.survivesSnapshot && done.size < segments.length) {
    startOver(run, `segments by ${cut.name} mean their rows under the lost snapshot only`);
    return undefined;
  }
  const { failure: _failure, ...rest } = earlier;
  const journal: JournalPlan = { ...rest, owner: randomUUID() };
  await writePlan(run.store, journal);
  run.log.info({ segments: segments.length, done: done.size, by: cut.name }, 'run goes on from its receipts');
  return { plan, journal, done };
}

function startOver(run: Run, why: string): void {
  run.log.warn({ why }, 'run starts over: what an earlier try left is removed');
}

/** A receipt is believed only if its object is there, with that size and that digest: it is read again. */
async function proveReceipts(
  run: Run,
  journal: JournalPlan,
  cut: Cut,
  signal: AbortSignal,
): Promise<Map<number, Receipt>> {
  const receipts = await readReceipts(run.store, run.archive.name, run.id, journal.fingerprint);
  const waiting = receipts.filter((receipt) => belongsTo(receipt, journal, cut));
  const done = new Map<number, Receipt>();
  const prove = async (): Promise<void> => {
    for (let receipt = waiting.pop(); receipt !== undefined; receipt = waiting.pop()) {
      if (await isProved(run, receipt, signal)) done.set(receipt.segment, receipt);
      else
        run.log.warn(
          { segment: receipt.segment, key: receipt.key },
          'a receipt does not match its object; the segment is done again',
        );
    }
  };
  await Promise.all(Array.from({ length: PROVED_AT_ONCE }, prove));
  return done;
}

/** Some segments mean their rows under the plan's own snapshot only, even where two plans have the same ones. */
function belongsTo({ segment, snapshot }: Receipt, journal: JournalPlan, cut: Cut): boolean {
  const isSameSnapshot = snapshot.id === journal.snapshot.id && snapshot.takenAt === journal.snapshot.takenAt;
  return segment < journal.segments.length && (cut.survivesSnapshot || isSameSnapshot);
}

async function isProved(run: Run, receipt: Receipt, signal: AbortSignal): Promise<boolean> {
  const head = await run.store.head(receipt.key);
  if (head?.bytes !== receipt.bytes) return false;
  const hash = createHash('sha256');
  for await (const slice of run.store.read(receipt.key, signal)) hash.update(slice);
  return hash.digest('hex') === receipt.sha256;
}
