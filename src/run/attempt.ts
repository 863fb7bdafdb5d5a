/** An attempt at a run: what one session adds to it. */
import type { JournalPlan } from '../ledger/journal.ts';
import type { Listing } from '../ledger/packed-listing.ts';
import type { Receipts } from '../ledger/packed-receipts.ts';
import type { RunPlan } from './plan.ts';
import type { Session } from './session.ts';

/** A plan in the run's folder that this process has written. */
export interface OwnedPlan {
  journal: JournalPlan;
  /** By which it can be replaced, as long as nobody else has. */
  etag: string;
}

export interface Attempt extends OwnedPlan {
  session: Session;
  plan: RunPlan;
  /** The data objects that lay in the run's folder once the plan was ours, by key. */
  listed: Listing;
  /** Whether there was a plan before: of a try that may not be as dead as it seems. */
  isTakenUp: boolean;
  /** Receipts by segment: believed ones of earlier attempts, then those of this one. */
  done: Receipts<number>;
  /** Segments whose believed receipts stand in a document of a segment that is still to be done, by the number of that one. */
  together: ReadonlyMap<number, readonly number[]>;
  /** The same of empty segments, by key. */
  empties: Receipts<string>;
}
