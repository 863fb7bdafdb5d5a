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

/** An encoder of arrays whose elements `encodeElement` encodes. */
export function binaryArrayEncoder(encodeElement: Encode): Encode {
  return (source, at, _end, out, to) => {
    const dimensions = readInt32(source, at);
    if (dimensions === 0) {
      out[to] = OPEN;
      out[to + 1] = CLOSE;
      return to + 2;
    }
    const lengths = Array.from({ length: dimensions }, (_, index) =>
      readInt32(source, at + HEADER_BYTES + index * DIMENSION_BYTES),
    );
    elementAt = at + HEADER_BYTES + dimensions * DIMENSION_BYTES;
    return writeDimension(source, lengths, 0, encodeElement, out, to);
  };
}

/** Where the next element is read; all dimensions share it, as the elements follow each other. */
let elementAt = 0;

function writeDimension(
  source: Uint8Array,
  lengths: readonly number[],
  depth: number,
  encodeElement: Encode,
  out: Uint8Array,
  to: number,
): number {
  const length = lengths[depth] ?? 0;
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
  const start = elementAt + 4;
  if (bytes < 0) {
    elementAt = start;
    for (let index = 0; index < NULL.length; index += 1) out[to + index] = NULL[index] as number;
    return to + NULL.length;
  }
  elementAt = start + bytes;
  return encodeElement(source, start, start + bytes, out, to);
}
