/** The segments of a plan as plain data, as the journal keeps them: numbers, names and bounds, and never a piece of SQL. */
import * as z from 'zod';
import type { ItemsOf } from './documents.ts';
import { count, keyValues, list, MAX_SEGMENTS, name, partitionValues, text } from './fields.ts';
import { partitionFolder } from './partitions.ts';

export const cutBy = z.enum(['key', 'pages', 'none', 'value']);
export type CutBy = z.infer<typeof cutBy>;

/** Rows from `lower` on, below `upper`; null is no bound. */
const keyRange = z.strictObject({ lower: keyValues().nullable(), upper: keyValues().nullable() });
export type KeyRange = z.infer<typeof keyRange>;

/** A number of Postgres without a sign: an OID, a page. */
const uint32 = count().max(2 ** 32 - 1);

/** Pages of one leaf, from `fromPage` on, below `toPage`; null is to the end, whatever was added since. */
const pageRange = z.strictObject({
  /** The leaf's OID, by which the catalogue is asked for it. 0, which no relation has, in journals that knew its name only. */
  leaf: uint32,
  /** What people call the leaf; nothing is read by it. */
  name: name(),
  fromPage: uint32,
  toPage: uint32.nullable(),
});
export type PageRange = z.infer<typeof pageRange>;

/** As journals had it that knew a leaf by its name and by a piece of SQL. Nothing is read by either. */
const namedPageRange = z
  .strictObject({ ...pageRange.omit({ name: true }).shape, from: text(), leaf: name(), hasPages: z.boolean() })
  .transform(({ leaf, fromPage, toPage }): PageRange => ({ leaf: 0, name: leaf, fromPage, toPage }));

/** The most leaves that one segment may have. */
const MAX_LEAVES = 10_000;

/** A small leaf that is read as a whole, beside others. */
const wholeLeaf = z.strictObject(pageRange.pick({ leaf: true, name: true }).shape);
export type WholeLeaf = z.infer<typeof wholeLeaf>;

/** One segment of a plan. It has the field of its own cut, and no other; by pages, that is one of two; by value, a range may stand beside it. */
export const plannedSegment = z.strictObject({
  /** From 0; the number in the object's name. */
  index: count(),
  range: keyRange.exactOptional(),
  pages: z.union([pageRange, namedPageRange]).exactOptional(),
  leaves: list(wholeLeaf, MAX_LEAVES).exactOptional(),
  /** A value for each column of the layout. */
  partition: partitionValues().exactOptional(),
});
export type PlannedSegment = z.infer<typeof plannedSegment>;

export const plannedSegments = list(plannedSegment, MAX_SEGMENTS);

/** The segments of a plan: an array, or a list that takes less; see segment-list.ts. */
export interface PlannedSegments extends ItemsOf<PlannedSegment> {
  /** Bytes outside of the heap; absent where all is in it. */
  readonly heldBytes?: number;
  /** `index` counts from 0. */
  at(index: number): PlannedSegment | undefined;
}

const FIELDS: Readonly<Record<CutBy, readonly string[]>> = {
  key: ['range'],
  pages: ['pages', 'leaves'],
  none: [],
  value: ['partition'],
};

/** The folder of a segment in that of its run, such as `domain_id=42/`; '' where the run has no layout by value. */
export function folderOf(
  partitionBy: readonly string[] = [],
  { partition = [] }: Pick<PlannedSegment, 'partition'>,
): string {
  return partitionFolder(partitionBy, partition);
}

interface Misfit {
  index: number;
  why: string;
}

/** The first segment that does not belong to such a cut, and why. The cut itself asks the catalogue for the rest. */
export function findMisfit(by: CutBy, segments: ItemsOf<PlannedSegment>): Misfit | undefined {
  // A run by value that found no row has none.
  if (segments.length === 0 && by !== 'value') return { index: 0, why: 'there are no segments' };
  let index = -1;
  for (const segment of segments) {
    index += 1;
    if (segment.index !== index) return { index, why: `its index is ${segment.index}` };
    const fields = Object.keys(segment).filter((field) => field !== 'index' && !(by === 'value' && field === 'range'));
    const own = fields.filter((field) => FIELDS[by].includes(field));
    if (fields.length !== own.length || own.length !== Math.min(1, FIELDS[by].length))
      return { index, why: `it is no segment by ${by}` };
  }
  if (by === 'none' && segments.length !== 1) return { index: 0, why: `it is one of ${segments.length}, not all rows` };
  if (by === 'value') return findValueGap(segments);
  return by === 'key' ? findKeyGap(segments) : findPageGap(segments);
}

