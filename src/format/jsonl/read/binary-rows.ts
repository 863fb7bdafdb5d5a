/**
 * Turns rows of COPY's text form into its binary form, in which every value goes as text, or a bytea as its bytes: there, a row may
 * have 1 GB without escapes, and a bytea half of what its hex digits have. A length stands before each value, so that the
 * rows are read twice: once for the lengths, a little ahead, and once for the bytes. No value is ever held.
 */
import { fail, type FailureError } from '../../../base/errors.ts';
import { formatCount } from '../../../base/units.ts';
import { COPY_LINE_BYTES } from '../copy-line.ts';
import { CopyValues, END_OF_ROW, NULL_VALUE, type RowPart } from './copy-values.ts';

/** Bytes of a row's values, in the order of the columns. */
export type RowWidths = number[];

/** Where the values go: how many columns there are, and which of them are bytea. */
export type BinaryColumns = readonly { isBytea: boolean }[];

const NULL_WIDTH = -1;
const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
const TRAILER = Buffer.from([0xff, 0xff]);
const HEX_PREFIX = '\\x';
const LENGTH_BYTES = 4;

/** Yields the widths of the rows that end in each of the slices. Throws FailureError for a row that the server cannot make. */
export async function* measureRows(
  slices: AsyncIterable<Buffer>,
  columns: BinaryColumns,
  mostBytes = COPY_LINE_BYTES,
): AsyncGenerator<RowWidths[], void, undefined> {
  const values = new CopyValues();
  let rows = 0;
  let widths: RowWidths = [];
  let width = 0;
  for await (const slice of slices) {
    const ended: RowWidths[] = [];
    for (const part of values.push(slice)) {
      if (part instanceof Buffer) width += part.length;
      else if (part === NULL_VALUE) width = NULL_WIDTH;
      else {
        widths.push(columns[widths.length]?.isBytea === true && width > 0 ? (width - HEX_PREFIX.length) / 2 : width);
        width = 0;
        if (part !== END_OF_ROW) continue;
        rows += 1;
        requireRoom(widths, rows, mostBytes);
        ended.push(widths);
        widths = [];
      }
    }
    if (ended.length > 0) yield ended;
  }
}

/** The whole of a binary COPY. `widths` are those of the same rows. */
export async function* toBinaryRows(
  slices: AsyncIterable<Buffer>,
  columns: BinaryColumns,
  widths: AsyncIterable<RowWidths[]>,
): AsyncGenerator<Buffer, void, undefined> {
  const values = new CopyValues();
  const measured = oneByOne(widths);
  const writer = new RowWriter(columns);
  try {
    yield SIGNATURE;
    for await (const slice of slices) {
      for (const part of values.push(slice)) {
        if (writer.needsWidths) writer.begin((await measured.next()).value ?? []);
        writer.take(part);
      }
      yield writer.flush();
    }
    yield TRAILER;
  } finally {
    await measured.return();
  }
}

async function* oneByOne(batches: AsyncIterable<RowWidths[]>): AsyncGenerator<RowWidths, void, undefined> {
  for await (const batch of batches) yield* batch;
}

class RowWriter {
  readonly #columns: BinaryColumns;
  #widths: RowWidths | undefined;
  #column = 0;
  /** Bytes of the value at hand that are still to come. */
  #missing = 0;
  #hex = new HexReader();
  #output: Buffer[] = [];

  constructor(columns: BinaryColumns) {
    this.#columns = columns;
  }

  get needsWidths(): boolean {
    return this.#widths === undefined;
  }

  begin(widths: RowWidths): void {
    const count = Buffer.allocUnsafe(2);
    count.writeInt16BE(this.#columns.length);
    this.#output.push(count);
    this.#widths = widths;
    this.#column = 0;
    this.#beginValue();
  }

  take(part: RowPart): void {
    if (part instanceof Buffer) {
      const bytes = this.#columns[this.#column]?.isBytea === true ? this.#hex.take(part) : part;
      this.#missing -= bytes.length;
      this.#output.push(bytes);
    } else if (part !== NULL_VALUE) {
      if (this.#missing !== 0) throw new Error('the second reading of an object gave other rows than the first');
      this.#column += 1;
      if (part === END_OF_ROW) this.#widths = undefined;
      else this.#beginValue();
    }
  }

  flush(): Buffer {
    const output = Buffer.concat(this.#output);
    this.#output = [];
    return output;
  }

  #beginValue(): void {
    const width = this.#widths?.[this.#column] ?? 0;
    const length = Buffer.allocUnsafe(LENGTH_BYTES);
    length.writeInt32BE(width);
    this.#output.push(length);
    this.#missing = Math.max(0, width);
    this.#hex = new HexReader();
  }
}

/** The bytes of `\x…`, which comes in pieces. */
class HexReader {
  #prefixBytes = 0;
  #half = '';

  take(piece: Buffer): Buffer {
    const skipped = Math.min(HEX_PREFIX.length - this.#prefixBytes, piece.length);
    this.#prefixBytes += skipped;
    const digits = this.#half + piece.toString('latin1', skipped);
    const even = digits.length - (digits.length % 2);
    this.#half = digits.slice(even);
    const bytes = Buffer.from(digits.slice(0, even), 'hex');
    if (bytes.length * 2 === even) return bytes;
    throw fail('bad-line', { stage: 'restore', message: 'a bytea of the object has something else than hex digits' });
  }
}

function requireRoom(widths: RowWidths, row: number, mostBytes: number): void {
  const bytes = widths.reduce((sum, width) => sum + LENGTH_BYTES + Math.max(0, width), 0);
  if (bytes > mostBytes) throw tooLong(row, bytes, mostBytes);
}

function tooLong(row: number, bytes: number, mostBytes: number): FailureError {
  return fail('line-too-long', {
    stage: 'restore',
    message: `row ${formatCount(row)} of the object has ${formatCount(bytes)} bytes in its values, and the server makes rows of ${formatCount(mostBytes)} at most`,
  });
}
