/** Reads an object back to rows of COPY: read -> prove -> decompress -> prove -> rows. */
import { pipeline } from 'node:stream';
import { fail, FailureError } from '../../base/errors.ts';
import { BUDGET } from '../../base/memory-budget.ts';
import { gunzipByIsal, gunzipByZlib } from '../../format/compress/gunzip.ts';
import { withoutZstdToken } from '../../format/compress/token.ts';
import {
  createZstdReader,
  describeWindowExcess,
  fastestInflater,
  type Inflater,
} from '../../format/compress/unpack.ts';
import { freeChunk } from '../../format/compress/unpacking.ts';
import { LineDigest } from '../../format/digest.ts';
import { CopyRows } from '../../format/jsonl/read/rows.ts';
import { ContentProof, ObjectProof } from '../../format/proof.ts';
import type { Store } from '../../store/store.ts';
import type { ObjectTask } from './task.ts';

/** Bytes that a decompressor gives at once; Node's default is far less. */
const CHUNK_BYTES = BUDGET.unpack.contentBytes;

/** A manifest may say anything. */
const LEAST_CHUNK_BYTES = 1024;

export interface ReadHooks {
  signal: AbortSignal;
  onProgress: (progress: { rows: number; jsonBytes: number; bytes: number }) => void;
  /** Resolves once so many bytes of lines may go on; of a task that is read at a pace. */
  grant?: (bytes: number) => Promise<void>;
  /** Of all lines, once they are proved; only where the task wants it. */
  onLineDigest?: (digest: string) => void;
}

/**
 * Yields the object's rows in COPY's text form, cut anywhere; each buffer is lent until the next one is asked for. Throws FailureError,
 * at the latest at the end, where the object is not what the manifest says: until then, nothing of it counts.
 */
export async function* readRows(
  task: ObjectTask,
  store: Store,
  hooks: ReadHooks,
  inflater: Inflater = fastestInflater(),
): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* readRowsBy(inflater, task, store, hooks);
  } catch (error) {
    if (inflater === 'isal' && tellsOfObject(error) && !hooks.signal.aborted) await askZlib(task, store, hooks);
    throw error;
  }
}

/** ISA-L does not say what is wrong as zlib does, nor in every case that something is: so the same object is read again. Throws what zlib finds. */
async function askZlib(task: ObjectTask, store: Store, { signal, grant }: ReadHooks): Promise<void> {
  const paced = grant === undefined ? {} : { grant };
  const rows = readRowsBy('zlib', task, store, { signal, ...paced, onProgress: () => undefined });
  while ((await rows.next()).done !== true) signal.throwIfAborted();
}

function tellsOfObject(error: unknown): boolean {
  return !(error instanceof FailureError && error.failure.transient);
}

async function* readRowsBy(
  inflater: Inflater,
  task: ObjectTask,
  store: Store,
  { signal, onProgress, grant, onLineDigest }: ReadHooks,
): AsyncGenerator<Buffer, void, undefined> {
  const object = new ObjectProof();
  const content = new ContentProof();
  const digest = task.wantsLineDigest === true ? new LineDigest() : undefined;
  const rows = new CopyRows(task.columns, task.maxValueBytes);
  try {
    for await (const slice of unpack(inflater, task, proveObject(task, object, store.read(task.key, signal)))) {
      content.add(slice);
      // A megabyte may hold ten gigabytes, of which nothing is to be kept.
      if (content.bytes > task.expected.jsonBytes || content.lines > task.expected.rows) throw tooMuch(task);
      await waitForPace(task, slice.length, grant);
      digest?.add(slice);
      yield* rows.push(slice);
      if (task.codec !== 'none') freeChunk(slice);
      onProgress({ rows: rows.rows, jsonBytes: content.bytes, bytes: object.bytes });
    }
  } catch (error) {
    throw isOfCompression(error) ? brokenCompression(task, error) : error;
  }
  checkContent(task, content, rows.rows);
  rows.end();
  if (digest !== undefined) onLineDigest?.(digest.value);
}

/** A slice has a hundred times what it was read as, at most; it is held meanwhile, and so the destination and the server wait. */
async function waitForPace({ pieceBytes }: ObjectTask, bytes: number, grant: ReadHooks['grant']): Promise<void> {
  if (pieceBytes === undefined) return;
  for (let left = bytes; left > 0; left -= pieceBytes) await grant?.(Math.min(left, pieceBytes));
}

async function* proveObject(
  task: ObjectTask,
  object: ObjectProof,
  slices: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const slice of slices) {
    object.add(slice);
    if (object.bytes > task.expected.bytes) throw tooMuch(task);
    yield slice;
  }
  checkObject(task, object);
}

/** What goes wrong before the decompressor comes out of it. */
function unpack(inflater: Inflater, task: ObjectTask, slices: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  switch (task.codec) {
    case 'gzip':
      return (inflater === 'isal' ? gunzipByIsal : gunzipByZlib)(slices, chunkBytesFor(task));
    case 'zstd':
      return pipeline(withoutZstdToken(slices), createZstdReader(task.windowBytes), () => undefined);
    case 'none':
      return slices;
  }
}

/** Of many small objects, each would have a buffer of the full size, which is most of the work of the collector then. */
function chunkBytesFor({ expected }: ObjectTask): number {
  return Math.min(CHUNK_BYTES, Math.max(LEAST_CHUNK_BYTES, expected.jsonBytes + 1));
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
