/** Plans a run: what is read, how it is cut into segments, and why that way. Rows are never counted for it. */
import { FailureError } from '../base/errors.ts';
import { formatBytes, formatCount } from '../base/units.ts';
import type { Reader } from '../config/reader.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import type { CutBy, PlannedSegment } from '../ledger/segments.ts';
import type { Client } from '../postgres/connect.ts';
import type { Column } from '../postgres/columns.ts';
import { findRowChoice } from '../postgres/sql-text.ts';
import { estimateRows, type Estimate } from '../postgres/estimate.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { sampleQuantiles, type KeyColumn } from '../postgres/quantiles.ts';
import { buildSelect, columnReference, type Narrowing, type Statement } from '../postgres/select.ts';
import { inspectServer } from '../postgres/server.ts';
import { findCorrelation, findLeaves, isUniqueKey, type Leaf } from '../postgres/table-stats.ts';
import { hasBinaryEncoder } from '../format/jsonl/write/binary/column.ts';
import { narrowToRange, rangesBetween } from './cut/key.ts';
import { narrowToPages, rangesOfPages } from './cut/pages.ts';
import { describeSubject, type Subject } from './row-source.ts';

/** How the rows are cut, before it is known into how many. */
interface Cut {
  by: CutBy;
  why: string;
}

export interface RunPlan extends Cut {
  subject: Subject;
  key: readonly KeyColumn[];
  /** Whether rows without a key must be reckoned with. */
  keyNullable: boolean;
  segments: PlannedSegment[];
  estimate: Estimate;
}

/** The part of a plan that the journal keeps. */
export type KeptCut = Pick<RunPlan, 'by' | 'why' | 'segments'>;

/** A part name has five digits; so many objects are more than any run should have. */
const MAX_SEGMENTS = 10_000;
/** From here on, a range of the key reads about as many pages as it has rows' worth of. */
const GOOD_CORRELATION = 0.9;
const TID_RANGE_SCANS_SINCE = 140000;

/** What the decision is made from. */
interface Facts {
  leaves: Leaf[];
  bytes: number;
  hasKey: boolean;
  correlation: number | undefined;
  canCutPages: boolean;
}

/** Plans a run of `archive` for `slot`, by what `client` sees. With `kept`, the cut of an earlier try is taken over. */
export async function planRun(client: Client, archive: ArchiveConfig, slot: Date, kept?: KeptCut): Promise<RunPlan> {
  const subject = await describeSubject(client, archive, slot);
  const estimate = await estimateRows(client, buildSelect(subject.source));
  const base = { subject, estimate, key: keyColumns(subject), keyNullable: mayHoldNulls(archive, subject) };
  if (kept !== undefined) return { ...base, ...kept };
  const facts = await gatherFacts(client, archive, subject, estimate);
  const cut = chooseCut(archive, subject, facts);
  const segments = await cutSegments(client, archive, base, facts, cut);
  return segments.length <= 1 && archive.segments.by === 'auto' && cut.by !== 'none'
    ? { ...base, by: 'none', why: `${formatBytes(facts.bytes)} are one segment`, segments: [{ index: 0 }] }
    : { ...base, ...cut, segments };
}

/** The statement that reads one segment. */
export function segmentSelect(plan: RunPlan, segment: PlannedSegment, reader: Reader): Statement {
  const asksServer = reader === 'copy' ? (column: Column): boolean => !hasBinaryEncoder(column) : undefined;
  return buildSelect(plan.subject.source, segmentNarrowing(plan, segment), asksServer);
}

/** What narrows the source to one segment. */
export function segmentNarrowing(plan: RunPlan, { range, pages }: PlannedSegment): Narrowing {
  if (range !== undefined) return narrowToRange(range, plan.key, plan.keyNullable);
  return pages === undefined ? {} : narrowToPages(pages);
}

async function gatherFacts(
  client: Client,
  archive: ArchiveConfig,
  subject: Subject,
  estimate: Estimate,
): Promise<Facts> {
  const { relation, source, key } = subject;
  if (relation === undefined) {
    return { leaves: [], bytes: estimate.bytes, hasKey: key.length > 0, correlation: undefined, canCutPages: false };
  }
  const leaves = ['table', 'partitioned', 'materialized'].includes(relation.kind)
    ? await findLeaves(client, relation.oid)
    : [];
  const [leading] = key;
  const { versionNumber } = await inspectServer(client);
  if (archive.key !== undefined) await requireUnique(client, relation.oid, archive.key, subject.name);
  const heapBytes = leaves.reduce((sum, leaf) => sum + leaf.bytes, 0);
  const isFiltered = source.kind === 'relation' && source.where !== undefined;
  return {
    leaves,
    bytes: isFiltered ? await filteredBytes(client, subject, estimate, heapBytes) : heapBytes,
    hasKey: key.length > 0 && leaves.length > 0,
    correlation: leading === undefined ? undefined : await findCorrelation(client, relation.oid, leading),
    canCutPages: leaves.length > 0 && leaves.every((leaf) => leaf.isReadable) && versionNumber >= TID_RANGE_SCANS_SINCE,
  };
}

/** The share of the table's bytes that a filter leaves, by the planner's estimates. */
async function filteredBytes(client: Client, { source }: Subject, estimate: Estimate, bytes: number): Promise<number> {
  if (source.kind !== 'relation') return bytes;
  const whole = await estimateRows(client, buildSelect({ ...source, where: undefined }));
  return bytes * Math.min(1, estimate.rows / Math.max(1, whole.rows));
}

