/** What a source notes while it reads, for the proof and the manifest. */

import type { TextRow } from '../../format/jsonl/write/text-encoder.ts';

/** Rows that came from the server. */
export interface ReadCount {
  rows: number;
  /** The last one, where rows are texts. */
  lastRow?: TextRow;
}

/** Keys of the first and the last row, as they are in JSON but without quotes; null before there is one. */
export interface KeySpan {
  first: string[] | null;
  last: string[] | null;
}
