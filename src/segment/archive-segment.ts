/** The story of one segment: connect, import the snapshot, then source -> encode -> compress -> sink. */
import { pipeline } from 'node:stream/promises';
import type { Client } from '../postgres/connect.ts';
import { Closers } from '../base/closers.ts';
import { connectPostgres, endConnection, socketOf } from '../postgres/connect.ts';
import { terminateBackend } from '../postgres/cancel.ts';
import { importSnapshot } from '../postgres/snapshot.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import { CODEC_FILES, createCompressor } from './compress/codec.ts';
import { TextEncoder, type TextRow } from './encode/text-encoder.ts';
import { checkRowCounts, ContentProof, ObjectProof } from './proof.ts';
import { gatherParts } from './sink/parts.ts';
import { readCursor } from './source/cursor.ts';
import type { ObjectFacts, SegmentTask, WorkerMessage } from './task.ts';

/** Tells the control plane what it needs to know when this thread dies, and how far it is. */
export type Report = (message: WorkerMessage) => void;

/** What a segment has done so far; the stages write it, the reports and the proof read it. */
class Progress {
  readonly content = new ContentProof();
  readonly object = new ObjectProof();
  readonly read = { rows: 0 };
  firstKey: string[] | null = null;
  lastKey: string[] | null = null;
}

/** Archives one segment. Throws the first cause when anything fails; then no object is visible, and the query is stopped. */
export async function archiveSegment(
  task: SegmentTask,
  report: Report,
  signal: AbortSignal,
  onProgress: (progress: { rows: number; jsonBytes: number; bytes: number }) => void,
): Promise<ObjectFacts> {
  const closers = new Closers();
  const progress = new Progress();
  try {
    const client = await connectPostgres(task.source);
    let finished = false;
    closers.add('the connection', () => closeReader(client, task, finished));
    report({ kind: 'backend', pid: backendPid(client) });
    await importSnapshot(client, task.snapshot);
    const store = openStore(task.destination);
    closers.add('the destination', () => {
      store.close();
    });
    const encoder = new TextEncoder(task.columns);
    await stream(task, client, store, encoder, progress, { report, signal, onProgress });
    finished = true;
    return facts(task, progress);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    await closers.close();
  }
}

interface Hooks {
  report: Report;
  signal: AbortSignal;
  onProgress: (progress: { rows: number; jsonBytes: number; bytes: number }) => void;
}

async function stream(
  task: SegmentTask,
  client: Client,
  store: Store,
  encoder: TextEncoder,
  progress: Progress,
  hooks: Hooks,
): Promise<void> {
  const compressor = createCompressor(task.compression.codec, task.compression.level);
  const source = readCursor(client, task.select, task, progress.read);

  async function* encode(batches: AsyncIterable<TextRow[]>): AsyncGenerator<Buffer, void, undefined> {
    for await (const batch of batches) {
      noteKeys(progress, batch, task.keyColumns);
      for (const buffer of encoder.encode(batch)) {
        progress.content.add(buffer);
        yield buffer;
      }
      hooks.onProgress({ rows: encoder.rows, jsonBytes: progress.content.bytes, bytes: progress.object.bytes });
    }
  }

  async function* prove(compressed: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    for await (const slice of compressed) {
      progress.object.add(slice);
      yield slice;
    }
    checkRowCounts(task.subject, { read: progress.read.rows, encoded: encoder.rows, lines: progress.content.lines });
  }

  async function upload(compressed: AsyncIterable<Buffer>): Promise<void> {
    await store.upload(task.key, gatherParts(prove(compressed), task.destination.partSize), {
      contentType: CODEC_FILES[task.compression.codec].contentType,
      ...(task.contentEncoding === undefined ? {} : { contentEncoding: task.contentEncoding }),
      partSize: task.destination.partSize,
      signal: hooks.signal,
      onUploadStarted: (uploadId) => {
        hooks.report({ kind: 'upload', uploadId });
      },
    });
  }

  const { signal } = hooks;
  if (compressor === undefined) await pipeline(source, encode, upload, { signal });
  else await pipeline(source, encode, compressor, upload, { signal });
}

function noteKeys(progress: Progress, batch: readonly TextRow[], keyColumns: readonly number[]): void {
  if (keyColumns.length === 0) return;
  progress.firstKey ??= keyOf(batch[0], keyColumns);
  progress.lastKey = keyOf(batch.at(-1), keyColumns);
}

function keyOf(row: TextRow | undefined, keyColumns: readonly number[]): string[] | null {
  return row === undefined ? null : keyColumns.map((index) => row[index] ?? '');
}

function facts(task: SegmentTask, progress: Progress): ObjectFacts {
  return {
    key: task.key,
    rows: progress.content.lines,
    jsonBytes: progress.content.bytes,
    bytes: progress.object.bytes,
    sha256: progress.object.digest(),
    crc32: progress.content.crc32,
    firstKey: progress.firstKey,
    lastKey: progress.lastKey,
  };
}

/** After a failure the query may still be running, and blocked on us: it is stopped on the server, and the socket is cut. */
async function closeReader(client: Client, task: SegmentTask, finished: boolean): Promise<void> {
  if (!finished) {
    const pid = backendPid(client);
    socketOf(client)?.destroy();
    await terminateBackend(task.source, pid);
  }
  await endConnection(client);
}

function backendPid(client: Client): number {
  return (client as unknown as { processID: number | null }).processID ?? 0;
}
