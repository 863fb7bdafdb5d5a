/** Plans a run: what is read, how it is cut into segments, and why that way. Rows are never counted for it. */
import { fail } from '../base/errors.ts';
import { BUDGET } from '../base/memory-budget.ts';
import { formatBytes } from '../base/units.ts';
import type { Reader } from '../config/reader.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import { packed } from '../ledger/segment-list.ts';
import type { CutBy, PlannedSegment, PlannedSegments } from '../ledger/segments.ts';
import type { Client } from '../postgres/connect.ts';
import { areAsPrinted, hasValues } from '../postgres/distinct-values.ts';
import { explainStatement, type Estimate } from '../postgres/estimate.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { describeKeyTypes } from '../postgres/key-types.ts';
import { sampleQuantiles, type KeyValues } from '../postgres/quantiles.ts';
import type { Compared } from '../postgres/row-comparison.ts';
import { buildSelect, columnReference, type Statement } from '../postgres/select.ts';
import { holdsRows, RELATION_WORDS, type Relation } from '../postgres/relation.ts';
import { mayRead } from '../postgres/role.ts';
import { inspectServer } from '../postgres/server.ts';
import { findRowChoice } from '../postgres/row-choice.ts';
import { findDescent } from '../postgres/row-descent.ts';
import { findCorrelation, findLeaves, isUniqueKey, type Leaf } from '../postgres/table-stats.ts';
import { selectPart } from '../segment/narrow.ts';
import { chooseCut, type CutFacts } from './cut/choose.ts';
import { warnOfUncovered } from './coverage.ts';
import type { Cut } from './cut/cut.ts';
import { cutByKey, type KeyCutParts } from './cut/key.ts';
import { cutByPages } from './cut/pages.ts';
import { cutByValue } from './cut/value.ts';
import { wholeCut } from './cut/whole.ts';
import { chooseSkip, describeLayout, readValues } from './layout.ts';
import { describeSubject, type Subject } from './subject.ts';
import { warnOfCasts } from './subject-warnings.ts';

export interface RunPlan {
  subject: Subject;
  estimate: Estimate;
  /** Of the rows that are read, as the segments are cut by them. */
  bytes: number;
  cut: Cut;
  /** Why it is cut that way. */
  why: string;
  segments: PlannedSegments;
  /** What is to be said before it is run. */
  warnings: readonly string[];
  /** By the server's word, there is no row: no page of the table, or a filter that lets nothing through. */
  isExpectedEmpty?: true;
}

/** The cut of an earlier try, as its journal has it. */
export interface KeptCut {
  by: CutBy;
  why: string;
  segments: PlannedSegments;
}

/** A part name has five digits; so many objects are more than any run should have. */
const MAX_SEGMENTS = BUDGET.segments.planned;
const TID_RANGE_SCANS_SINCE = 140000;

/** What a cut is made from. */
interface CutInput {
  client: Client;
  archive: ArchiveConfig;
  subject: Subject;
  leaves: readonly Leaf[];
  /** Of the rows that are read. */
  bytes: number;
}

/** Plans a run of `archive` for `slot`, by what `client` sees. Throws FailureError. */
export async function planRun(client: Client, archive: ArchiveConfig, slot: Date): Promise<RunPlan> {
  const { subject, estimate, warnings, leaves } = await lookAt(client, archive, slot);
  const { by, why } = chooseCut(archive.segments.by, await gatherFacts(client, archive, subject, leaves));
  const bytes = await bytesToRead(client, subject, estimate, leaves);
  const cut = await openCut(by, { client, archive, subject, leaves, bytes });
  const segments = packed(await cut.segments());
  const look = { subject, estimate, bytes, warnings, ...expectations(estimate, leaves) };
  return segments.length <= 1 && archive.segments.by === 'auto' && cut !== wholeCut && by !== 'value'
    ? { ...look, cut: wholeCut, why: `${formatBytes(bytes)} are one segment`, segments: await wholeCut.segments() }
    : { ...look, cut, why, segments };
}

/** The plan of an earlier try, described anew. */
export interface ReplannedRun extends RunPlan {
  /** Why its segments are no cut of what the catalogue lists now; undefined when they are. */
  problem: string | undefined;
  /** What came since to the segments that were kept; empty where they are all rows as they are. */
  more: readonly PlannedSegment[];
}

/** The plan of an earlier try by what `client` sees now; its segments are taken over as they are. */
export async function replanRun(
  client: Client,
  archive: ArchiveConfig,
  slot: Date,
  { by, why, segments }: KeptCut,
): Promise<ReplannedRun> {
  const { subject, estimate, warnings, leaves } = await lookAt(client, archive, slot);
  const cut = await openCut(by, { client, archive, subject, leaves, bytes: estimate.bytes });
  const problem = cut.problem(segments) ?? (await cut.problemByServer?.(segments));
  const more = problem === undefined ? ((await cut.moreSegments?.(segments)) ?? []) : [];
  return { subject, estimate, bytes: estimate.bytes, cut, why, segments, warnings, problem, more };
}

