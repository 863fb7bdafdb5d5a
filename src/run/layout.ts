/** What a layout by value is made from: its columns, their values as the source has them, and the keys that these make. */
import { fail } from '../base/errors.ts';
import { BUDGET } from '../base/memory-budget.ts';
import { formatCount } from '../base/units.ts';
import { visible } from '../base/visible.ts';
import type { ArchiveConfig, DestinationConfig } from '../config/schema.ts';
import { CODEC_FILES } from '../format/compress/codec.ts';
import { dataKey, fullKey } from '../ledger/names.ts';
import { folderOf, type PlannedSegment } from '../ledger/segments.ts';
import type { Client } from '../postgres/connect.ts';
import { listValues, type ListedValue, type ListRequest, type ValueColumn } from '../postgres/distinct-values.ts';
import { createIndexSql, holdsRows } from '../postgres/relation.ts';
import { describeValueColumns, findLeadingColumns } from '../postgres/value-columns.ts';
import { warnOfFolderKeys } from './subject-warnings.ts';
import { requireColumns, type Subject } from './subject.ts';

/** S3 takes no longer ones, in bytes of UTF-8. */
const MOST_KEY_BYTES = 1024;
/** What nearly all file systems take as the name of a folder or a file, in bytes. */
const MOST_NAME_BYTES = 255;
/** Of a value that is refused, no more is shown. */
const SHOWN_CHARS = 100;

/** The columns of `partitionBy`, none without. Throws FailureError `partition-column`, or `column-not-found`. */
export async function describeLayout(
  client: Client,
  { partitionBy = [] }: Pick<ArchiveConfig, 'partitionBy'>,
  { selection }: Pick<Subject, 'selection'>,
): Promise<ValueColumn[]> {
  requireColumns(selection.columns, partitionBy, 'partitionBy');
  for (const name of partitionBy) {
    const alike = selection.columns.filter((column) => column.name === name);
    if (alike.length > 1) throw badColumn(name, `${alike.length} columns have this name`);
    // No mapping of JavaScript can have it.
    if (name === '__proto__') throw badColumn(name, 'no column of this name can be told in a manifest');
  }
  const indexes = partitionBy.map((name) => selection.columns.findIndex((column) => column.name === name));
  const described = await describeValueColumns(client, selection, indexes);
  if (Array.isArray(described)) return described;
  throw badColumn(described.column.name, described.why);
}

function badColumn(name: string, why: string): Error {
  return fail('partition-column', { stage: 'plan', message: `partitionBy: "${name}" cannot name folders: ${why}` });
}

/** How the values are listed: by an index where one leads with the only column, and there is no filter; else in one pass. */
export async function chooseSkip(
  client: Client,
  { relation, selection }: Pick<Subject, 'relation' | 'selection'>,
  columns: readonly ValueColumn[],
  size: { pages: number; parts: number },
): Promise<ListRequest['skip']> {
  const [only] = columns;
  const isPlain = relation !== undefined && !relation.hasChildren && ['table', 'materialized'].includes(relation.kind);
  if (!isPlain || only === undefined || columns.length > 1) return undefined;
  if (selection.kind === 'query' || selection.where !== undefined) return undefined;
  const column = selection.columns.find(({ name }) => name === only.name);
  if (column === undefined || column.typeOid !== column.baseTypeOid) return undefined;
  const leading = await findLeadingColumns(client, relation.oid);
  const isOrdered = leading.some(({ name, isOrdered }) => name === only.name && isOrdered);
  return isOrdered ? { ...size, nullable: column.nullable } : undefined;
}

/** The values that the source has. Throws FailureError for too many of them, and for one that no key can hold. */
export async function* readValues(
  client: Client,
  request: Pick<ListRequest, 'selection' | 'columns' | 'skip'>,
): AsyncGenerator<ListedValue, void, undefined> {
  const most = BUDGET.segments.values;
  let count = 0;
  for await (const listed of listValues(client, { ...request, most: most + 1, mostChars: MOST_KEY_BYTES })) {
    count += 1;
    if (count > most) throw tooMany(request.columns, most);
    for (const [at, value] of listed.values.entries())
      if (value !== null && value.length > MOST_KEY_BYTES)
        throw badKey(
          `${request.columns[at]?.name ?? ''} has the value ${shown(value)}, which is longer than a key can be`,
        );
    yield listed;
  }
}

