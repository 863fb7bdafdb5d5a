/** An attempt at a run: what one session adds to it. */
import type { JournalPlan } from '../ledger/journal.ts';
import type { Receipt } from '../ledger/receipts.ts';
import type { RunPlan } from './plan.ts';
import type { Session } from './session.ts';

export interface Attempt {
  session: Session;
  plan: RunPlan;
  /** The plan as it lies in the run's folder. */
  journal: JournalPlan;
  /** Receipts by segment: proved ones of earlier attempts, then those of this one. */
  done: Map<number, Receipt>;
}
