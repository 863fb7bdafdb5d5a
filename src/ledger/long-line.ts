/** Says of an object that COPY may not bring all of it back: when it is written, and before it is restored. */
import { formatCount } from '../base/units.ts';
import { visible } from '../base/visible.ts';
import { COPY_LINE_BYTES } from '../format/jsonl/copy-line.ts';

/** One line, or none. */
export function warnOfLongLine({ key, longestLine }: { key: string; longestLine?: number }): string[] {
  if (longestLine === undefined) return [];
  return [
    `a line of ${visible(key)} has ${formatCount(longestLine)} bytes, and COPY takes rows of ${formatCount(COPY_LINE_BYTES)} at most: ` +
      'unless its row is that much shorter without its names and quotes, this object does not come back by restore, though it is read in full by others',
  ];
}
