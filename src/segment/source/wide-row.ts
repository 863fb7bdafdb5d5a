/** Encodes a row that is wider than the window: value by value, and a long value piece by piece, so that memory stays flat. */
import type { Encoder, Pieces } from '../../format/jsonl/write/binary/encoder.ts';
import { readInt32, readUint16 } from '../../format/jsonl/write/binary/numbers.ts';
import type { RowEncoder } from '../../format/jsonl/write/binary/row-encoder.ts';
import { WORST_GROWTH } from '../../format/jsonl/write/binary/text.ts';
import type { LineBuffer } from '../../format/jsonl/line-buffer.ts';
import type { ByteWindow } from './byte-window.ts';

/** A value up to this size is encoded in one go. */
const WHOLE_BYTES = 64 * 1024;
const PIECE_BYTES = 16 * 1024;
const NULL = Buffer.from('null');
const OPEN = Buffer.from('[');
const CLOSE = Buffer.from(']');
const COMMA = Buffer.from(',');
const LENGTH_BYTES = 4;
const ARRAY_HEADER_BYTES = 12;
const DIMENSION_BYTES = 8;

/** What a wide row is read from, and written to. `onShortValue` gets the JSON of each value that is not long. */
export interface Passage {
  window: ByteWindow;
  lines: LineBuffer;
  onShortValue: (column: number, json: Buffer) => void;
}

/**
 * Reads a row of `rowBytes` from the window, where it begins, and yields its line in buffers of `lines`; what is left of it
 * there belongs to the next ones. Throws when the row does not end where it should.
 */
export async function* encodeWideRow(
  passage: Passage,
  encoder: RowEncoder,
  rowBytes: number,
): AsyncGenerator<Buffer, void, undefined> {
  const { window, lines } = passage;
  await window.need(2);
  if (readUint16(window.bytes, window.start) !== encoder.columns.length)
    throw new Error('a wide row has other columns');
  window.start += 2;
  let used = 2;
  for (const [index, column] of encoder.columns.entries()) {
    lines.add(encoder.prefixes[index] ?? NULL);
    const bytes = await readLength(window);
    used += LENGTH_BYTES + Math.max(0, bytes);
    if (used > rowBytes) throw new Error('a wide row has longer fields than itself');
    const before = lines.length;
    yield* encodeValue(passage, column, bytes);
    if (column.element === undefined && bytes <= WHOLE_BYTES) passage.onShortValue(index, bytesOf(lines, before));
    if (lines.isFull) yield lines.take();
  }
  if (used !== rowBytes) throw new Error(`a wide row of ${rowBytes} bytes has fields of ${used}`);
  lines.add(encoder.lineEnd);
}

function bytesOf({ bytes, length }: LineBuffer, from: number): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, length - from);
}

async function readLength(window: ByteWindow): Promise<number> {
  await window.need(LENGTH_BYTES);
  const bytes = readInt32(window.bytes, window.start);
  window.start += LENGTH_BYTES;
  return bytes;
}

async function* encodeValue(passage: Passage, column: Encoder, bytes: number): AsyncGenerator<Buffer, void, undefined> {
  if (bytes < 0) passage.lines.add(NULL);
  else if (column.element !== undefined) yield* encodeArray(passage, column.element);
  else if (column.pieces !== undefined && bytes > WHOLE_BYTES) yield* encodePieces(passage, column.pieces, bytes);
  // What has no pieces is a number or the like, far shorter than the window.
  else await encodeWhole(passage, column, bytes);
}

async function encodeWhole(passage: Passage, column: Encoder, bytes: number): Promise<void> {
  await passage.window.need(bytes);
  encodeAtHand(passage, column, bytes);
}

/** Encodes a value that is whole at the start of the window. */
function encodeAtHand({ window, lines }: Passage, column: Encoder, bytes: number): void {
  const end = window.start + bytes;
  const room = column.encode(window.bytes, window.start, end, lines.bytes, lines.length) - lines.length;
  if (lines.length + room > lines.bytes.length) {
    lines.reserve(room);
    column.encode(window.bytes, window.start, end, lines.bytes, lines.length);
  }
  lines.length += room;
  window.start = end;
}

/** An array may have millions of elements: those that are at hand are encoded without waiting. Says whether this one was. */
function encodeElementAtHand(passage: Passage, element: Encoder): boolean {
  const { window, lines } = passage;
  if (window.length < LENGTH_BYTES) return false;
  const bytes = readInt32(window.bytes, window.start);
  if (bytes > WHOLE_BYTES || window.length < LENGTH_BYTES + bytes) return false;
  window.start += LENGTH_BYTES;
  if (bytes < 0) lines.add(NULL);
  else encodeAtHand(passage, element, bytes);
  return true;
}

async function* encodePieces(
  { window, lines }: Passage,
  pieces: Pieces,
  bytes: number,
): AsyncGenerator<Buffer, void, undefined> {
  lines.add(pieces.start);
  await window.need(pieces.skip);
  window.start += pieces.skip;
  for (let left = bytes - pieces.skip; left > 0;) {
    await window.need(1);
    const step = Math.min(left, window.length, PIECE_BYTES);
    lines.reserve(step * WORST_GROWTH);
    lines.length = pieces.encode(window.bytes, window.start, window.start + step, lines.bytes, lines.length);
    window.start += step;
    left -= step;
    if (lines.isFull) yield lines.take();
  }
  lines.add(pieces.end);
}

/** The elements follow each other whatever the number of dimensions; brackets open and close where a dimension does. */
async function* encodeArray(passage: Passage, element: Encoder): AsyncGenerator<Buffer, void, undefined> {
  const { window, lines } = passage;
  const sizes = await readDimensions(window);
  const count = sizes[0] ?? 0;
  if (count === 0) lines.add(OPEN);
  for (let index = 0; index < count; index += 1) {
    if (index > 0) lines.add(COMMA);
    for (const size of sizes) if (index % size === 0) lines.add(OPEN);
    if (!encodeElementAtHand(passage, element)) yield* encodeValue(passage, element, await readLength(window));
    for (const size of sizes) if ((index + 1) % size === 0) lines.add(CLOSE);
    if (lines.isFull) yield lines.take();
  }
  if (count === 0) lines.add(CLOSE);
}

/** For each dimension the number of elements in one of its rows: all of them for the outermost. */
async function readDimensions(window: ByteWindow): Promise<number[]> {
  await window.need(ARRAY_HEADER_BYTES);
  const dimensions = readInt32(window.bytes, window.start);
  window.start += ARRAY_HEADER_BYTES;
  const lengths: number[] = [];
  for (let index = 0; index < dimensions; index += 1) {
    await window.need(DIMENSION_BYTES);
    lengths.push(readInt32(window.bytes, window.start));
    window.start += DIMENSION_BYTES;
  }
  return lengths.map((_, depth) => lengths.slice(depth).reduce((product, length) => product * length, 1));
}
