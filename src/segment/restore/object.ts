/** The story of one object on its way back: note down, then read -> prove -> decompress -> prove -> rows -> COPY. */
import type { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { fail, FailureError } from '../../base/errors.ts';
import { BUDGET } from '../../base/memory-budget.ts';
import { formatCount } from '../../base/units.ts';
import type { Client } from '../../postgres/connect.ts';
import { quoteIdentifier } from '../../postgres/identifiers.ts';
import type { Store } from '../../store/store.ts';
import { withoutZstdToken } from '../../format/compress/token.ts';
import { createZstdReader, describeWindowExcess, freeChunk } from '../../format/compress/unpack.ts';
import { ContentProof, ObjectProof } from '../../format/proof.ts';
import { copyIn } from './copy.ts';
import { restoreFailure } from './errors.ts';
import { beginObject, noteObject } from './record.ts';
import { CopyRows } from '../../format/jsonl/read/rows.ts';
import type { RestoredFacts, ObjectTask } from './task.ts';
import type { WorkerMessage } from '../messages.ts';

export interface RestoreHooks {
  report: (message: WorkerMessage) => void;
  signal: AbortSignal;
  onProgress: (progress: { rows: number; jsonBytes: number; bytes: number }) => void;
}

/** Bytes that a decompressor gives at once; Node's default is far less. */
const CHUNK_BYTES = BUDGET.unpack.contentBytes;

/** A manifest may say anything. */
const LEAST_CHUNK_BYTES = 1024;

const STAGE = 'pg_temp.pgsluice_stage';

/**
 * Restores one object inside the open transaction. Throws FailureError when anything fails; then the transaction, and the connection
 * with it, is of no more use: the server may be in the middle of the rows.
 */
export async function fillObject(
  task: ObjectTask,
  client: Client,
  store: Store,
  hooks: RestoreHooks,
): Promise<RestoredFacts> {
  const { jsonBytes, bytes } = task.expected;
  try {
    const earlier = await beginObject(client, task);
    if (earlier !== undefined) return { ...earlier, jsonBytes, bytes };
    const counts = needsStage(task)
      ? await fillThroughStage(task, client, store, hooks)
      : await fillDirectly(task, client, store, hooks);
    await noteObject(client, task, counts);
    return { ...counts, jsonBytes, bytes };
  } catch (error) {
    throw explainSkip(restoreFailure(error, `restoring ${task.key} into ${task.subject}`), task);
  }
}

/** Rows with the same key were passed over, so that what is in the way has another one. */
function explainSkip(error: FailureError, { onConflict }: ObjectTask): FailureError {
  const { failure } = error;
  if (onConflict !== 'skip' || failure.code !== 'row-exists') return error;
  const hint =
    'A row with another key has the same value in another unique index. It is not the archived row, so that one is not passed over: change or remove it, or restore into another table (--create).';
  return new FailureError({ ...failure, hint }, { cause: error });
}

type Counts = Pick<RestoredFacts, 'rows' | 'skipped'>;

/** COPY cannot pass over rows that are there already, and does not tell how many meet a condition: only how many went in. */
function needsStage({ onConflict, where }: ObjectTask): boolean {
  return onConflict === 'skip' || where !== undefined;
}

async function fillDirectly(task: ObjectTask, client: Client, store: Store, hooks: RestoreHooks): Promise<Counts> {
  const rows = await stream(task, client, store, `COPY ${task.table}${columnList(task)} FROM STDIN`, hooks);
  if (rows !== task.expected.rows) throw rowsDropped(task, rows, task.expected.rows);
  return { rows, skipped: 0 };
}

async function fillThroughStage(task: ObjectTask, client: Client, store: Store, hooks: RestoreHooks): Promise<Counts> {
  const list = columnList(task);
  const names = list.slice(2, -1);
  await client.query(
    `CREATE TEMP TABLE ${STAGE.replace('pg_temp.', '')} ON COMMIT DROP AS SELECT ${names} FROM ${task.table} WITH NO DATA`,
  );
  const staged = await stream(task, client, store, `COPY ${STAGE}${list} FROM STDIN${whereOf(task)}`, hooks);
  const { rowCount } = await client.query(
    `INSERT INTO ${task.table}${list} OVERRIDING SYSTEM VALUE SELECT ${names} FROM ${STAGE}${onConflict(task)}`,
  );
  const rows = rowCount ?? 0;
  const lost = staged === rows || task.conflictKey === undefined ? staged - rows : await countLost(task, client);
  // The next object of the transaction makes its own.
  await client.query(`DROP TABLE ${STAGE}`);
  if (lost > 0) throw rowsDropped(task, staged - lost, staged);
  return { rows, skipped: staged - rows };
}

/** By the archive's key alone: what is in the way of a row with another key is an error. */
function onConflict({ conflictKey }: ObjectTask): string {
  if (conflictKey === undefined) return '';
  return ` ON CONFLICT (${conflictKey.map(({ name }) => quoteIdentifier(name)).join(', ')}) DO NOTHING`;
}

/** Rows that were not inserted, and whose key is not there either: a trigger let them fall, or gave them another key. */
async function countLost({ table, conflictKey = [] }: ObjectTask, client: Client): Promise<number> {
  const isSame = conflictKey.map(({ name, equals, nullable }) => {
    const column = quoteIdentifier(name);
    const areEqual = `t.${column} ${equals} s.${column}`;
    return nullable ? `(${areEqual} OR t.${column} IS NULL AND s.${column} IS NULL)` : areEqual;
  });
  const { rows } = await client.query<{ lost: string }>(
    `SELECT pg_catalog.count(*) AS lost FROM ${STAGE} AS s WHERE NOT EXISTS (SELECT FROM ${table} AS t WHERE ${isSame.join(' AND ')})`,
  );
  return Number(rows[0]?.lost);
}

function whereOf({ where }: ObjectTask): string {
  return where === undefined ? '' : ` WHERE ${where}`;
}

/** ` ("a", "b")`; nothing for a table without columns, which COPY takes as it is. */
function columnList({ columns }: ObjectTask): string {
  const names = columns.filter(({ form }) => form !== undefined).map(({ name }) => quoteIdentifier(name));
  return names.length === 0 ? '' : ` (${names.join(', ')})`;
}

/** Sends the object's rows to `statement`; resolves to the rows it took. The server has ended it only when all is proved. */
async function stream(
  task: ObjectTask,
  client: Client,
  store: Store,
  statement: string,
  { signal, onProgress }: RestoreHooks,
): Promise<number> {
  const object = new ObjectProof();
  const content = new ContentProof();
  const rows = new CopyRows(task.columns, task.maxValueBytes);

  async function* proveObject(slices: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    for await (const slice of slices) {
      object.add(slice);
      if (object.bytes > task.expected.bytes) throw tooMuch(task);
      yield slice;
    }
    checkObject(task, object);
  }

  async function* toRows(slices: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    for await (const slice of slices) {
      content.add(slice);
      // A megabyte may hold ten gigabytes, of which nothing is to be kept.
      if (content.bytes > task.expected.jsonBytes || content.lines > task.expected.rows) throw tooMuch(task);
      yield* rows.push(slice);
      if (task.codec !== 'none') freeChunk(slice);
      onProgress({ rows: rows.rows, jsonBytes: content.bytes, bytes: object.bytes });
    }
    checkContent(task, content, rows.rows);
    rows.end();
  }

  const toCompressed = (slices: AsyncIterable<Buffer>): AsyncIterable<Buffer> =>
    task.codec === 'zstd' ? withoutZstdToken(slices) : slices;
  const stored = store.read(task.key, signal);
  const target = copyIn(client, statement);
  const decompressor = createDecompressor(task);
  try {
    if (decompressor === undefined) await pipeline(stored, proveObject, toRows, target, { signal });
    else await pipeline(stored, proveObject, toCompressed, decompressor, toRows, target, { signal });
  } catch (error) {
    throw isOfCompression(error) ? brokenCompression(task, error) : error;
  }
  return target.rowCount;
}

/** Of many small objects, each would have a buffer of the full size, which is most of the work of the collector then. */
function chunkBytesFor({ expected }: ObjectTask): number {
  return Math.min(CHUNK_BYTES, Math.max(LEAST_CHUNK_BYTES, expected.jsonBytes + 1));
}

function createDecompressor(task: ObjectTask): Transform | undefined {
  const { codec, windowBytes } = task;
  const chunkSize = chunkBytesFor(task);
  switch (codec) {
    case 'gzip':
      return createGunzip({ chunkSize });
    case 'zstd':
      return createZstdReader(windowBytes);
    case 'none':
      return undefined;
  }
}

function brokenCompression({ key, codec, windowBytes }: ObjectTask, error: unknown): FailureError {
  const excess = describeWindowExcess(error, windowBytes);
  if (excess === undefined) return damaged(key, `its ${codec} is broken`, 'a whole one');
  return fail('object-damaged', { stage: 'restore', message: `${key} is not restored: ${excess}` });
}

/** zlib finds a broken object before its digest is known. */
function isOfCompression(error: unknown): boolean {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  return typeof code === 'string' && /^(?:Z_|ZSTD_)/.test(code);
}

function checkObject({ key, expected }: ObjectTask, proof: ObjectProof): void {
  const digest = proof.digest();
  if (proof.bytes === expected.bytes && digest === expected.sha256) return;
  throw damaged(key, `it has ${proof.bytes} bytes and SHA-256 ${digest}`, `${expected.bytes} and ${expected.sha256}`);
}

function checkContent({ key, expected }: ObjectTask, proof: ContentProof, rows: number): void {
  const same = proof.lines === expected.rows && rows === expected.rows && proof.bytes === expected.jsonBytes;
  if (same && proof.crc32 === expected.crc32) return;
  throw damaged(
    key,
    `it holds ${proof.lines} lines, ${proof.bytes} bytes, CRC ${proof.crc32}`,
    `${expected.rows}, ${expected.jsonBytes}, ${expected.crc32}`,
  );
}

function tooMuch({ key, expected: { bytes, rows, jsonBytes } }: ObjectTask): FailureError {
  return damaged(
    key,
    'it holds more, and was read no further,',
    `${bytes} bytes, ${rows} lines, ${jsonBytes} bytes of them`,
  );
}

function damaged(key: string, found: string, expected: string): FailureError {
  return fail('object-damaged', {
    stage: 'restore',
    message: `${key} is not what the manifest says: ${found} instead of ${expected}; nothing of it was restored`,
  });
}

function rowsDropped({ subject, key }: ObjectTask, rows: number, sent: number): FailureError {
  return fail('rows-dropped', {
    stage: 'restore',
    message: `${subject} took ${formatCount(rows)} of ${formatCount(sent)} rows of ${key}, so nothing of it was restored`,
  });
}
