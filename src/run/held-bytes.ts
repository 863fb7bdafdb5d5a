/** Compares what a run holds of its segments with what `check` reckons with: values of a key may be of any length. */
import { BUDGET } from '../base/memory-budget.ts';
import { formatBytes, formatCount } from '../base/units.ts';
import type { Attempt } from './attempt.ts';

/** What any process has to spare; a list of few segments has more room than it needs. */
const SPARE_BYTES = 16 * 1024 ** 2;

/** Bytes outside of the heap. */
export function heldBytes({
  plan,
  listed,
  done,
  empties,
}: Pick<Attempt, 'plan' | 'listed' | 'done' | 'empties'>): number {
  const parts = [plan.segments, listed, done, empties];
  return parts.reduce((sum, part) => sum + (part.heldBytes ?? 0), 0);
}

/** What is to be said of it; empty when the run holds no more than is in the sum. */
export function warnOfHeldBytes(attempt: Pick<Attempt, 'plan' | 'listed' | 'done' | 'empties'>): string[] {
  const held = heldBytes(attempt);
  const { length } = attempt.plan.segments;
  const reckoned = BUDGET.segments.bytes * length;
  if (held <= reckoned + SPARE_BYTES) return [];
  return [
    `the run holds ${formatBytes(held)} for its ${formatCount(length)} segments, as values of its key are long; ` +
      `check reckons with ${formatBytes(reckoned)}: a larger segments.targetSize makes fewer segments`,
  ];
}
