/** What an archive is called that nobody has named: after its table. */
import type { TableName } from '../postgres/identifiers.ts';

const MOST_CHARS = 100;

/**
 * The table's name, with its schema before it where that is not public; what an archive's name cannot have is `_`. Two tables may
 * come to the same: see {@link distinctName}.
 */
export function archiveNameOf({ schema, table }: TableName): string {
  const whole = schema === undefined || schema === 'public' ? table : `${schema}.${table}`;
  const plain = whole.replaceAll(/[^A-Za-z0-9_.-]+/gu, '_').replaceAll(/^[^A-Za-z0-9]+|_$/g, '');
  return plain === '' ? 'table' : plain.slice(0, MOST_CHARS);
}

/** The name, with a number behind it where it is taken: also by one that differs in case alone, as some file systems ignore it. */
export function distinctName(name: string, taken: ReadonlySet<string>): string {
  for (let number = 1; ; number += 1) {
    const end = number === 1 ? '' : `_${number}`;
    const distinct = `${name.slice(0, MOST_CHARS - end.length)}${end}`;
    if (!taken.has(distinct.toLowerCase())) return distinct;
  }
}
