/** What the journal says of a plan, and the digest by which a later try knows whether it is still the same. */
import { createHash, randomBytes } from 'node:crypto';
import os from 'node:os';
import { TOOL } from '../base/tool.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import { CODEC_FILES } from '../format/compress/codec.ts';
import { isNamedBy, keysEverNamed, PLAN_FORMAT, type JournalPlan } from '../ledger/journal.ts';
import { packed } from '../ledger/segment-list.ts';
import type { SourceIdentity } from '../postgres/snapshot.ts';
import { drawOwner } from './ownership.ts';
import type { ReplannedRun, RunPlan } from './plan.ts';
import type { Run } from './run.ts';
import type { Session } from './session.ts';

/** Digest of what decides the content of a run's segments: the source, the rows and columns asked for, the cut, the codec. */
export function fingerprintOf(
  archive: ArchiveConfig,
  plan: Pick<RunPlan, 'subject' | 'cut' | 'segments'>,
  source: SourceIdentity,
): string {
  const { subject, cut, segments } = plan;
  const before = {
    source: [source.systemIdentifier, source.database],
    subject: subject.name,
    reads:
      subject.selection.kind === 'query'
        ? [subject.selection.sql, subject.selection.params]
        : (subject.selection.where ?? null),
    // The rows of another partition that begins with the same second are others.
    ...(subject.partition === undefined ? {} : { partition: [subject.partition.oid, subject.partition.bound] }),
    columns: subject.selection.columns.map(({ name, type, encoding }) => [name, type, encoding]),
    key: [subject.key, subject.keyOrder],
  };
  const after = {
    codec: archive.compression.codec,
    contentEncoding: archive.contentEncoding ?? null,
    // What was read without an instant of its own is no part of a run that promises one.
    ...(archive.consistency === 'none' ? { consistency: 'none' } : {}),
    ...(archive.partitionBy === undefined ? {} : { partitionBy: archive.partitionBy }),
  };
  // As if it were one document, of which no more than a segment is made at once. Segments of another plan have the same numbers and other rows.
  const digest = createHash('sha256').update(`${JSON.stringify(before).slice(0, -1)},"cut":["${cut.name}",[`);
  let comma = '';
  for (const segment of segments) {
    digest.update(comma + JSON.stringify(segment));
    comma = ',';
  }
  return digest.update(`]],${JSON.stringify(after).slice(1)}`).digest('hex');
}

/** Puts a journal plan together. What `earlier` and those before it have named, and this plan does not, is kept in mind. */
export function journalPlan(
  run: Run,
  { snapshot, instance }: Session,
  plan: RunPlan,
  fingerprint: string,
  earlier?: JournalPlan,
): JournalPlan {
  const { archive, id, startedAt } = run;
  const journal: JournalPlan = {
    format: PLAN_FORMAT,
    archive: archive.name,
    run: id,
    fingerprint,
    by: plan.cut.name,
    why: plan.why,
    segments: plan.segments,
    ...(archive.partitionBy === undefined ? {} : { partitionBy: [...archive.partitionBy] }),
    extension: CODEC_FILES[archive.compression.codec].extension,
    formerKeys: [],
    snapshot,
    instance,
    estimatedRows: plan.estimate.rows,
    startedAt: startedAt.toISOString(),
    host: os.hostname(),
    owner: drawOwner(run),
    tool: TOOL,
  };
  if (earlier === undefined) return journal;
  const former = new Set<string>();
  for (const key of keysEverNamed(earlier))
    if (!isNamedBy(journal, key)) former.add(key.slice(run.folder.prefix.length));
  return { ...journal, formerKeys: [...former].sort() };
}

/** The plan of an earlier try, which goes on with more segments: receipts of those that it had are still its own. */
export function extendedPlan(
  run: Run,
  session: Session,
  plan: ReplannedRun,
  journal: JournalPlan,
): { plan: RunPlan; journal: JournalPlan } {
  const { problem: _problem, more, ...kept } = plan;
  if (more.length === 0) return { plan: kept, journal };
  const segments = packed(plan.segments, more);
  const grown = { ...kept, segments };
  const { fingerprint, extended = [] } = journal;
  return {
    plan: grown,
    journal: {
      ...journal,
      segments,
      fingerprint: fingerprintOf(run.archive, grown, session.identity),
      extended: [...extended, { fingerprint, segments: plan.segments.length }],
    },
  };
}

/** The same plan, but one that no later try goes on with: what was written by it is not to be believed. */
export function disowned(journal: JournalPlan): JournalPlan {
  return { ...journal, fingerprint: randomBytes(32).toString('hex') };
}
