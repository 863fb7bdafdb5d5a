/** Cuts a run by ranges of a key: such a segment means the same rows under any snapshot, so a run can go on after a crash. */
import type { Narrowing } from '../../postgres/select.ts';
import { quoteLiteral } from '../../postgres/identifiers.ts';
import type { KeyColumn, KeyValues } from '../../postgres/quantiles.ts';
import type { KeyRange } from '../../ledger/segments.ts';

/** The ranges between the bounds: one more than there are bounds, together all rows. */
export function rangesBetween(bounds: readonly KeyValues[]): KeyRange[] {
  return Array.from({ length: bounds.length + 1 }, (_, index) => ({
    lower: bounds[index - 1] ?? null,
    upper: bounds[index] ?? null,
  }));
}

/**
 * The condition and the order of a range. Where the key may be NULL, "below the upper bound" is put as "not known to be
 * at or above it", so that such rows fall into exactly one range. An index cannot serve that, so a proven key does without,
 * and after the first range, which holds the rows whose first column is NULL, that column's own bound goes along.
 */
export function narrowToRange(range: KeyRange, key: readonly KeyColumn[], nullable: boolean): Narrowing {
  const row = `(${key.map(({ reference }) => reference).join(', ')})`;
  const conditions: string[] = [];
  if (range.lower !== null) conditions.push(`${row} >= ${literal(range.lower, key)}`);
  if (range.upper !== null) {
    const upper = literal(range.upper, key);
    conditions.push(nullable ? `(${row} >= ${upper}) IS NOT TRUE` : `${row} < ${upper}`);
    if (nullable && range.lower !== null) conditions.push(leadingAtMost(range.upper, key));
  }
  const orderBy = key.map(({ reference }) => reference).join(', ');
  return conditions.length === 0 ? { orderBy } : { predicate: conditions.join(' AND '), orderBy };
}

function leadingAtMost([value = '']: KeyValues, [column]: readonly KeyColumn[]): string {
  return column === undefined ? 'true' : `${column.reference} <= ${quoteLiteral(value)}::${column.type}`;
}

function literal(values: KeyValues, key: readonly KeyColumn[]): string {
  return `(${key.map(({ type }, index) => `${quoteLiteral(values[index] ?? '')}::${type}`).join(', ')})`;
}