/** A page that comes after this look holds no row that the snapshot sees. */
function expectations({ rows }: Estimate, leaves: readonly Leaf[]): Pick<RunPlan, 'isExpectedEmpty'> {
  const isPageless = leaves.length > 0 && leaves.every(({ pages, hasPages }) => hasPages && pages === 0);
  return rows === 0 || isPageless ? { isExpectedEmpty: true } : {};
}

interface Look extends Pick<RunPlan, 'subject' | 'estimate' | 'warnings'> {
  leaves: readonly Leaf[];
}

/** What an archive reads, whatever it is cut by. Throws FailureError for what is not there, and for what no snapshot covers. */
async function lookAt(client: Client, archive: ArchiveConfig, slot: Date): Promise<Look> {
  const subject = await describeSubject(client, archive, slot);
  const { estimate, remoteReads } = await explainStatement(client, buildSelect(subject.selection));
  const warnings = [...warnOfUncovered(archive, subject.name, remoteReads), ...warnOfCasts(subject.selection.columns)];
  return { subject, estimate, warnings, leaves: await leavesOf(client, subject) };
}

/** The statement that reads one segment. */
export function segmentSelect({ subject, cut }: RunPlan, segment: PlannedSegment, reader: Reader): Statement {
  return selectPart(subject.selection, cut.parts, segment, reader);
}

function leavesOf(client: Client, { relation }: Subject): Promise<readonly Leaf[]> | readonly Leaf[] {
  if (relation === undefined) return [];
  return holdsRows(relation) ? findLeaves(client, relation.oid) : [];
}

async function gatherFacts(
  client: Client,
  archive: ArchiveConfig,
  { name, relation, selection, key }: Subject,
  leaves: readonly Leaf[],
): Promise<CutFacts> {
  // The rows of a table are its own; only a filter can look at others.
  const { partitionBy } = archive;
  const isCut = partitionBy !== undefined || archive.segments.by !== 'none';
  const isMany = partitionBy !== undefined || key.length > 0;
  const mustAsk = isCut && (selection.kind === 'query' ? isMany : selection.where !== undefined && leaves.length > 0);
  const layout = {
    ...(partitionBy === undefined ? {} : { partitionBy }),
    ...(archive.pace?.maxSnapshotAgeMs === undefined ? {} : { mustOutlive: true }),
  };
  const rowChoice = mustAsk ? await findRowChoice(client, selection, key) : undefined;
  if (relation === undefined) {
    const canCutKey = key.length > 0;
    return { name, kind: 'query', ...layout, key, canCutKey, canCutPages: false, correlation: undefined, rowChoice };
  }
  const [leading] = key;
  const { versionNumber } = await inspectServer(client);
  if (archive.key !== undefined) await requireUnique(client, relation, archive.key, name);
  const canReadKey = await mayRead(client, relation.oid, key);
  return {
    name,
    kind: relation.kind,
    ...layout,
    ...(relation.kind === 'partitioned' && leaves.length === 0 ? { isLeafless: true } : {}),
    key,
    ...(canReadKey ? {} : { isKeyHidden: true }),
    canCutKey: key.length > 0 && leaves.length > 0 && canReadKey,
    canCutPages: canReadLeaves(archive, leaves) && versionNumber >= TID_RANGE_SCANS_SINCE,
    correlation: leading === undefined ? undefined : await findCorrelation(client, relation.oid, leading),
    rowChoice,
  };
}

/**
 * A cut by pages reads each leaf by its own name: a foreign one too that a filter keeps the table's own statement from reading,
 * and that no snapshot covers.
 */
function canReadLeaves({ consistency }: ArchiveConfig, leaves: readonly Leaf[]): boolean {
  return leaves.length > 0 && leaves.every((leaf) => leaf.isReadable && (leaf.hasPages || consistency === 'none'));
}

/** Of a table, the share of its bytes that a filter leaves, by the planner's estimates. */
async function bytesToRead(
  client: Client,
  { selection, relation }: Subject,
  estimate: Estimate,
  leaves: readonly Leaf[],
): Promise<number> {
  if (relation === undefined || selection.kind === 'query') return estimate.bytes;
  const bytes = leaves.reduce((sum, leaf) => sum + leaf.bytes, 0);
  if (selection.where === undefined) return bytes;
  const whole = await explainStatement(client, buildSelect({ ...selection, where: undefined }));
  return bytes * Math.min(1, estimate.rows / Math.max(1, whole.estimate.rows));
}