/** The same in words that go behind the name of the list. */
export function describeMisfit({ by, segments }: { by: CutBy; segments: ItemsOf<PlannedSegment> }): string | undefined {
  const misfit = findMisfit(by, segments);
  return misfit && `[${misfit.index}]: ${misfit.why}`;
}

/** The pages that a segment by pages reads; none of another one. */
export function pageRangesOf({ pages, leaves = [] }: PlannedSegment): PageRange[] {
  if (pages !== undefined) return [pages];
  return leaves.map(({ leaf, name }) => ({ leaf, name, fromPage: 0, toPage: null }));
}

/** Each range must begin where the one before it ends; the first has no lower bound, the last no upper one. */
function findKeyGap(segments: ItemsOf<PlannedSegment>): Misfit | undefined {
  let index = 0;
  let before: readonly string[] | null = null;
  for (const { range } of segments) {
    if (!isSame(range?.lower ?? null, before) || (index > 0 && before === null))
      return { index, why: 'it does not begin where the one before it ends' };
    if (index === segments.length - 1 && range?.upper !== null) return { index, why: 'it does not go to the end' };
    before = range?.upper ?? null;
    index += 1;
  }
  return undefined;
}

function isSame(a: readonly string[] | null, b: readonly string[] | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && a.every((value, at) => value === b[at]);
}

/** The segments of one value stand together, and are all of its rows; each value is there once. */
function findValueGap(segments: ItemsOf<PlannedSegment>): Misfit | undefined {
  const seen = new Set<string>();
  let columns: number | undefined;
  let start = 0;
  for (const group of valueGroups(segments)) {
    const partition = group[0]?.partition;
    columns ??= partition?.length;
    const value = JSON.stringify(partition);
    if (seen.has(value)) return { index: start, why: 'its value is there twice' };
    if (partition?.length !== columns) return { index: start, why: 'it has values of other columns' };
    const gap = group.every(({ range }) => range === undefined) && group.length === 1 ? undefined : findKeyGap(group);
    if (gap !== undefined) return { index: start + gap.index, why: gap.why };
    seen.add(value);
    start += group.length;
  }
  return undefined;
}

/** Segments that stand together and are of the same value. */
export function* valueGroups(segments: Iterable<PlannedSegment>): Generator<readonly PlannedSegment[], undefined> {
  let group: PlannedSegment[] = [];
  let value: string | undefined;
  for (const segment of segments) {
    const next = JSON.stringify(segment.partition);
    if (group.length > 0 && next !== value) {
      yield group;
      group = [];
    }
    value = next;
    group.push(segment);
  }
  if (group.length > 0) yield group;
  return undefined;
}

/** Each leaf must be there from its page 0 to its end. */
function findPageGap(segments: ItemsOf<PlannedSegment>): Misfit | undefined {
  const ends = new Map<string, { index: number; end: number | null }>();
  let index = -1;
  for (const segment of segments) {
    index += 1;
    if (segment.leaves?.length === 0) return { index, why: 'it has no pages' };
    for (const { leaf, name, fromPage, toPage } of pageRangesOf(segment)) {
      const { end } = ends.get(`${leaf} ${name}`) ?? { end: 0 };
      if (fromPage !== end) return { index, why: 'it does not begin where the one before it ends' };
      if (toPage !== null && toPage <= fromPage) return { index, why: 'it has no pages' };
      ends.set(`${leaf} ${name}`, { index, end: toPage });
    }
  }
  const unfinished = [...ends.values()].find(({ end }) => end !== null);
  return unfinished && { index: unfinished.index, why: 'it does not go to the end' };
}
