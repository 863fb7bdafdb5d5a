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
  return new Grid(header, rightAligned).format(rows);
}

/** A grid that comes in blocks, as its rows are too many to be held: the widths of one go on in the next, or grow. */
export class Grid {
  readonly #header: readonly string[];
  readonly #rightAligned: readonly number[];
  #widths: number[];
  #isBegun = false;

  constructor(header: readonly string[], rightAligned: readonly number[] = []) {
    this.#header = header;
    this.#rightAligned = rightAligned;
    this.#widths = header.map(() => 0);
  }

  /** The lines of the next rows; before the first of them that of the header. */
  format(rows: readonly (readonly string[])[]): string[] {
    const all = this.#isBegun ? rows : [this.#header, ...rows];
    this.#isBegun = true;
    const cells = all.map((row) => this.#header.map((_, at) => visible(row[at] ?? '', MAX_CELL_CHARS)));
    this.#widths = this.#widths.map((width, at) =>
      cells.reduce((widest, row) => Math.max(widest, row[at]?.length ?? 0), width),
    );
    return cells.map((row) =>
      row
        .map((cell, at) => this.#pad(cell, at))
        .join('  ')
        .trimEnd(),
    );
  }

  #pad(cell: string, at: number): string {
    const width = this.#widths[at] ?? 0;
    return this.#rightAligned.includes(at) ? cell.padStart(width) : cell.padEnd(width);
  }
}
