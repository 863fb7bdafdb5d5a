/** How far the making of windows has come: by the calendar alone, as looks for their rows are made one by one. */
import type { Stretch } from '../calendar/windows.ts';
import { MOST_WINDOWS, standingRuns, type MissingInput } from './missing.ts';
import { whyOpen } from './window-source.ts';

/** Windows before the one that is being made, and in all; those that turn out to be empty and are passed over count as done. */
export interface WindowsProgress {
  archive: string;
  /** The run that is begun now; undefined in the end. */
  run: string | undefined;
  done: number;
  total: number;
}

export class WindowsAhead {
  readonly #starts: readonly number[];

  /** From the first window that is to be made on, those that are closed and have no run. */
  constructor(input: MissingInput, first: Stretch) {
    this.#starts = startsFrom(input, first);
  }

  get total(): number {
    return this.#starts.length;
  }

  before({ fromMs }: Stretch): number {
    const at = this.#starts.findIndex((startMs) => startMs >= fromMs);
    return at === -1 ? this.#starts.length : at;
  }
}

function startsFrom(input: MissingInput, first: Stretch): number[] {
  const { source, archive, range } = input;
  const standing = standingRuns(source, archive, input, Infinity);
  const starts: number[] = [];
  for (const stretch of source.calendar.from(first.fromMs)) {
    const isLast = range?.toMs !== undefined && stretch.fromMs >= range.toMs;
    if (isLast || whyOpen(source, stretch, archive.window.olderThanMs) !== undefined) break;
    if (!standing.has(stretch.fromMs)) starts.push(stretch.fromMs);
    if (starts.length === MOST_WINDOWS) break;
  }
  return starts;
}
