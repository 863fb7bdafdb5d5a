/** Plans a run: what is read, cut into segments, with an estimate of what will come. */
import type { Client } from '../postgres/connect.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import { estimateRows, type Estimate } from '../postgres/estimate.ts';
import { buildSelect, type Statement } from '../postgres/select.ts';
import { describeSubject, type Subject } from './row-source.ts';

/** One segment of a plan. */
export interface PlannedSegment {
  /** From 0; the number in the object's name. */
  index: number;
}

export interface RunPlan {
  subject: Subject;
  by: 'none';
  /** Why the run is cut this way. */
  why: string;
  segments: PlannedSegment[];
  estimate: Estimate;
}

/** Plans a run of `archive` for `slot`, by what `client` sees. Reads the catalogue and the planner's estimate only. */
export async function planRun(client: Client, archive: ArchiveConfig, slot: Date): Promise<RunPlan> {
  const subject = await describeSubject(client, archive, slot);
  const estimate = await estimateRows(client, buildSelect(subject.source));
  return { subject, by: 'none', why: 'one segment a run', segments: [{ index: 0 }], estimate };
}

/** The statement that reads one segment. */
export function segmentSelect(plan: RunPlan, _segment: PlannedSegment): Statement {
  return buildSelect(plan.subject.source);
}