async function requireUnique(client: Client, relation: Relation, key: readonly string[], name: string): Promise<void> {
  if (await isUniqueKey(client, relation.oid, key)) return;
  if (!holdsRows(relation)) {
    throw fail('key-not-unique', {
      stage: 'plan',
      message: `${name} is a ${RELATION_WORDS[relation.kind]}, which has no index that a key could be backed by`,
      hint: 'Leave key out; or archive it by a query, of which any columns may be the key.',
    });
  }
  throw fail('key-not-unique', {
    stage: 'plan',
    message: `the key (${key.join(', ')}) of ${name} is not backed by a unique index on NOT NULL columns`,
  });
}

async function openCut(by: CutBy, input: CutInput): Promise<Cut> {
  const { subject, leaves } = input;
  switch (by) {
    case 'none':
      return wholeCut;
    case 'pages': {
      // A leaf that goes by another name than its own is given that one.
      const oid = subject.alias === undefined ? subject.relation?.oid : undefined;
      const table = { oid, name: quoteIdentifier(calledBy(subject)) };
      return cutByPages({ leaves, table, targetBytes: targetBytes(input) });
    }
    case 'key': {
      const key = await openKey(input);
      const parts = Math.round(input.bytes / targetBytes(input));
      return cutByKey({ ...key, findBounds: () => findBounds(input, key.columns, parts) });
    }
    case 'value':
      return openValueCut(input);
  }
}

async function openKey({ client, archive, subject }: CutInput): Promise<Omit<KeyCutParts, 'findBounds'>> {
  const columns = await keyColumns(client, subject);
  return {
    columns,
    nullable: mayHoldNulls(archive, subject),
    findDescent: (bounds) => findDescent(client, subject.selection, columns, bounds),
  };
}

async function openValueCut(input: CutInput): Promise<Cut> {
  const { client, archive, subject, leaves, bytes } = input;
  const columns = await describeLayout(client, archive, subject);
  const size = { pages: pagesOf(leaves) ?? 0, parts: Math.max(1, Math.round(bytes / targetBytes(input))) };
  const skip = await chooseSkip(client, subject, columns, size);
  const key = subject.key.length === 0 ? undefined : await openKey(input);
  const isSplit = key !== undefined && archive.segments.by !== 'none' && (await canCutKey(client, subject, leaves));
  return cutByValue({
    columns,
    listValues: () => readValues(client, { selection: subject.selection, columns, skip }),
    countsAll: skip === undefined && archive.consistency !== 'none',
    areAsPrinted: (values) => areAsPrinted(client, columns, values),
    key: key && {
      ...key,
      partsOf: (share) => (isSplit ? Math.round((share * bytes) / targetBytes(input)) : 1),
      findBounds: (values, parts) => findBounds(input, key.columns, parts, hasValues(columns, values)),
    },
  });
}

/** Whether ranges of the key can be read. */
async function canCutKey(client: Client, { relation, key }: Subject, leaves: readonly Leaf[]): Promise<boolean> {
  if (key.length === 0 || relation === undefined) return key.length > 0;
  return leaves.length > 0 && mayRead(client, relation.oid, key);
}

function pagesOf(leaves: readonly Leaf[]): number | undefined {
  return leaves.length === 0 ? undefined : leaves.reduce((sum, leaf) => sum + leaf.pages, 0);
}

function targetBytes({ archive, bytes }: CutInput): number {
  return Math.max(archive.segments.targetBytes, bytes / MAX_SEGMENTS);
}

/** The bounds of so many parts of the rows, or of those that a condition of ours leaves. */
async function findBounds(
  { client, subject, leaves }: CutInput,
  key: readonly Compared[],
  parts: number,
  predicate?: string,
): Promise<KeyValues[]> {
  if (parts <= 1) return [];
  const narrowed = predicate === undefined ? {} : { predicate };
  return sampleQuantiles(client, { selection: subject.selection, key, parts, pages: pagesOf(leaves), ...narrowed });
}

/**
 * A primary key is never NULL; but the rows of a table that inherits from it, a NOT NULL that was not validated, and a
 * query know no such rule.
 */
function mayHoldNulls(archive: ArchiveConfig, { relation }: Subject): boolean {
  if (relation === undefined || archive.key !== undefined) return true;
  return relation.hasChildren && relation.kind !== 'partitioned';
}

/** A column of a table goes with the table's name: alone, ORDER BY would take it for a column of the output. */
async function keyColumns(client: Client, subject: Subject): Promise<Compared[]> {
  const { selection, relation, key } = subject;
  const all = relation?.columns ?? selection.columns;
  const indexes = key.map((name) => all.findIndex((column) => column.name === name));
  const types = await describeKeyTypes(
    client,
    indexes.map((index) => all[index]?.type ?? ''),
  );
  const table = relation === undefined ? '' : `${quoteIdentifier(calledBy(subject))}.`;
  return types.map((type, at) => ({
    ...type,
    reference: `${table}${columnReference({ ...selection, columns: all }, indexes[at] ?? -1)}`,
  }));
}

/** The name that SQL has for the rows of a relation. */
function calledBy({ alias, relation }: Subject): string {
  return alias ?? relation?.name ?? '';
}
