/** The story of one segment: a reader under the snapshot, then source -> encode -> compress -> sink. */
import { pipeline } from 'node:stream/promises';
import { Closers } from '../base/closers.ts';
import type { Store } from '../store/store.ts';
import { CODEC_FILES } from '../format/compress/codec.ts';
import { compress } from '../format/compress/compress.ts';
import { noteLongLine } from '../format/jsonl/copy-line.ts';
import { crc32Of } from '../format/compress/isal.ts';
import { checkRowCounts, ContentProof, ObjectProof } from '../format/proof.ts';
import {
  type EncodeBuffers,
  giveBuffersBack,
  lendBuffers,
  lineEndsBySimd,
} from '../format/jsonl/write/binary/encode-memory.ts';
import { digestLines, LineDigest } from '../format/digest.ts';
import type { Ends } from './binding.ts';
import { readLines, type LineCount } from './read-lines.ts';
import { openReader, type Reader } from './readers.ts';
import { keepStore, takeStore } from './stores.ts';
import { paceLines } from './pace-lines.ts';
import type { WorkerMessage } from './messages.ts';
import type { ObjectFacts, SegmentTask } from './task.ts';

/** How a segment talks with the thread that runs it. */
export interface SegmentHooks {
  /** Tells the control plane what it needs to know when this thread dies. */
  report: (message: WorkerMessage) => void;
  onProgress: (progress: { rows: number; jsonBytes: number; bytes: number }) => void;
  /** Resolves once so many bytes of lines may be passed on; of a task that is read at a pace. */
  grant: (bytes: number) => Promise<void>;
  signal: AbortSignal;
}

/** What a segment has done so far; the stages write it, the reports and the proof read it. */
class Progress {
  readonly content = new ContentProof(lineEndsBySimd);
  readonly object = new ObjectProof();
  readonly lines = new LineDigest();
  readonly count: LineCount = { read: { rows: 0 }, encoded: { rows: 0 }, keys: { first: null, last: null } };
  /** Of the object, once it is there. */
  etag = '';
}

/** What the stages work with. */
interface Parts {
  task: SegmentTask;
  reader: Reader;
  store: Store;
  buffers: EncodeBuffers;
}

/** Archives one segment. Throws the first cause when anything fails; then no object is visible, and the query is stopped. */
export async function archiveSegment(task: SegmentTask, ends: Ends, hooks: SegmentHooks): Promise<ObjectFacts> {
  const closers = new Closers();
  const progress = new Progress();
  let finished = false;
  try {
    const reader = await openReader(ends.database, task, {
      onBackend: (pid) => {
        hooks.report({ kind: 'backend', pid });
      },
      signal: hooks.signal,
    });
    closers.add('the reader', () => (finished ? reader.giveBack() : reader.drop()));
    const opened = takeStore(ends.destination);
    closers.add('the destination', () => (finished ? keepStore(ends.destination, opened) : opened.close()));
    const store = opened.under(hooks.signal, (trouble) => {
      hooks.report({ kind: 'trouble', trouble });
    });
    const buffers = lendBuffers();
    closers.add('the buffers', () => {
      giveBuffersBack(buffers);
    });
    await streamRows({ task, reader, store, buffers }, progress, hooks);
    finished = true;
    return describeObject(task, progress);
  } catch (error) {
    throw hooks.signal.aborted ? hooks.signal.reason : error;
  } finally {
    await closers.close();
  }
}

/** The stages as one pipeline: it closes all of them when one fails, and throws what failed first. */
async function streamRows(
  { task, reader, store, buffers }: Parts,
  progress: Progress,
  hooks: SegmentHooks,
): Promise<void> {
  const { content, object, count } = progress;

  async function* proveContent(lines: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    for await (const buffer of lines) {
      content.add(buffer);
      hooks.onProgress({ rows: count.read.rows, jsonBytes: content.bytes, bytes: object.bytes });
      yield buffer;
    }
  }

  async function* proveObject(slices: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    for await (const slice of slices) {
      object.add(slice);
      yield slice;
    }
    checkRowCounts(task.subject, { read: count.read.rows, encoded: count.encoded.rows, lines: content.lines });
  }

  async function upload(slices: AsyncIterable<Buffer>): Promise<void> {
    const uploading = store.upload(task.key, proveObject(slices), {
      contentType: CODEC_FILES[task.compression.codec].contentType,
      ...(task.contentEncoding === undefined ? {} : { contentEncoding: task.contentEncoding }),
      ...(task.replaces === undefined ? {} : { replaces: task.replaces }),
      crc32: (part) => crc32Of(part, 0),
      isHeld: true,
      beforeLast: () => reader.end(task.lock),
      signal: hooks.signal,
      onUploadStarted: (uploadId) => {
        hooks.report({ kind: 'upload', uploadId });
      },
    });
    uploading.catch(reader.cut);
    progress.etag = (await uploading).etag;
  }

  const read = readLines(reader.client, task, buffers, count);
  const lines = task.pieceBytes === undefined ? read : paceLines(read, task.pieceBytes, hooks.grant);
  hooks.signal.addEventListener('abort', reader.cut, { once: true });
  try {
    await pipeline(
      task.wantsLineDigest === true ? digestLines(lines, progress.lines) : lines,
      proveContent,
      (lines: AsyncIterable<Buffer>) => compress(lines, task.compressor, content, task.token),
      upload,
      { signal: hooks.signal },
    );
  } finally {
    hooks.signal.removeEventListener('abort', reader.cut);
  }
}

function describeObject(task: SegmentTask, { content, object, count, lines, etag }: Progress): ObjectFacts {
  const hasKey = task.keyColumns.length > 0;
  return {
    key: task.key,
    rows: content.lines,
    jsonBytes: content.bytes,
    bytes: object.bytes,
    sha256: object.digest(),
    crc32: content.crc32,
    etag,
    firstKey: hasKey ? count.keys.first : null,
    lastKey: hasKey ? count.keys.last : null,
    ...noteLongLine(content.longestLine),
    ...(task.wantsLineDigest === true ? { lineDigest: lines.value } : {}),
  };
}
