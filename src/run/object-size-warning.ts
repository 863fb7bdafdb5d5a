/** Whether segments may become larger than an object of the destination may be: `plan` and `check --online` say it. */
import { formatBytes, formatCount } from '../base/units.ts';
import { MOST_PARTS, mostObjectBytes } from '../config/object-limit.ts';
import type { DestinationConfig } from '../config/schema.ts';
import type { RunPlan } from './plan.ts';

/** A line, or none. How far the rows compress shows only when they are read. */
export function warnOfObjectSize(
  destination: DestinationConfig,
  { bytes, segments }: Pick<RunPlan, 'bytes' | 'segments'>,
): string[] {
  const ofSegment = bytes / Math.max(1, segments.length);
  const most = mostObjectBytes(destination);
  if (ofSegment <= most) return [];
  return [
    `a segment has about ${formatBytes(ofSegment)} of rows, and fails when it takes more than ${formatBytes(most)} as it is stored, ${formatCount(MOST_PARTS)} parts of ${formatBytes(destination.partBytes)}: set a larger partSize of destinations.${destination.name}, or have smaller segments`,
  ];
}
