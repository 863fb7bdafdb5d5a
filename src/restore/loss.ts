/** Says in figures what is missing of the rows that a restore has noted. Pure: no query. */
import path from 'node:path';
import { countOf, formatCount } from '../base/units.ts';
import type { Recount, ShortObject } from './recount.ts';

const MOST_NAMED = 5;

/** Undefined when all is there. */
export function describeLoss({ noted, found, short }: Recount, table: string): string | undefined {
  if (found >= noted) return undefined;
  if (short.length === 0)
    return `${table} holds ${countOf(found, 'row')}, and ${formatCount(noted)} or more must be there`;
  const named = short.slice(0, MOST_NAMED).map(describeShort).join(', ');
  const others = short.length > MOST_NAMED ? ` and ${countOf(short.length - MOST_NAMED, 'other object')}` : '';
  return `${table} holds ${formatCount(found)} of the ${countOf(noted, 'row')} that it must hold; of ${named}${others}`;
}

function describeShort({ key, noted, found }: ShortObject): string {
  return `${path.posix.basename(key)} ${formatCount(found)} of ${formatCount(noted)}`;
}
