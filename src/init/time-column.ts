/** Which column of a table tells how old a row is. */
import type { Column } from '../postgres/columns.ts';

export interface TimeColumn {
  name: string;
  /** Whether an index leads with it. */
  isIndexed: boolean;
  /** Whether the table is partitioned by range over it alone. */
  isPartitionKey: boolean;
  /** Whether its name says that it may change after the row was made: then it tells no windows apart. */
  mayChange: boolean;
}

/** date, timestamp and timestamptz. */
const TYPES = new Set([1082, 1114, 1184]);
/** Such a time comes after the row, and may change. */
const LATER = /updat|modif|chang|delet|expir|until|end|finish|complet|due|sync|last|next|valid|birth|archiv/i;
/** Such a time is as old as the row. */
const FIRST = /creat|insert|add|occur|happen|event|record|log|receiv|start|^(?:ts|time|timestamp|date|day|at)$/i;

/** The one that most likely says when a row came to be; undefined where no column has a time. */
export function chooseTimeColumn(
  columns: readonly Column[],
  indexed: readonly string[],
  partitionKey: string | undefined,
): TimeColumn | undefined {
  const found = columns
    .filter(({ typeOid }) => TYPES.has(typeOid))
    .map((column) => ({ column, points: pointsOf(column, indexed, partitionKey) }))
    .reduce<{ column: Column; points: number } | undefined>(
      (best, one) => (best === undefined || one.points > best.points ? one : best),
      undefined,
    );
  if (found === undefined) return undefined;
  const { name } = found.column;
  return {
    name,
    isIndexed: indexed.includes(name),
    isPartitionKey: name === partitionKey,
    mayChange: name !== partitionKey && LATER.test(name),
  };
}

function pointsOf({ name, nullable }: Column, indexed: readonly string[], partitionKey: string | undefined): number {
  const byName = LATER.test(name) ? -4 : FIRST.test(name) ? 2 : 0;
  return (name === partitionKey ? 16 : 0) + byName + (indexed.includes(name) ? 3 : 0) + (nullable ? 0 : 1);
}
