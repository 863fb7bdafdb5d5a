/** Says of an object how it comes back, where COPY may not take its longest row: when it is written, and before it is restored. */
import { formatCount } from '../base/units.ts';
import { visible } from '../base/visible.ts';
import { COPY_LINE_BYTES } from '../format/jsonl/copy-line.ts';

/** One line, or none. */
export function warnOfLongLine({ key, longestLine }: { key: string; longestLine?: number }): string[] {
  if (longestLine === undefined) return [];
  return [
    `a line of ${visible(key)} has ${formatCount(longestLine)} bytes, and COPY takes rows of ${formatCount(COPY_LINE_BYTES)} at most, with their escapes: ` +
      'restore brings this object value by value, through a temporary table; the server needs some three times the row in memory for it. ' +
      'What does not come back at all is an array or a composite of more than an eighth of workers.maxOldGenerationSizeMb',
  ];
}
