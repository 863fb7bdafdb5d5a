/** Cuts a run by ranges of a key: such a segment means the same rows under any snapshot, so a run can go on after a crash. */
import type { KeyRange, PlannedSegments } from '../../ledger/segments.ts';
import type { KeyValues } from '../../postgres/quantiles.ts';
import type { KeyParts } from '../../segment/narrow.ts';
import type { Cut } from './cut.ts';

/** Bounds that one statement compares. */
const COMPARED_AT_ONCE = 10_000;

export interface KeyCutParts extends KeyParts {
  /** The values at which the second and all further ranges begin: ascending, no two alike. */
  findBounds: () => Promise<KeyValues[]>;
  /** The place of the first bound that is greater than the next one; undefined when there is none. */
  findDescent: (bounds: readonly KeyValues[]) => Promise<number | undefined>;
}

export function cutByKey({ columns, nullable, findBounds, findDescent }: KeyCutParts): Cut {
  return {
    name: 'key',
    survivesSnapshot: true,
    segments: async () => rangesBetween(await findBounds()).map((range, index) => ({ index, range })),
    problem: (segments) => findGap(segments, columns.length),
    // By bounds that go back, the rows between them would be read twice.
    problemByServer: async (segments) => {
      for (const { first, bounds } of boundsOf(segments)) {
        const descent = await findDescent(bounds);
        if (descent !== undefined) return `segment ${first + descent + 1} ends before it begins`;
      }
      return undefined;
    },
    parts: { by: 'key', columns, nullable },
    describe: ({ range }) => (range === undefined ? 'all rows' : describeRange(range)),
  };
}

/** The ranges between the bounds: one more than there are bounds, together all rows. */
function rangesBetween(bounds: readonly KeyValues[]): KeyRange[] {
  return Array.from({ length: bounds.length + 1 }, (_, index) => ({
    lower: bounds[index - 1] ?? null,
    upper: bounds[index] ?? null,
  }));
}

/** Upper bounds in portions, each of which begins with the last one of that before it. `first` is the place of the first bound. */
function* boundsOf(segments: PlannedSegments): Generator<{ first: number; bounds: KeyValues[] }, undefined> {
  let first = 0;
  let bounds: KeyValues[] = [];
  for (const { range } of segments) {
    const upper = range?.upper ?? null;
    if (upper === null) continue;
    bounds.push(upper);
    if (bounds.length < COMPARED_AT_ONCE) continue;
    yield { first, bounds };
    first += bounds.length - 1;
    bounds = [upper];
  }
  yield { first, bounds };
  return undefined;
}

/** Each range must begin where the one before it ends; the first has no lower bound, the last no upper one. */
function findGap(segments: PlannedSegments, columns: number): string | undefined {
  let end: KeyValues | null = null;
  let at = -1;
  for (const { range } of segments) {
    at += 1;
    if (range === undefined) return `segment ${at} has no range of the key`;
    if ((at > 0 && end === null) || JSON.stringify(range.lower) !== JSON.stringify(end))
      return `segment ${at} does not begin where the one before it ends`;
    if (range.upper !== null && range.upper.length !== columns)
      return `a bound of segment ${at} has ${range.upper.length} values for a key of ${columns} columns`;
    end = range.upper;
  }
  return segments.length > 0 && end === null ? undefined : 'the last segment does not go to the end';
}

function describeRange({ lower, upper }: KeyRange): string {
  const from = lower === null ? [] : [`from (${lower.join(', ')})`];
  const below = upper === null ? [] : [`below (${upper.join(', ')})`];
  return [...from, ...below].join(' ');
}
