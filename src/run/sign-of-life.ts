/** While a run is ours, its journal shows that we are at work, also to hosts that cannot see our lock. */
import { LIVENESS } from './liveness.ts';
import type { OwnedPlan } from './attempt.ts';
import type { Run } from './run.ts';

export interface SignOfLife {
  /** Something was written to the journal, which is a sign as well. */
  given: () => void;
  stop: () => void;
}

/** Gives a sign whenever none was given for a while, until it is stopped or the plan is not ours any more. */
export function giveSigns({ folder }: Pick<Run, 'folder'>, owned: Pick<OwnedPlan, 'etag'>): SignOfLife {
  const give = async (): Promise<void> => {
    // A process that was frozen must not write beside a run that somebody else has committed.
    if ((await folder.planEtag()) === owned.etag) await folder.sayAlive();
  };
  const timer = setInterval(() => {
    // Whoever misses a sign waits for the next one; what keeps archives whole does not go by it.
    give().catch(() => undefined);
  }, LIVENESS.signMs);
  return {
    given: () => {
      timer.refresh();
    },
    stop: () => {
      clearInterval(timer);
    },
  };
}
