/** Does not cut: all rows are one segment. */
import type { Cut } from './cut.ts';

export const wholeCut: Cut = {
  name: 'none',
  survivesSnapshot: false,
  segments: () => Promise.resolve([{ index: 0 }]),
  problem: (segments) => (segments.length === 1 ? undefined : `there are ${segments.length} segments in place of one`),
  parts: { by: 'none' },
  describe: () => 'all rows',
};
