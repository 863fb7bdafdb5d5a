/** The plan of an unfinished run, beside its data: the first object of its journal, which is gone after the commit. */
import { z } from 'zod';
import type { Failure } from '../base/errors.ts';
import type { DocumentKind } from './documents.ts';
import { hex, name, SNAPSHOT_FIELDS, text, time, TOOL_FIELDS } from './fields.ts';
import { cutBy, findMisfit, plannedSegments } from './segments.ts';

export const PLAN_FORMAT = 'pgsluice/plan/1';
const MAX_FAILURE_CHARS = 10_000;

const plan = z
  .strictObject({
    format: z.literal(PLAN_FORMAT),
    archive: name(),
    run: name(),
    /** Digest of all that decides what the segments hold; receipts of another one are never mixed in. */
    fingerprint: hex(64),
    by: cutBy,
    /** Why it is cut that way. */
    why: text(),
    segments: plannedSegments,
    snapshot: z.strictObject(SNAPSHOT_FIELDS),
    estimatedRows: z.number().min(0),
    startedAt: time(),
    host: name(),
    /** Drawn anew by whoever takes the run up: it tells before the commit whether somebody else has. */
    owner: name(),
    /** Absent in the first ones. */
    tool: z.strictObject(TOOL_FIELDS).exactOptional(),
    /** How the last try ended; absent while one is on, or when it was killed. A newer version may have other codes. */
    failure: z
      .strictObject({
        code: name(),
        stage: name(),
        message: text(MAX_FAILURE_CHARS),
        hint: text(MAX_FAILURE_CHARS),
        at: time(),
      })
      .exactOptional(),
  })
  .superRefine(({ by, segments }, context) => {
    const misfit = findMisfit(by, segments);
    if (misfit === undefined) return;
    context.addIssue({ code: 'custom', path: ['segments', misfit.index], message: misfit.why });
  });

/** The first object of a run: what it will be made of. */
export type JournalPlan = z.infer<typeof plan>;

export const PLAN: DocumentKind<JournalPlan> = {
  name: 'journal',
  format: PLAN_FORMAT,
  schema: plan,
  maxBytes: 64 * 1024 ** 2,
  code: 'bad-journal',
  stage: 'journal',
};

/** The plan with the failure that ended its try. */
export function endedBy(plan: JournalPlan, { code, stage, message, hint }: Failure): JournalPlan {
  const [shortMessage, shortHint] = [message, hint].map((words) => words.slice(0, MAX_FAILURE_CHARS)) as [
    string,
    string,
  ];
  return { ...plan, failure: { code, stage, message: shortMessage, hint: shortHint, at: new Date().toISOString() } };
}
