/** Lays rows of text out in columns for a terminal. */
import { visible } from '../../base/visible.ts';

/** A name of 1 MB would push all other columns off the screen. */
const MAX_CELL_CHARS = 300;

/** Lines with two blanks between the columns; the columns named in `rightAligned` (by index) are numbers. */
export function formatGrid(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  rightAligned: readonly number[] = [],
): string[] {
  const cells = [header, ...rows].map((row) => header.map((_, at) => visible(row[at] ?? '', MAX_CELL_CHARS)));
  const widths = header.map((_, at) => cells.reduce((widest, row) => Math.max(widest, row[at]?.length ?? 0), 0));
  return cells.map((row) =>
    row
      .map((cell, at) => (rightAligned.includes(at) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
