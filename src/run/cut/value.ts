/** Cuts a run by the values of columns: each has a segment, or several by key. Such a segment means the same rows under any snapshot. */
import { visible } from '../../base/visible.ts';
import type { PartitionValues } from '../../ledger/partitions.ts';
import {
  describeMisfit,
  folderOf,
  valueGroups,
  type PlannedSegment,
  type PlannedSegments,
} from '../../ledger/segments.ts';
import type { ValueColumn } from '../../postgres/distinct-values.ts';
import type { KeyValues } from '../../postgres/quantiles.ts';
import type { Cut } from './cut.ts';
import { cutByKey, type KeyCutParts } from './key.ts';

/** Values that one statement compares. */
const COMPARED_AT_ONCE = 10_000;

/** A value, and how many of the rows that were counted have it. */
export interface CountedValue {
  values: PartitionValues;
  rows: number;
}

export interface ValueCutParts {
  columns: readonly ValueColumn[];
  /** All values that there are, each once. Throws FailureError when there are too many. */
  listValues: () => AsyncIterable<CountedValue>;
  /** Whether all rows are counted, and not a sample of them. */
  countsAll: boolean;
  /** Whether all are values, and spelt as Postgres does; else the rows of one may be those of another one. */
  areAsPrinted: (values: readonly PartitionValues[]) => Promise<boolean>;
  /** What large values are cut by; undefined where there is nothing. */
  key: ValueKey | undefined;
}

export interface ValueKey extends Omit<KeyCutParts, 'findBounds'> {
  /** As of a cut by key, among the rows of this value. */
  findBounds: (values: PartitionValues, parts: number) => Promise<KeyValues[]>;
  /** Into how many segments the rows of a value go, by their share of all rows. */
  partsOf: (share: number) => number;
}

export function cutByValue({ columns, listValues, countsAll, areAsPrinted, key }: ValueCutParts): Cut {
  let counted: number | undefined;
  const names = columns.map(({ name }) => name);
  const ranges = key && cutByKey({ ...key, findBounds: () => Promise.resolve([]) });
  /** The segments of one value, from that number on. */
  const segmentsOf = async (index: number, { values, rows }: CountedValue, all: number): Promise<PlannedSegment[]> => {
    const partition = [...values];
    const parts = key?.partsOf(rows / Math.max(1, all)) ?? 1;
    if (key === undefined || parts <= 1) return [{ index, partition }];
    const cut = await cutByKey({ ...key, findBounds: () => key.findBounds(values, parts) }).segments();
    if (cut.length <= 1) return [{ index, partition }];
    return cut.map((part, at) => ({ ...part, index: index + at, partition }));
  };
  /** Those of values that `known` has none of. All are listed first, as the connection does one thing at a time. */
  const segmentsBeside = async (known: PlannedSegments): Promise<PlannedSegment[]> => {
    const seen = new Set<string>();
    for (const { partition } of known) seen.add(JSON.stringify(partition));
    const others: CountedValue[] = [];
    let all = 0;
    for await (const value of listValues()) {
      all += value.rows;
      if (!seen.has(JSON.stringify(value.values))) others.push(value);
    }
    if (countsAll) counted = all;
    const segments: PlannedSegment[] = [];
    for (const value of others) segments.push(...(await segmentsOf(known.length + segments.length, value, all)));
    return segments;
  };
  return {
    name: 'value',
    survivesSnapshot: true,
    segments: () => segmentsBeside([]),
    moreSegments: segmentsBeside,
    countedRows: () => counted,
    problem: (segments) => {
      const misfit = describeMisfit({ by: 'value', segments });
      if (misfit !== undefined) return `segments${misfit}`;
      for (const { partition } of segments) if (partition?.length !== columns.length) return 'it is of other columns';
      for (const group of cutValues(segments)) {
        const problem = ranges === undefined ? 'there is no key to cut a value by' : ranges.problem(group);
        if (problem !== undefined) return problem;
      }
      return undefined;
    },
    problemByServer: async (segments) => {
      for (const values of valuesOf(segments))
        if (!(await areAsPrinted(values))) return 'a value is not spelt as Postgres does';
      for (const group of cutValues(segments)) {
        const problem = await ranges?.problemByServer?.(group);
        if (problem !== undefined) return problem;
      }
      return undefined;
    },
    parts: { by: 'value', columns, key: key && { columns: key.columns, nullable: key.nullable } },
    describe: (segment) => {
      const folder = visible(folderOf(names, segment).slice(0, -1));
      return segment.range === undefined ? folder : `${folder} ${ranges?.describe(segment) ?? ''}`;
    },
  };
}

/** The segments of each value that was cut by key. */
function* cutValues(segments: PlannedSegments): Generator<readonly PlannedSegment[], void, undefined> {
  for (const group of valueGroups(segments)) if (group[0]?.range !== undefined) yield group;
}

/** Their values, in portions. */
function* valuesOf(segments: PlannedSegments): Generator<PartitionValues[], void, undefined> {
  let values: PartitionValues[] = [];
  for (const { partition = [] } of segments) {
    values.push(partition);
    if (values.length < COMPARED_AT_ONCE) continue;
    yield values;
    values = [];
  }
  yield values;
}
