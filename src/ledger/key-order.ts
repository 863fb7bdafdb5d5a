/** Compares keys as a manifest has them, as far as their order can be known outside of the database. */
import type { ManifestColumn } from './manifest.ts';

const UUID = 2950;
const BYTEA = 17;

/**
 * Below zero, zero or above it, in the order of `columns`; undefined where only Postgres can tell: the order of text
 * depends on its collation, and that of an enum on its definition.
 */
export function compareKeys(
  a: readonly string[],
  b: readonly string[],
  columns: readonly ManifestColumn[],
): number | undefined {
  for (const [at, column] of columns.entries()) {
    const [left = '', right = ''] = [a[at], b[at]];
    if (left !== right) return compareValues(left, right, column);
  }
  return 0;
}

/** For two texts that differ. */
function compareValues(a: string, b: string, { encoding, typeOid }: ManifestColumn): number | undefined {
  // NULL is kept as an empty text.
  if (a === '' || b === '') return undefined;
  switch (encoding) {
    case 'integer':
      return BigInt(a) < BigInt(b) ? -1 : 1;
    case 'number':
      return compareNumbers(Number(a), Number(b));
    case 'boolean':
      return a < b ? -1 : 1;
    case 'date':
    case 'timestamp':
    case 'timestamptz':
      return compareTimes(a, b);
    default:
      // Both are printed in hex, in lower case and without regard to a locale.
      return typeOid === UUID || typeOid === BYTEA ? (a < b ? -1 : 1) : undefined;
  }
}

/** Numbers that differ by less than a double can hold are left undecided, and so is NaN. */
function compareNumbers(a: number, b: number): number | undefined {
  if (a < b) return -1;
  return a > b ? 1 : undefined;
}

/** Years of four digits in UTC sort as text; others, those before Christ and the infinities are left undecided. */
function compareTimes(a: string, b: string): number | undefined {
  const plain = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?)?(?=(?:\+00:00)?$)/;
  const [left, right] = [plain.exec(a)?.[0], plain.exec(b)?.[0]];
  if (left === undefined || right === undefined || left === right) return undefined;
  return left < right ? -1 : 1;
}
