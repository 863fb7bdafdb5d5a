/** The plan of an unfinished run, beside its data: the first object of its journal, which is gone after the commit. */
import os from 'node:os';
import * as z from 'zod';
import { MAX_PARTITION_COLUMNS } from '../config/schema.ts';
import type { Failure } from '../base/errors.ts';
import type { DocumentKind, Listed } from './documents.ts';
import {
  count,
  hex,
  list,
  MAX_SEGMENTS,
  MOST_BYTES,
  name,
  SNAPSHOT_FIELDS,
  text,
  time,
  TOOL_FIELDS,
} from './fields.ts';
import { dataKey, runPrefix, segmentOfDataKey } from './names.ts';
import type { Receipt } from './receipts.ts';
import {
  cutBy,
  describeMisfit,
  folderOf,
  plannedSegment,
  plannedSegments,
  type PlannedSegment,
  type PlannedSegments,
} from './segments.ts';
import { segmentsRef } from './segments-apart.ts';

export const PLAN_FORMAT = 'pgsluice/plan/2';
const FIRST_FORMAT = 'pgsluice/plan/1';
const MAX_FAILURE_CHARS = 10_000;

const FIELDS = {
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
  /** Of whoever owns the run. */
  host: name(),
  /** Drawn anew by whoever takes the run up, so that no two plans are equal. */
  owner: name(),
  /** Absent in the first ones. */
  tool: z.strictObject(TOOL_FIELDS).exactOptional(),
};

const FAILURE_FIELDS = {
  code: name(),
  stage: name(),
  message: text(MAX_FAILURE_CHARS),
  hint: text(MAX_FAILURE_CHARS),
};

/** The server that a lock is of: another one knows nothing of it. */
const instance = z.strictObject({
  /** Null where the role may not ask. */
  systemIdentifier: name().nullable(),
  postmasterStart: time(),
  database: name(),
  /** Said to people; the same instance may be promoted at any time. */
  inRecovery: z.boolean().exactOptional(),
});
export type Instance = z.infer<typeof instance>;

const ended = z.strictObject({
  how: z.enum(['failed', 'cancelled', 'drained']),
  at: time(),
  host: name(),
  /** A newer version may have other codes. */
  failure: z.strictObject(FAILURE_FIELDS).exactOptional(),
});

/** A plan that this one is a continuation of: its first segments are those, and its receipts say what they said. */
const extended = z.strictObject({ fingerprint: hex(64), segments: count().max(MAX_SEGMENTS) });
/** Each is a session that found new values. */
const MAX_EXTENDED = 10_000;

/** A manifest of at most so many bytes is put into the plan itself; a longer one lies beside it. */
export const MOST_INSIDE_BYTES = 64 * 1024;

/** The manifest that is about to be written. */
const committing = z.strictObject({
  sha256: hex(64),
  bytes: count(),
  /** As it will be written; absent when it lies beside the plan. */
  manifest: text(MOST_INSIDE_BYTES).exactOptional(),
});

const plan = z.strictObject({
  format: z.literal(PLAN_FORMAT),
  ...FIELDS,
  /** Where the segments lie, when there are so many that none are here. */
  segmentsIn: segmentsRef.exactOptional(),
  /** How the names of its objects end; null in one that was of the first format, which does not say it. */
  extension: name().nullable(),
  /** Columns by whose values the objects lie in folders; only there with such a layout. */
  partitionBy: list(name(), MAX_PARTITION_COLUMNS).exactOptional(),
  /** What this plan was before values came to it that the source did not have then. */
  extended: list(extended, MAX_EXTENDED).exactOptional(),
  /** Objects that earlier plans of this run named and this one does not, by their names in the folder. */
  formerKeys: list(name(), MAX_SEGMENTS),
  /** Whose lock its owner held; null where it was not said. */
  instance: instance.nullable(),
  /** How the last try ended; absent while one is on, or when it was killed. */
  ended: ended.exactOptional(),
  /** Its manifest, which is staged, may be on its way: the run is committed as it stands, or not at all. */
  committing: committing.exactOptional(),
});

/** The plan as it lies there. */
export type PlanDocument = z.infer<typeof plan>;

/** The first object of a run: what it will be made of. With its segments, wherever they lie. */
export type JournalPlan = Omit<PlanDocument, 'segments' | 'segmentsIn'> & { segments: PlannedSegments };

/** A plan of whose segments is known how many there are. */
export type PlanOutline = Omit<JournalPlan, 'segments'> & { segments: { length: number } };