function tooMany(columns: readonly ValueColumn[], most: number): Error {
  const names = columns.map(({ name }) => name).join(', ');
  const what = columns.length === 1 ? `${names} has` : `(${names}) have`;
  return fail('partition-count', {
    stage: 'plan',
    message: `${what} more than ${formatCount(most)} values, each of which would be a folder`,
  });
}

/** What a key is made of besides the segment. */
export interface KeyPlace {
  destination: Pick<DestinationConfig, 'location'>;
  archive: Pick<ArchiveConfig, 'name' | 'compression' | 'partitionBy'>;
  run: string;
}

/** The key of a segment's object, as the destination has it. */
export function segmentKey({ destination, archive, run }: KeyPlace, segment: PlannedSegment): string {
  const { extension } = CODEC_FILES[archive.compression.codec];
  const folder = folderOf(archive.partitionBy, segment);
  return fullKey(destination, dataKey(archive.name, run, segment.index, extension, folder));
}

/** Throws FailureError `partition-key` for the first segment whose key the destination does not take. */
export function requireKeysFit(place: KeyPlace, segments: Iterable<PlannedSegment>): void {
  for (const segment of segments) {
    const problem = describeKeyProblem(place, segment);
    if (problem !== undefined) throw badKey(problem);
  }
}

function describeKeyProblem(place: KeyPlace, segment: PlannedSegment): string | undefined {
  const folder = folderOf(place.archive.partitionBy, segment);
  const bytes = Buffer.byteLength(segmentKey(place, segment));
  if (bytes > MOST_KEY_BYTES)
    return `the key of ${shown(folder)} has ${formatCount(bytes)} bytes, and ${formatCount(MOST_KEY_BYTES)} are the most that S3 takes`;
  if (/[\ufffe\uffff]/.test(folder)) return `${shown(folder)} has a character that no list of S3 can show`;
  if (place.destination.location.kind !== 'file') return undefined;
  const long = folder.split('/').find((name) => Buffer.byteLength(name) > MOST_NAME_BYTES);
  if (long === undefined) return undefined;
  return `the folder ${shown(long)} has ${formatCount(Buffer.byteLength(long))} bytes, and a file system takes ${MOST_NAME_BYTES}`;
}

function badKey(message: string): Error {
  return fail('partition-key', { stage: 'plan', message });
}

function shown(text: string): string {
  return visible(text, SHOWN_CHARS);
}

/** What an operator should know of a layout before he runs it; empty when there is nothing to say. */
export async function warnOfLayout(
  client: Client,
  archive: Pick<ArchiveConfig, 'partitionBy' | 'window'>,
  subject: Pick<Subject, 'relation' | 'selection'>,
): Promise<string[]> {
  const { partitionBy = [] } = archive;
  const hidden = partitionBy.filter((name) => /^[_.]/.test(name));
  return [
    ...warnOfFolderKeys(subject.selection.columns, partitionBy),
    ...hidden.map((name) => `partitionBy: Athena, Spark and Hive skip folders whose names begin as "${name}" does`),
    ...(partitionBy.length === 0 ? [] : await warnOfScans(client, archive, subject)),
  ];
}

/** Each segment looks for the rows of its value: without an index, it reads all of the table, or of the window. */
async function warnOfScans(
  client: Client,
  { partitionBy = [], window }: Pick<ArchiveConfig, 'partitionBy' | 'window'>,
  { relation }: Pick<Subject, 'relation'>,
): Promise<string[]> {
  if (relation === undefined || !holdsRows(relation)) return [];
  const helpful = [...new Set([...partitionBy, ...(window === undefined ? [] : [window.column])])];
  const leading = await findLeadingColumns(client, relation.oid);
  if (leading.some(({ name }) => helpful.includes(name))) return [];
  return [
    `no index leads with ${helpful.join(' or ')}, so that the segment of each value reads the whole table: ${createIndexSql(relation, helpful)}`,
  ];
}
