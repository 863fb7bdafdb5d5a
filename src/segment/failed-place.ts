/** Names the place where reading failed on the rows themselves, so that the others can be got out. */
import { FailureError } from '../base/errors.ts';
import type { FailureCode } from '../base/failures.ts';
import { countOf } from '../base/units.ts';
import type { SegmentTask } from './task.ts';

/** Failures that a row, or the page that it is on, may be to blame for. */
const OF_ROWS: ReadonlySet<FailureCode> = new Set<FailureCode>([
  'invalid-bytes',
  'server-corruption',
  'server-io-error',
  'bad-value',
  'query-failed',
]);

/** The same error, or one that names the segment's range and the last row that came. */
export function withPlace(
  error: unknown,
  { range, keyColumns, columns }: SegmentTask,
  rows: number,
  lastKey: readonly string[] | null,
): unknown {
  if (!(error instanceof FailureError) || error.failure.stage !== 'read' || !OF_ROWS.has(error.failure.code))
    return error;
  const names = keyColumns.map((index) => columns[index]?.name ?? '').join(', ');
  const last =
    lastKey === null || names === '' ? '' : `; the last of them has the key (${names}) = (${lastKey.join(', ')})`;
  const place = `in ${range}, after ${countOf(rows, 'row')}${last}`;
  const { failure } = error;
  return new FailureError({ ...failure, message: `${failure.message} (${place})` }, { cause: error.cause });
}
