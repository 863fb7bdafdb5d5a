/**
 * The segments of a plan that has many of them: they lie beside plan.json, by their digest, so that who owns the run and
 * that it is being committed are small writes. They never change: another list has another name.
 */
import * as z from 'zod';
import type { DocumentKind } from './documents.ts';
import { count, hex, MAX_SEGMENTS, MOST_BYTES, name } from './fields.ts';
import { cutBy, describeMisfit, plannedSegment, plannedSegments, type PlannedSegments } from './segments.ts';

export const SEGMENTS_FORMAT = 'pgsluice/segments/1';

/** Segments that take more than this as JSON lie apart. */
const LONG_BYTES = 1024 ** 2;

/** Names the document that has the segments of a plan. */
export const segmentsRef = z.strictObject({ sha256: hex(64), bytes: count().max(MOST_BYTES) });
export type SegmentsRef = z.infer<typeof segmentsRef>;

const segments = z.strictObject({
  format: z.literal(SEGMENTS_FORMAT),
  archive: name(),
  run: name(),
  /** As the plan that names it has it. */
  by: cutBy,
  segments: plannedSegments,
});
export type SegmentsApart = z.infer<typeof segments>;

export const SEGMENTS: DocumentKind<SegmentsApart> = {
  name: 'journal',
  format: SEGMENTS_FORMAT,
  schema: segments,
  longList: { field: 'segments', item: plannedSegment, mostItems: MAX_SEGMENTS, problem: describeMisfit },
  maxBytes: MOST_BYTES,
  code: 'bad-journal',
  stage: 'journal',
};

/** Whether the segments of a plan are so long that they lie apart. */
export function lieApart(planned: PlannedSegments): boolean {
  let bytes = 0;
  for (const segment of planned) {
    bytes += Buffer.byteLength(JSON.stringify(segment));
    if (bytes > LONG_BYTES) return true;
  }
  return false;
}
