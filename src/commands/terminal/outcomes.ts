/** What became of the lines of a purged run, in a few words. */
import { formatCount } from '../../base/units.ts';
import { OUTCOMES, type Totals } from '../../ledger/purge.ts';

export function describeOutcomes(totals: Totals): string {
  const found = OUTCOMES.filter((outcome) => totals[outcome] > 0).map(
    (outcome) => `${formatCount(totals[outcome])} ${outcome}`,
  );
  return found.length === 0 ? 'no rows' : found.join(', ');
}
