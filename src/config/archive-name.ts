/** What an archive is called that nobody has named: after its table. */
import { createHash } from 'node:crypto';
import type { TableName } from '../postgres/identifiers.ts';

const MOST_CHARS = 100;

/**
 * The table's name, with its schema before it where that is not public; what an archive's name cannot have is `_`. Two tables may
 * come to the same: see {@link distinctName}.
 */
export function archiveNameOf(name: TableName): string {
  const whole = wholeName(name);
  const plain = whole.replaceAll(/[^A-Za-z0-9_.-]+/gu, '_').replaceAll(/^[^A-Za-z0-9]+|_$/g, '');
  return plain === '' ? 'table' : plain.slice(0, MOST_CHARS);
}

/**
 * The same where nobody looks what else is there: a name that cannot be kept as it is has some of its digest behind it, so that two
 * tables never come to one archive.
 */
export function loneArchiveName(table: TableName): string {
  const name = archiveNameOf(table);
  const whole = wholeName(table);
  if (name === whole) return name;
  const digest = createHash('sha256').update(whole).digest('hex').slice(0, 8);
  return `${name.slice(0, MOST_CHARS - digest.length - 1)}_${digest}`;
}

/** The table's name, and with its schema before it where that is not public: no two tables of a database have the same. */
export function wholeName({ schema = 'public', table }: TableName): string {
  return schema === 'public' ? table : `${schema}.${table}`;
}

/** The name, with a number behind it where it is taken: also by one that differs in case alone, as some file systems ignore it. */
export function distinctName(name: string, taken: ReadonlySet<string>): string {
  for (let number = 1; ; number += 1) {
    const end = number === 1 ? '' : `_${number}`;
    const distinct = `${name.slice(0, MOST_CHARS - end.length)}${end}`;
    if (!taken.has(distinct.toLowerCase())) return distinct;
  }
}
