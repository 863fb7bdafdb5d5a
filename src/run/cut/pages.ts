/** Cuts a run by ranges of heap pages (ctid): no index is needed, but a segment means its rows in its own snapshot only. */
import { countOf, formatCount } from '../../base/units.ts';
import { pageRangesOf, type PageRange, type PlannedSegment, type PlannedSegments } from '../../ledger/segments.ts';
import type { Leaf } from '../../postgres/table-stats.ts';
import { leafNamed, type NamedTable } from '../../segment/narrow.ts';
import type { Cut } from './cut.ts';

export interface PagesCutParts {
  /** All that the catalogue lists below the table. */
  leaves: readonly Leaf[];
  table: NamedTable;
  /** What a segment is to have, TOAST included. */
  targetBytes: number;
}

/** Of so many leaves one statement is made: it names each of them, and repeats the columns and the filter. */
const MOST_TOGETHER = 100;

export function cutByPages({ leaves, table, targetBytes }: PagesCutParts): Cut {
  const byOid = new Map(leaves.map((leaf) => [leaf.oid, leaf]));
  const parts = { by: 'pages', table, leaves: byOid } as const;
  return {
    name: 'pages',
    survivesSnapshot: false,
    segments: () => Promise.resolve(partsOf(leaves, targetBytes).map((part, index) => ({ index, ...part }))),
    problem: (segments) => findFault(segments, byOid),
    parts,
    describe: ({ pages, leaves: whole }) => {
      if (whole !== undefined) return describeLeaves(whole.map((each) => leafNamed(each, parts)));
      return pages === undefined ? 'all rows' : describePages(pages, leafNamed(pages, parts));
    },
  };
}

type Part = Omit<PlannedSegment, 'index'>;

/** Large leaves in ranges of about `targetBytes`, small ones together up to that. */
function partsOf(leaves: readonly Leaf[], targetBytes: number): Part[] {
  const parts: Part[] = [];
  let together: Leaf[] = [];
  let bytes = 0;
  const close = (): void => {
    if (together.length > 0) parts.push(wholeLeaves(together));
    together = [];
    bytes = 0;
  };
  for (const leaf of leaves) {
    const ranges = rangesOf(leaf, targetBytes);
    if (ranges.length > 1 || !leaf.hasPages) {
      parts.push(...ranges.map((pages) => ({ pages })));
      continue;
    }
    if (together.length === MOST_TOGETHER || bytes + leaf.bytes > targetBytes) close();
    together.push(leaf);
    bytes += leaf.bytes;
  }
  close();
  return parts;
}

function wholeLeaves(leaves: readonly Leaf[]): Part {
  const [first] = leaves;
  if (leaves.length === 1 && first !== undefined)
    return { pages: { leaf: first.oid, name: first.name, fromPage: 0, toPage: null } };
  return { leaves: leaves.map(({ oid, name }) => ({ leaf: oid, name })) };
}

function rangesOf({ oid, name, pages, bytes }: Leaf, targetBytes: number): PageRange[] {
  const count = Math.max(1, Math.min(pages, Math.round(bytes / targetBytes)));
  return Array.from({ length: count }, (_, index) => ({
    leaf: oid,
    name,
    fromPage: Math.floor((pages * index) / count),
    toPage: index === count - 1 ? null : Math.floor((pages * (index + 1)) / count),
  }));
}

/** Each leaf that the catalogue lists must be there once, from its page 0 to its end; and no other may. */
function findFault(segments: PlannedSegments, leaves: ReadonlyMap<number, Leaf>): string | undefined {
  /** Where the next range of a leaf must begin; null when its end is there. */
  const next = new Map<number, number | null>([...leaves.keys()].map((oid) => [oid, 0]));
  let at = -1;
  for (const segment of segments) {
    at += 1;
    const ranges = pageRangesOf(segment);
    if (ranges.length === 0) return `segment ${at} has no range of pages`;
    for (const { leaf, name, fromPage, toPage } of ranges) {
      const expected = next.get(leaf);
      if (expected === undefined) return `segment ${at} reads ${name} (OID ${leaf}), which is no part of this table`;
      if (fromPage !== expected) return `segment ${at} does not begin where the one before it ends`;
      if (toPage !== null && !(Number.isSafeInteger(toPage) && toPage > fromPage)) return `segment ${at} has no pages`;
      next.set(leaf, toPage);
    }
  }
  const unfinished = [...next].find(([, at]) => at !== null);
  return unfinished === undefined ? undefined : `${leaves.get(unfinished[0])?.name ?? ''} is not read to its end`;
}

function describePages({ fromPage, toPage }: PageRange, { name, hasPages }: Leaf): string {
  if (!hasPages) return name;
  return `${name}, pages ${formatCount(fromPage)} ${toPage === null ? 'on' : `to ${formatCount(toPage - 1)}`}`;
}

function describeLeaves(leaves: readonly Leaf[]): string {
  const [first, ...others] = leaves;
  return `${first?.name ?? ''} and ${countOf(others.length, 'other partition')}`;
}
