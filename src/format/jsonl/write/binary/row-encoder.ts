/**
 * The hot loop: one row of binary COPY to one line of JSON, from bytes to bytes, with no object and no string per value.
 *
 * A row is a count of fields, then for each field its length (-1 for NULL) and its bytes. The columns' names are ready
 * bytes, and each column has its encoder: the loop only copies and calls.
 */
import type { Column } from '../../../../postgres/columns.ts';
import { encoderOf } from './column.ts';
import type { Encode, Encoder } from './encoder.ts';
import { lineFrame } from '../../frame.ts';
import { unquote } from '../json-text.ts';
import { readInt32, readUint16 } from './numbers.ts';

const NULL = bytesOf('null');

export class RowEncoder {
  readonly columns: readonly Encoder[];
  /** By column: what stands before its value in a line. */
  readonly prefixes: readonly Uint8Array[];
  readonly lineEnd: Uint8Array;
  readonly #encoders: Encode[];

  constructor(columns: readonly Column[]) {
    this.columns = columns.map(encoderOf);
    this.#encoders = this.columns.map(({ encode }) => encode);
    const { prefixes, end } = lineFrame(columns.map(({ name }) => name));
    this.prefixes = prefixes.map(bytesOf);
    this.lineEnd = bytesOf(end);
  }

  /**
   * Encodes the row in `source[at, end)`; returns where the line ended in `out`, or would have ended if `out` were longer.
   * Throws when the row does not end where it should: then the stream is not what it is taken for.
   */
  encode(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
    const encoders = this.#encoders;
    const { prefixes } = this;
    const count = encoders.length;
    if (readUint16(source, at) !== count) throw new Error(`a row has ${readUint16(source, at)} fields, not ${count}`);
    let from = at + 2;
    let o = to;
    for (let index = 0; index < count; index += 1) {
      o = copyName(prefixes[index]!, out, o);
      const bytes = readInt32(source, from);
      from += 4;
      if (bytes === -1) {
        o = copyName(NULL, out, o);
      } else {
        if (bytes < 0 || bytes > end - from)
          throw new Error(`a field says that it has ${bytes} bytes, where its row has ${end - from} more`);
        o = encoders[index]!(source, from, from + bytes, out, o);
        from += bytes;
      }
    }
    if (from !== end) throw new Error(`a row of ${end - at} bytes has fields of ${from - at}`);
    return copyName(this.lineEnd, out, o);
  }

  /** The values of some columns of a row, as they are in JSON, but without quotes; `null` for NULL. */
  valuesOf(source: Uint8Array, at: number, columns: readonly number[]): (string | null)[] {
    let from = at + 2;
    const spans = this.columns.map(() => {
      const span = { from: from + 4, bytes: readInt32(source, from) };
      from = span.from + Math.max(0, span.bytes);
      return span;
    });
    return columns.map((index) => {
      const span = spans[index];
      return span === undefined || span.bytes < 0 ? null : this.#valueText(source, index, span.from, span.bytes);
    });
  }

  #valueText(source: Uint8Array, index: number, at: number, bytes: number): string {
    const encode = this.#encoders[index]!;
    const needed = encode(source, at, at + bytes, new Uint8Array(0), 0);
    const out = Buffer.alloc(needed);
    encode(source, at, at + bytes, out, 0);
    return unquote(out.toString());
  }
}

/** In memory of their own, as the loop reads them for each value. */
function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text));
}

/** Names, NULL and the line's end are a few bytes: a loop is faster than the native copy. */
function copyName(bytes: Uint8Array, out: Uint8Array, to: number): number {
  for (let index = 0; index < bytes.length; index += 1) out[to + index] = bytes[index]!;
  return to + bytes.length;
}
