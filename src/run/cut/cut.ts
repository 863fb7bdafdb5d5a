/** A way to cut the rows of a run into segments. Each kind has a file of its own; nothing else knows the kinds apart. */
import type { CutBy, PlannedSegment, PlannedSegments } from '../../ledger/segments.ts';
import type { CutParts } from '../../segment/narrow.ts';

export interface Cut {
  readonly name: CutBy;
  /** Whether a segment means the same rows under another snapshot, so that a run can go on from its receipts. */
  readonly survivesSnapshot: boolean;
  /** The segments of a new plan: numbered from 0, together all rows, and no row twice. At least one, but for a layout by value. */
  segments(): Promise<PlannedSegment[]>;
  /**
   * What another snapshot has beside the segments of an earlier one: those of new values, with the next numbers. Absent where
   * segments are always all rows.
   */
  moreSegments?(segments: PlannedSegments): Promise<PlannedSegment[]>;
  /** Rows that were counted while the segments were found, which are all of this snapshot; undefined where none were. */
  countedRows?(): number | undefined;
  /**
   * What is wrong with segments that were read from a journal: that they leave rows out, hold some twice, or mean what the
   * server does not list. Undefined when nothing is.
   */
  problem(segments: PlannedSegments): string | undefined;
  /** The same, as far as only the server knows; of segments that have no other problem. Absent where there is nothing to ask. */
  problemByServer?(segments: PlannedSegments): Promise<string | undefined>;
  /** By what a segment is narrowed to its rows, of the config and the catalogue; see segment/narrow.ts. */
  readonly parts: CutParts;
  /** What a person is told of a segment. */
  describe(segment: PlannedSegment): string;
}
