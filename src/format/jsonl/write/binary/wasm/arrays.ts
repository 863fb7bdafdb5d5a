/** Arrays as nested JSON arrays. */
import { encodeScalar } from './scalars.ts';

const OPEN: u8 = 0x5b;
const CLOSE: u8 = 0x5d;
const COMMA: u8 = 0x2c;
const NULL_TEXT: u32 = 0x6c6c756e;
/** Number of dimensions, flags, OID of the elements. */
const HEADER_BYTES: u32 = 12;
/** Length and lower bound of each dimension; JSON has no place for the bound. */
const DIMENSION_BYTES: u32 = 8;
/** Those that Postgres has. */
const MOST_DIMENSIONS: u32 = 6;
const LENGTH_BYTES: u32 = 4;

/** Where the next element is read; all dimensions share it, as the elements follow each other. */
let elementAt: usize = 0;
let elementsEnd: usize = 0;

/** Returns 0 for an array that is left alone. */
export function encodeArray(op: i32, at: usize, bytes: u32, to: usize): usize {
  if (bytes < HEADER_BYTES) return 0;
  const dimensions = bswap<u32>(load<u32>(at));
  if (dimensions == 0) {
    if (bytes != HEADER_BYTES) return 0;
    store<u16>(to, 0x5d5b);
    return to + 2;
  }
  if (dimensions > MOST_DIMENSIONS || bytes < HEADER_BYTES + dimensions * DIMENSION_BYTES) return 0;
  elementAt = at + HEADER_BYTES + dimensions * DIMENSION_BYTES;
  elementsEnd = at + bytes;
  const o = encodeDimension(op, at + HEADER_BYTES, dimensions, to);
  return elementAt == elementsEnd ? o : 0;
}

function encodeDimension(op: i32, dimension: usize, left: u32, to: usize): usize {
  const length = bswap<u32>(load<u32>(dimension));
  // An element takes four bytes or more: so a length that is not true does not run on.
  if (length == 0 || <i32>length < 0 || length > <u32>(elementsEnd - elementAt) / LENGTH_BYTES) return 0;
  let o = to;
  store<u8>(o++, OPEN);
  for (let index: u32 = 0; index < length; index += 1) {
    if (index > 0) store<u8>(o++, COMMA);
    o = left == 1 ? encodeNext(op, o) : encodeDimension(op, dimension + DIMENSION_BYTES, left - 1, o);
    if (o == 0) return 0;
  }
  store<u8>(o, CLOSE);
  return o + 1;
}

function encodeNext(op: i32, to: usize): usize {
  const bytes = <i32>bswap<u32>(load<u32>(elementAt));
  const start = elementAt + LENGTH_BYTES;
  if (bytes < 0) {
    if (bytes != -1 || start > elementsEnd) return 0;
    elementAt = start;
    store<u32>(to, NULL_TEXT);
    return to + 4;
  }
  if (bytes > <i32>elementsEnd - <i32>start) return 0;
  elementAt = start + bytes;
  return encodeScalar(op, start, bytes, to);
}
