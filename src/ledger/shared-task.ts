/**
 * What all segments of a run share, for hosts that work on some of them: in its journal, written anew by each session. Whoever reads
 * it was told its ETag and its digest by who leads the run, and believes no other one.
 */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { bytesOf } from '../store/content.ts';
import { badDocument, type DocumentKind } from './documents.ts';
import { count, hex, list, MAX_COLUMNS, name, text, TOOL_FIELDS } from './fields.ts';
import { journalPrefix } from './names.ts';
import { openOwn, putSealed, sealDocument, type RunPlace } from './own-documents.ts';

export const SHARED_TASK_FORMAT = 'pgsluice/task/1';

/** The most leaves of a table; each takes some 200 bytes. */
const MOST_LEAVES = 100_000;

const column = z.strictObject({
  name: name(),
  type: name(),
  typeOid: count(),
  baseTypeOid: count(),
  elementTypeOid: count().nullable(),
  isEnum: z.boolean(),
  nullable: z.boolean(),
  encoding: z.enum([
    ...(['boolean', 'integer', 'number', 'string', 'date', 'timestamp', 'timestamptz'] as const),
    ...(['json', 'jsonb', 'server', 'text'] as const),
  ]),
  isMadeByCast: z.literal(true).exactOptional(),
});
const columns = list(column, MAX_COLUMNS);

const selection = z.union([
  z.strictObject({ kind: z.literal('relation'), from: text(), where: text().exactOptional(), columns }),
  z.strictObject({
    kind: z.literal('query'),
    sql: text(),
    params: z.array(z.union([text(), z.number(), z.boolean(), z.null()])).max(10_000),
    columns,
  }),
]);

const key = z.strictObject({
  columns: z.array(z.strictObject({ reference: text(), type: name(), operators: name() })).max(MAX_COLUMNS),
  nullable: z.boolean(),
});

const cut = z.union([
  z.strictObject({ by: z.literal('none') }),
  z.strictObject({ by: z.literal('key'), ...key.shape }),
  z.strictObject({
    by: z.literal('pages'),
    table: z.strictObject({ oid: count().exactOptional(), name: name() }),
    leaves: list(z.strictObject({ oid: count(), from: name(), hasPages: z.boolean() }), MOST_LEAVES),
  }),
  z.strictObject({
    by: z.literal('value'),
    columns: z
      .array(z.strictObject({ name: name(), reference: text(), type: name(), isText: z.boolean() }))
      .max(MAX_COLUMNS),
    key: key.exactOptional(),
  }),
]);

/** What the names of a source and a destination stand for, but for credentials. */
const ends = z.strictObject({
  source: name(),
  destination: name(),
  database: name(),
  /** Whose rights rows are read by. */
  role: name(),
  /** Bucket and prefix, or folder. */
  location: text(),
  endpoint: text(),
  region: name(),
  /** Digest of the destination's other options. */
  options: hex(64),
});
export type SharedEnds = z.infer<typeof ends>;

const sharedTaskSchema = z.strictObject({
  format: z.literal(SHARED_TASK_FORMAT),
  archive: name().min(1),
  run: name().min(1),
  tool: z.strictObject(TOOL_FIELDS),
  ends,
  snapshot: name(),
  server: z.strictObject({ systemIdentifier: name().nullable(), startedAt: z.number(), address: name().nullable() }),
  lock: z.strictObject({ pid: count(), number: z.string().regex(/^-?\d{1,20}$/) }).exactOptional(),
  read: z.enum(['copy', 'query', 'cursor']),
  selection,
  cut,
  subject: text(),
  keyColumns: z.array(count()).max(MAX_COLUMNS),
  compression: z.strictObject({
    codec: z.enum(['gzip', 'zstd', 'none']),
    engine: z.enum(['auto', 'zlib', 'isal']),
    level: count().exactOptional(),
  }),
  contentEncoding: z.literal('gzip').exactOptional(),
  pieceBytes: count().min(1).exactOptional(),
  wantsLineDigest: z.literal(true).exactOptional(),
});
export type SharedTask = z.infer<typeof sharedTaskSchema>;

const SHARED_TASK: DocumentKind<SharedTask> = {
  name: 'task',
  format: SHARED_TASK_FORMAT,
  schema: sharedTaskSchema,
  maxBytes: 32 * 1024 ** 2,
  code: 'bad-journal',
  stage: 'journal',
};

/** By what a stored document is known from any other. */
export interface SharedTaskMark {
  etag: string;
  sha256: string;
}

function keyOf({ archive, run }: RunPlace): string {
  return `${journalPrefix(archive, run)}task.json`;
}

/** Writes it over that of an earlier session. Throws FailureError. */
export async function writeSharedTask(place: RunPlace, task: SharedTask): Promise<SharedTaskMark> {
  const key = keyOf(place);
  const sealed = sealDocument(place, SHARED_TASK, task, key);
  const sha256 = createHash('sha256')
    .update(await bytesOf(sealed))
    .digest('hex');
  const result = await putSealed(place.store, key, sealed);
  return { etag: result.outcome === 'written' ? result.etag : '', sha256 };
}

/** The one that was written with that mark. Throws FailureError when another one lies there, or one that cannot be believed. */
export async function readSharedTask(place: RunPlace, mark: SharedTaskMark): Promise<SharedTask> {
  const key = keyOf(place);
  const url = place.store.url + key;
  const found = await place.store.get(key, SHARED_TASK.maxBytes);
  if (found === undefined) throw badDocument(SHARED_TASK, url, 'it is not there');
  const sha256 = createHash('sha256').update(found.body).digest('hex');
  if (found.etag !== mark.etag || sha256 !== mark.sha256)
    throw badDocument(SHARED_TASK, url, 'it is not the one that the segment was sent with');
  return openOwn(place, SHARED_TASK, found.body, key);
}
