/** Compares rows of a key in SQL: `(a, b) >= (1, 2)`, in the order of the key's own types. */
import type { KeyType } from './key-types.ts';

/** An expression of SQL, and what it is compared by. */
export interface Compared extends KeyType {
  reference: string;
}

type Order = '<' | '<=' | '>=' | '>';

/** The condition on the row of `key`; `values` are SQL for its values, which are cast here. */
export function compareRow(key: readonly Compared[], order: Order, values: readonly string[]): string {
  const schemas = new Set(key.map(({ operators }) => operators));
  const [schema] = schemas;
  if (schemas.size > 1) return compareInTurn(key, order, values);
  const row = `(${key.map(({ reference }) => reference).join(', ')})`;
  return `${row} OPERATOR(${schema}.${order}) (${key.map((column, at) => cast(column, values[at])).join(', ')})`;
}

/** One operator in a row's comparison is of one schema: where an extension's type stands beside others, it is written out. */
function compareInTurn(key: readonly Compared[], order: Order, values: readonly string[]): string {
  const [column, ...others] = key;
  if (column === undefined) throw new Error('a key without columns');
  const compare = (operator: string): string =>
    `${column.reference} OPERATOR(${column.operators}.${operator}) ${cast(column, values[0])}`;
  if (others.length === 0) return compare(order);
  const strict = order.startsWith('<') ? '<' : '>';
  // The first part says nothing more; an index can serve it.
  return `(${compare(`${strict}=`)} AND (${compare(strict)} OR ${compareInTurn(others, order, values.slice(1))}))`;
}

function cast({ type }: Compared, value = 'NULL'): string {
  return `${value}::${type}`;
}