async function requireUnique(client: Client, oid: number, key: readonly string[], name: string): Promise<void> {
  if (await isUniqueKey(client, oid, key)) return;
  throw new FailureError({
    code: 'key-not-unique',
    stage: 'plan',
    transient: false,
    message: `the key (${key.join(', ')}) of ${name} is not backed by a unique index on NOT NULL columns`,
    hint: 'Name the columns of such an index, or leave key out: the primary key is taken then.',
  });
}

function chooseCut(archive: ArchiveConfig, subject: Subject, facts: Facts): Cut {
  const choice = subject.source.kind === 'query' ? findRowChoice(subject.source.sql) : undefined;
  if (choice !== undefined && archive.segments.by !== 'none') return withoutCut(archive, subject, choice);
  switch (archive.segments.by) {
    case 'none':
      return { by: 'none', why: 'segments.by is none' };
    case 'key':
      if (!facts.hasKey) throw cannotCut(subject, 'key', 'it has no primary key, and the archive names no other key');
      return { by: 'key', why: 'segments.by is key' };
    case 'pages':
      if (!facts.canCutPages)
        throw cannotCut(
          subject,
          'pages',
          'that takes a table, Postgres 14 or later, and SELECT granted on each partition',
        );
      return { by: 'pages', why: 'segments.by is pages' };
    case 'auto':
      return chooseAutomatically(subject, facts);
  }
}

/** Each segment runs the query anew; one that picks its rows as it runs would give each of them other rows to cut. */
function withoutCut(archive: ArchiveConfig, subject: Subject, choice: string): Cut {
  const why = `the query has ${choice}, and may give other rows each time it is run`;
  if (archive.segments.by !== 'auto') throw cannotCut(subject, archive.segments.by, why);
  return { by: 'none', why };
}

function chooseAutomatically({ key, relation }: Subject, { hasKey, correlation, canCutPages }: Facts): Cut {
  const keyText = `the key (${key.join(', ')})`;
  if (hasKey && relation === undefined)
    return { by: 'key', why: `the query names ${keyText}, so a run can be resumed` };
  if (hasKey && correlation !== undefined && Math.abs(correlation) >= GOOD_CORRELATION) {
    return {
      by: 'key',
      why: `the rows lie in the order of ${keyText} (correlation ${correlation.toFixed(2)}), and a run can be resumed`,
    };
  }
  if (canCutPages) {
    const order =
      correlation === undefined
        ? 'there are no statistics on its order (run ANALYZE)'
        : `the rows do not lie in its order (correlation ${correlation.toFixed(2)})`;
    return { by: 'pages', why: hasKey ? `${keyText} is there, but ${order}` : 'there is no primary key' };
  }
  if (hasKey) return { by: 'key', why: `this server cannot read ranges of pages, and there is ${keyText}` };
  return {
    by: 'none',
    why: relation === undefined ? 'a query without a key' : `a ${relation.kind} has no pages and no key to cut by`,
  };
}

async function cutSegments(
  client: Client,
  archive: ArchiveConfig,
  { subject, key }: Pick<RunPlan, 'subject' | 'key'>,
  facts: Facts,
  { by }: Cut,
): Promise<PlannedSegment[]> {
  const target = Math.max(archive.segments.targetSize, facts.bytes / MAX_SEGMENTS);
  if (by === 'pages') {
    const table = {
      from: subject.source.kind === 'relation' ? subject.source.from : '',
      name: quoteIdentifier(subject.relation?.name ?? ''),
    };
    return rangesOfPages(facts.leaves, target, table).map((pages, index) => ({ index, pages }));
  }
  const parts = Math.round(facts.bytes / target);
  if (by === 'none') return [{ index: 0 }];
  if (parts <= 1) return rangesBetween([]).map((range, index) => ({ index, range }));
  const pages = facts.leaves.length === 0 ? undefined : facts.leaves.reduce((sum, leaf) => sum + leaf.pages, 0);
  const bounds = await sampleQuantiles(client, { source: subject.source, key, parts, pages });
  return rangesBetween(bounds).map((range, index) => ({ index, range }));
}

/**
 * A primary key is never NULL; but the rows of a table that inherits from it, a NOT NULL that was not validated, and a
 * query know no such rule.
 */
function mayHoldNulls(archive: ArchiveConfig, { relation }: Subject): boolean {
  if (relation === undefined || archive.key !== undefined) return true;
  return relation.hasChildren && relation.kind !== 'partitioned';
}

function keyColumns({ source, relation, key }: Subject): KeyColumn[] {
  const all = relation?.columns ?? source.columns;
  return key.map((name) => {
    const index = all.findIndex((column) => column.name === name);
    return { reference: columnReference({ ...source, columns: all }, index), type: all[index]?.type ?? 'text' };
  });
}

function cannotCut(subject: Subject, by: string, why: string): FailureError {
  return new FailureError({
    code: 'cannot-cut',
    stage: 'plan',
    transient: false,
    message: `${subject.name} cannot be cut by ${by}: ${why}`,
    hint: 'Set segments.by to auto, or name a key.',
  });
}

/** What a person is told of a segment. */
export function describeSegment({ range, pages }: PlannedSegment): string {
  if (range !== undefined) {
    const [lower, upper] = [range.lower, range.upper].map((bound) =>
      bound === null ? undefined : `(${bound.join(', ')})`,
    );
    return [lower === undefined ? undefined : `from ${lower}`, upper === undefined ? undefined : `below ${upper}`]
      .filter((part) => part !== undefined)
      .join(' ');
  }
  if (pages === undefined) return 'all rows';
  const end = pages.toPage === null ? 'on' : `to ${formatCount(pages.toPage - 1)}`;
  return pages.hasPages ? `${pages.leaf}, pages ${formatCount(pages.fromPage)} ${end}` : pages.leaf;
}
