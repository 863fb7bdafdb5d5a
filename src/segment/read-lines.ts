/** Source and encoder of a segment in one: rows of Postgres come out as JSON Lines, in binary form or through a cursor. */
import type { Client } from '../postgres/connect.ts';
import { RowEncoder } from '../format/jsonl/write/binary/row-encoder.ts';
import type { EncodeBuffers } from '../format/jsonl/write/binary/encode-memory.ts';
import { LineBuffer } from '../format/jsonl/line-buffer.ts';
import { plainValue, TextEncoder, type TextRow } from '../format/jsonl/write/text-encoder.ts';
import { readBinary, type BinaryJob } from './source/binary.ts';
import { readCursor } from './source/cursor.ts';
import type { KeySpan, ReadCount } from './source/read-count.ts';
import { withPlace } from './failed-place.ts';
import type { SegmentTask } from './task.ts';

/** What the source and the encoder count on the way. */
export interface LineCount {
  read: ReadCount;
  encoded: ReadCount;
  keys: KeySpan;
}

/** Yields the segment's lines. A buffer is valid until LINE_BUFFERS more were asked for. Throws FailureError. */
export async function* readLines(
  client: Client,
  task: SegmentTask,
  buffers: EncodeBuffers,
  count: LineCount,
): AsyncGenerator<Buffer, void, undefined> {
  const { read } = task;
  try {
    yield* read === 'cursor'
      ? readByCursor(client, task, buffers, count)
      : readInBinary(client, { ...task, read }, buffers, count);
  } catch (error) {
    const lastKey = keyValuesOf(count.read.lastRow, task) ?? count.keys.last;
    throw withPlace(error, task, count.read.rows, lastKey);
  }
}

function readInBinary(
  client: Client,
  task: SegmentTask & Pick<BinaryJob, 'read'>,
  buffers: EncodeBuffers,
  count: LineCount,
): AsyncGenerator<Buffer, void, undefined> {
  // One pass does both here; the server's own count of what it sent is checked inside.
  count.encoded = count.read;
  const { read, columns, select, subject, keyColumns } = task;
  const job = { read, select, encoder: new RowEncoder(columns), buffers, subject, keyColumns };
  return readBinary(client, job, count.read, count.keys);
}

async function* readByCursor(
  client: Client,
  task: SegmentTask,
  buffers: EncodeBuffers,
  count: LineCount,
): AsyncGenerator<Buffer, void, undefined> {
  const encoder = new TextEncoder(task.columns);
  const lines = new LineBuffer(buffers.lines);
  for await (const batch of readCursor(client, task.select, task, count.read)) {
    count.keys.first ??= keyValuesOf(batch[0], task);
    count.keys.last = keyValuesOf(batch.at(-1), task) ?? count.keys.last;
    for (const piece of encoder.encode(batch)) {
      lines.add(piece);
      if (lines.isFull) yield lines.take();
    }
    count.encoded.rows = encoder.rows;
  }
  if (lines.length > 0) yield lines.take();
}

function keyValuesOf(row: TextRow | undefined, { columns, keyColumns }: SegmentTask): string[] | null {
  if (row === undefined) return null;
  return keyColumns.map((index) => {
    const column = columns[index];
    const text = row[index];
    return column === undefined || text === undefined || text === null ? '' : plainValue(column, text);
  });
}
