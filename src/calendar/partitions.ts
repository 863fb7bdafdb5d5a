/** Windows that are given by their bounds, as the partitions of a table are: between them there may be gaps. */
import { WindowCalendar, type Calendar, type ColumnKind, type Stretch } from './windows.ts';

export class PartitionCalendar implements Calendar {
  /** Knows how points are read and written, and in which zone they pass. */
  readonly #days: WindowCalendar;
  readonly #stretches: readonly Stretch[];

  /** The stretches do not overlap. */
  constructor(kind: ColumnKind, timezone: string, stretches: readonly Stretch[]) {
    this.#days = new WindowCalendar(kind, 'day', timezone);
    this.#stretches = stretches.toSorted((a, b) => a.fromMs - b.fromMs);
  }

  holding(pointMs: number): Stretch | undefined {
    const stretch = this.#stretches[this.#firstEndingAfter(pointMs)];
    return stretch !== undefined && stretch.fromMs <= pointMs ? stretch : undefined;
  }

  startingAt(pointMs: number): Stretch | undefined {
    const stretch = this.holding(pointMs);
    return stretch?.fromMs === pointMs ? stretch : undefined;
  }

  *from(fromMs: number): Generator<Stretch, void, undefined> {
    for (let at = this.#firstEndingAfter(fromMs); at < this.#stretches.length; at += 1) {
      const stretch = this.#stretches[at];
      if (stretch !== undefined) yield stretch;
    }
  }

  instantOf(pointMs: number): number {
    return this.#days.instantOf(pointMs);
  }

  parse(text: string): number | undefined {
    return this.#days.parse(text);
  }

  format(pointMs: number): string {
    return this.#days.format(pointMs);
  }

  #firstEndingAfter(pointMs: number): number {
    let [low, high] = [0, this.#stretches.length];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((this.#stretches[middle]?.toMs ?? Infinity) > pointMs) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
