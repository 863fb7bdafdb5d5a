/** The segments of a plan as plain data, as the journal keeps them: numbers, names and bounds, and never a piece of SQL. */
import type { KeyValues } from '../postgres/quantiles.ts';

export type CutBy = 'key' | 'pages' | 'none';

/** Rows from `lower` on, below `upper`; null is no bound. */
export interface KeyRange {
  lower: KeyValues | null;
  upper: KeyValues | null;
}

/** Pages of one leaf, from `fromPage` on, below `toPage`; null is to the end, whatever was added since. */
export interface PageRange {
  /** The leaf's OID, by which the catalogue is asked for it. 0, which no relation has, in journals that knew its name only. */
  leaf: number;
  /** What people call the leaf; nothing is read by it. */
  name: string;
  fromPage: number;
  toPage: number | null;
}

/** One segment of a plan. It has the field of its own cut, and no other. */
export interface PlannedSegment {
  /** From 0; the number in the object's name. */
  index: number;
  range?: KeyRange;
  pages?: PageRange;
}
