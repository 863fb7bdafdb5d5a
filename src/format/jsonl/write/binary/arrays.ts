/** Arrays from Postgres's binary form to nested JSON arrays, as array_to_json prints them. */
import type { Encode } from './encoder.ts';
import { readInt32 } from './numbers.ts';

const OPEN = 0x5b;
const CLOSE = 0x5d;
const COMMA = 0x2c;
const NULL = [0x6e, 0x75, 0x6c, 0x6c] as const;
/** Number of dimensions, flags, OID of the elements. */
const HEADER_BYTES = 12;
/** Length and lower bound of each dimension; JSON has no place for the bound. */
const DIMENSION_BYTES = 8;
/** Those that Postgres has. */
const MOST_DIMENSIONS = 6;
const LENGTH_BYTES = 4;

/** An encoder of arrays whose elements `encodeElement` encodes. */
export function binaryArrayEncoder(encodeElement: Encode): Encode {
  return (source, at, end, out, to) => {
    const dimensions = end - at < HEADER_BYTES ? -1 : readInt32(source, at);
    const elements = at + HEADER_BYTES + dimensions * DIMENSION_BYTES;
    if (dimensions < 0 || dimensions > MOST_DIMENSIONS || elements > end)
      throw new Error(`an array of ${end - at} bytes has ${dimensions} dimensions`);
    if (dimensions === 0) {
      if (elements !== end) throw new Error(`an array without dimensions has ${end - at} bytes`);
      out[to] = OPEN;
      out[to + 1] = CLOSE;
      return to + 2;
    }
    const lengths = Array.from({ length: dimensions }, (_, index) =>
      readInt32(source, at + HEADER_BYTES + index * DIMENSION_BYTES),
    );
    elementAt = elements;
    elementsEnd = end;
    const o = writeDimension(source, lengths, 0, encodeElement, out, to);
    if (elementAt !== end) throw new Error(`an array has ${end - elementAt} bytes behind its elements`);
    return o;
  };
}

/** Where the next element is read; all dimensions share it, as the elements follow each other. */
let elementAt = 0;
let elementsEnd = 0;

function writeDimension(
  source: Uint8Array,
  lengths: readonly number[],
  depth: number,
  encodeElement: Encode,
  out: Uint8Array,
  to: number,
): number {
  const length = lengths[depth] ?? 0;
  // An element takes four bytes or more: so a length that is not true does not run on.
  if (length < 0 || length > (elementsEnd - elementAt) / LENGTH_BYTES)
    throw new Error(`an array has ${length} elements in ${elementsEnd - elementAt} bytes`);
  let o = to;
  out[o++] = OPEN;
  for (let index = 0; index < length; index += 1) {
    if (index > 0) out[o++] = COMMA;
    o =
      depth === lengths.length - 1
        ? writeElement(source, encodeElement, out, o)
        : writeDimension(source, lengths, depth + 1, encodeElement, out, o);
  }
  out[o++] = CLOSE;
  return o;
}

function writeElement(source: Uint8Array, encodeElement: Encode, out: Uint8Array, to: number): number {
  const bytes = readInt32(source, elementAt);
  const start = elementAt + LENGTH_BYTES;
  if (bytes < -1 || bytes > elementsEnd - start || start > elementsEnd)
    throw new Error(`an element says that it has ${bytes} bytes, where its array has ${elementsEnd - start} more`);
  if (bytes === -1) {
    elementAt = start;
    for (let index = 0; index < NULL.length; index += 1) out[to + index] = NULL[index] as number;
    return to + NULL.length;
  }
  elementAt = start + bytes;
  return encodeElement(source, start, start + bytes, out, to);
}
