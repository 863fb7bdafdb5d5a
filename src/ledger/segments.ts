/** The segments of a plan as plain data, as the journal keeps them. */
import type { KeyValues } from '../postgres/quantiles.ts';

export type CutBy = 'key' | 'pages' | 'none';

/** Rows from `lower` on, below `upper`; null is no bound. */
export interface KeyRange {
  lower: KeyValues | null;
  upper: KeyValues | null;
}

/** Pages of one leaf, from `fromPage` on, below `toPage`; null is to the end, whatever was added since. */
export interface PageRange {
  /** Quoted, ready for FROM. */
  from: string;
  /** As the operator knows it. */
  leaf: string;
  fromPage: number;
  toPage: number | null;
  /** Whether the leaf has pages to cut by; a foreign one is read whole. */
  hasPages: boolean;
}

/** One segment of a plan; what narrows it is plain data. */
export interface PlannedSegment {
  /** From 0; the number in the object's name. */
  index: number;
  range?: KeyRange;
  pages?: PageRange;
}
