/** What the journal says of a plan, and the digest by which a later try knows whether it is still the same. */
import { createHash, randomUUID } from 'node:crypto';
import os from 'node:os';
import { TOOL } from '../base/tool.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import { PLAN_FORMAT, type JournalPlan } from '../ledger/journal.ts';
import type { Snapshot, SourceIdentity } from '../postgres/snapshot.ts';
import type { RunPlan } from './plan.ts';

/** Digest of what decides the content of a run's segments: the source, the rows and columns asked for, the cut, the codec. */
export function fingerprintOf(
  archive: ArchiveConfig,
  plan: Pick<RunPlan, 'subject' | 'cut' | 'segments'>,
  source: SourceIdentity,
): string {
  const { subject } = plan;
  const content = {
    source: [source.systemIdentifier, source.database],
    subject: subject.name,
    reads:
      subject.selection.kind === 'query'
        ? [subject.selection.sql, subject.selection.params]
        : (subject.selection.where ?? null),
    columns: subject.selection.columns.map(({ name, type, encoding }) => [name, type, encoding]),
    key: [subject.key, subject.keyOrder],
    // Segments of another plan have the same numbers and other rows.
    cut: [plan.cut.name, plan.segments],
    codec: archive.compression.codec,
    contentEncoding: archive.contentEncoding ?? null,
  };
  return createHash('sha256').update(JSON.stringify(content)).digest('hex');
}

/** Puts a journal plan together. */
export function journalPlan(
  archive: ArchiveConfig,
  run: string,
  plan: RunPlan,
  snapshot: Snapshot,
  fingerprint: string,
  startedAt: Date,
): JournalPlan {
  return {
    format: PLAN_FORMAT,
    archive: archive.name,
    run,
    fingerprint,
    by: plan.cut.name,
    why: plan.why,
    segments: [...plan.segments],
    snapshot,
    estimatedRows: plan.estimate.rows,
    startedAt: startedAt.toISOString(),
    host: os.hostname(),
    owner: randomUUID(),
    tool: TOOL,
  };
}
