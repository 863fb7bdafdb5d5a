/** Compares the ranges of a key that objects say they hold, one after the other. */
import type { ManifestColumn, ManifestHead, ManifestObject } from '../ledger/manifest.ts';
import { compareKeys } from '../ledger/key-order.ts';

/**
 * Ranges of a key must be disjoint and in order. Where the order is not ours to know, as that of text, which depends on
 * its collation, at least no two ranges may share a bound. Is told of the objects in their order, and says what is wrong
 * with each.
 */
export function compareNeighbours({ columns, cut }: ManifestHead): (object: ManifestObject) => string[] {
  const keys = (cut?.key ?? []).flatMap((name) => columns.find((column) => column.name === name) ?? []);
  if (cut?.by !== 'key' || keys.length < cut.key.length) return () => [];
  let before: { key: string; lastKey: readonly string[] } | undefined;
  return ({ key, firstKey, lastKey }) => {
    if (firstKey === null || lastKey === null) return [];
    const problems: string[] = [];
    if (isAbove(firstKey, lastKey, keys))
      problems.push(`its first key (${firstKey.join(', ')}) lies above its last (${lastKey.join(', ')})`);
    if (before !== undefined && isNotBelow(before.lastKey, firstKey, keys))
      problems.push(
        `its first key (${firstKey.join(', ')}) does not lie above the last of ${before.key} (${before.lastKey.join(', ')})`,
      );
    before = { key, lastKey };
    return problems;
  };
}

function isAbove(a: readonly string[], b: readonly string[], columns: readonly ManifestColumn[]): boolean {
  return (compareKeys(a, b, columns) ?? -1) > 0;
}

function isNotBelow(a: readonly string[], b: readonly string[], columns: readonly ManifestColumn[]): boolean {
  return (compareKeys(a, b, columns) ?? -1) >= 0;
}
