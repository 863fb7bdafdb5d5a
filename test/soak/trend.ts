/** Whether a figure has grown over a life: the median of its last third against that of its first. */

/** What is looked at over time, in the order of its samples. */
export interface Series {
  name: string;
  values: readonly number[];
  /** It may grow by this part, or by this much, whichever is more: what a garbage collector and an allocator leave. */
  tolerance: { part: number; absolute: number };
}

export interface Trend {
  name: string;
  first: number;
  last: number;
  most: number;
  hasGrown: boolean;
}

/** With fewer samples nothing can be said. */
export const FEWEST_SAMPLES = 9;

/** Undefined when there are too few samples. */
export function trendOf({ name, values, tolerance }: Series): Trend | undefined {
  if (values.length < FEWEST_SAMPLES) return undefined;
  const third = Math.floor(values.length / 3);
  const first = median(values.slice(0, third));
  const last = median(values.slice(-third));
  const allowed = Math.max(first * tolerance.part, tolerance.absolute);
  return { name, first, last, most: Math.max(...values), hasGrown: last - first > allowed };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle - 1)]!) / 2;
}