const firstPlan = z
  .strictObject({
    format: z.literal(FIRST_FORMAT),
    ...FIELDS,
    failure: z.strictObject({ ...FAILURE_FIELDS, at: time() }).exactOptional(),
  })
  .transform(({ failure, ...plan }): PlanDocument => {
    const said: PlanDocument = { ...plan, format: PLAN_FORMAT, extension: null, formerKeys: [], instance: null };
    if (failure === undefined) return said;
    const { at, ...rest } = failure;
    return { ...said, ended: { how: 'failed', at, host: plan.host, failure: rest } };
  });

export const PLAN: DocumentKind<PlanDocument> = {
  name: 'journal',
  format: PLAN_FORMAT,
  schema: plan,
  earlier: [{ format: FIRST_FORMAT, schema: firstPlan }],
  longList: { field: 'segments', item: plannedSegment, mostItems: MAX_SEGMENTS, problem: describeSegments },
  maxBytes: MOST_BYTES,
  code: 'bad-journal',
  stage: 'journal',
};

/** The plan of a try that ended, and how; a failure is kept in short. */
export function endedAs(plan: JournalPlan, how: 'failed' | 'cancelled' | 'drained', failure?: Failure): JournalPlan {
  const ending = { how, at: new Date().toISOString(), host: os.hostname() };
  if (failure === undefined) return { ...plan, ended: ending };
  const { code, stage, message, hint } = failure;
  const [shortMessage = '', shortHint = ''] = [message, hint].map((words) => words.slice(0, MAX_FAILURE_CHARS));
  return { ...plan, ended: { ...ending, failure: { code, stage, message: shortMessage, hint: shortHint } } };
}

/** All keys that this plan or one before it has named, some of them twice: a late request may still write to each of them. */
export function* keysEverNamed(plan: JournalPlan): Generator<string, undefined> {
  const { archive, run, segments, formerKeys } = plan;
  const folder = runPrefix(archive, run);
  const isKey = (key: string | undefined): key is string =>
    key !== undefined && segmentOfDataKey(archive, run, key) !== undefined;
  for (const segment of segments) {
    const key = dataKeyOf(plan, segment);
    if (isKey(key)) yield key;
  }
  for (const name of formerKeys) if (isKey(folder + name)) yield folder + name;
  return undefined;
}

/** Whether the key is that of one of the plan's own segments. */
export function isNamedBy(plan: JournalPlan, key: string): boolean {
  const segment = plan.segments.at(segmentOfDataKey(plan.archive, plan.run, key) ?? plan.segments.length);
  return segment !== undefined && dataKeyOf(plan, segment) === key;
}

/** The key of a segment's object; undefined in a plan that does not say how its names end. */
export function dataKeyOf(
  { archive, run, extension, partitionBy }: Pick<JournalPlan, 'archive' | 'run' | 'extension' | 'partitionBy'>,
  segment: PlannedSegment,
): string | undefined {
  return extension === null
    ? undefined
    : dataKey(archive, run, segment.index, extension, folderOf(partitionBy, segment));
}

/** Whether a receipt is one of this plan's, or of one that it goes on from. */
export function isReceiptOf(
  { fingerprint, extended = [] }: Pick<JournalPlan, 'fingerprint' | 'extended'>,
  receipt: Pick<Receipt, 'fingerprint' | 'segment'>,
): boolean {
  if (receipt.fingerprint === fingerprint) return true;
  return extended.some((one) => one.fingerprint === receipt.fingerprint && receipt.segment < one.segments);
}

/** What is wrong with the segments of a plan for the layout that it says; undefined when nothing is. */
export function describeLayout({
  by,
  partitionBy = [],
  segments,
}: Pick<Listed<PlanDocument>, 'by' | 'partitionBy' | 'segments'>): string | undefined {
  if ((by === 'value') !== partitionBy.length > 0) return ': partitionBy does not go with how they are cut';
  const [first] = segments;
  const values = first?.partition?.length ?? partitionBy.length;
  return values === partitionBy.length ? undefined : `[0]: it has ${values} values for ${partitionBy.length} columns`;
}

/** Behind the name of the list. */
export const SEGMENTS_TWICE = ': they are here, and lie elsewhere as well';

function describeSegments(plan: Listed<PlanDocument>): string | undefined {
  if (plan.segmentsIn === undefined) return describeMisfit(plan) ?? describeLayout(plan);
  return plan.segments.length === 0 ? undefined : SEGMENTS_TWICE;
}
