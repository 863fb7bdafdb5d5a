/** What a window is told to read besides its bounds: whether a run was told the same as it would be now. */
import { createHash } from 'node:crypto';
import type { Stretch } from '../calendar/windows.ts';
import type { Manifest } from '../ledger/manifest.ts';
import { bindPlaceholders, trimStatement } from '../postgres/sql-text.ts';
import { pointLiteral } from '../run/window.ts';
import type { WindowedArchive, WindowSource } from './window-source.ts';

/** So many hex digits are enough to tell two filters of one archive apart. */
const DIGEST_CHARS = 16;

/** Of the filter, or the query, as it was bound; such texts may be long, and runs are many. */
export function digestFilter({ query, where = '' }: Pick<Manifest, 'query' | 'where'>): string {
  const text = query === undefined ? `where ${where}` : `query ${query}`;
  return createHash('sha256').update(text).digest('hex').slice(0, DIGEST_CHARS);
}

/** The same of the run that would be made of this window now. */
export function filterOfNow(
  { query, where }: WindowedArchive,
  { kind, calendar }: Pick<WindowSource, 'kind' | 'calendar'>,
  { fromMs, toMs }: Stretch,
): string {
  const bounds = {
    from: pointLiteral(kind, calendar.format(fromMs)),
    to: pointLiteral(kind, calendar.format(toMs)),
  };
  if (query !== undefined) return digestFilter({ query: trimStatement(bindPlaceholders(query, bounds)) });
  return digestFilter(where === undefined ? {} : { where: bindPlaceholders(where, bounds) });
}
