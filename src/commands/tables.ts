/** Says which archives entries with `tables` stand for. */
import { countOf } from '../base/units.ts';
import type { Expanded } from '../run/expand.ts';

/** More names than these are counted. */
const MOST_NAMES = 10;

/** A line for each entry that the source was asked for. */
export function describeTables(expanded: readonly Expanded[]): string[] {
  return expanded.filter(({ isAnswered }) => isAnswered).map((one) => `${one.entry.name}: ${describeExpanded(one)}`);
}

/** `tables public.event_*: 2 archives, event_a, event_b`. */
export function describeExpanded({ entry: { tables = [], exceptTables = [] }, archives }: Expanded): string {
  const names = archives.slice(0, MOST_NAMES).map(({ name }) => name);
  const rest = archives.length - names.length;
  const except = exceptTables.length === 0 ? '' : ` but ${exceptTables.join(', ')}`;
  const all = [countOf(archives.length, 'archive'), ...names, ...(rest > 0 ? [`and ${rest} more`] : [])];
  return `tables ${tables.join(', ')}${except}: ${all.join(', ')}`;
}
