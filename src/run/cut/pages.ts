/** Cuts a run by ranges of heap pages (ctid): no index is needed, but a segment means its rows in its own snapshot only. */
import type { PageRange } from '../../ledger/segments.ts';
import type { Leaf } from '../../postgres/table-stats.ts';
import type { Narrowing } from '../../postgres/select.ts';

/**
 * Cuts each leaf on its own into ranges of about `targetBytes`, TOAST included. `table` is the table that was asked for:
 * a filter may call it by its name, so a leaf takes that name on.
 */
export function rangesOfPages(
  leaves: readonly Leaf[],
  targetBytes: number,
  table: { from: string; name: string },
): PageRange[] {
  return leaves.flatMap((leaf) => {
    const isTableItself = leaf.from === `ONLY ${table.from}`;
    const from = isTableItself ? leaf.from : `${leaf.from} AS ${table.name}`;
    const count = Math.max(1, Math.min(leaf.pages, Math.round(leaf.bytes / targetBytes)));
    return Array.from({ length: count }, (_, index) => ({
      from,
      leaf: leaf.name,
      fromPage: Math.floor((leaf.pages * index) / count),
      toPage: index === count - 1 ? null : Math.floor((leaf.pages * (index + 1)) / count),
      hasPages: leaf.hasPages,
    }));
  });
}

export function narrowToPages({ from, fromPage, toPage, hasPages }: PageRange): Narrowing {
  if (!hasPages || (fromPage === 0 && toPage === null)) return { from };
  const lower = `ctid >= '(${fromPage},0)'::tid`;
  return { from, predicate: toPage === null ? lower : `${lower} AND ctid < '(${toPage},0)'::tid` };
}
