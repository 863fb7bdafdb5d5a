/**
 * Whole rows in binary form to lines of JSON, in one call for all that is whole in the window.
 *
 * This folder is AssemblyScript, of which there is one module: it has no objects, no collector and no data of its own, only
 * loads and stores in the memory that it is given. What it does not know, or has no room for, it leaves to the encoders in
 * TypeScript: it stops before that row.
 */
import { encodeArray } from './arrays.ts';
import { countLines } from './line-ends.ts';
import { OP_ARRAY, RESULT_AT, WORST_GROWTH } from './places.ts';
import { setRoom } from './room.ts';
import { blank, escape } from './text.ts';
import { encodeScalar } from './scalars.ts';

export { blank, countLines, escape };

/** Type and length of a message. */
const HEADER_BYTES: usize = 5;
/** Stores may write up to so much behind what they are for. */
const SLACK: usize = 64;
const NULL_TEXT: u32 = 0x6c6c756e;
const LINE_END: u16 = 0x0a7d;

/**
 * Encodes the rows that are whole in memory[at, end), each in a message of the type `message`, to memory from `to` on, until that is at `full` or beyond; writes nothing
 * at `limit` or behind. The result is left at RESULT_AT.
 */
export function encodeRows(
  program: usize,
  message: u32,
  at: usize,
  end: usize,
  to: usize,
  full: usize,
  limit: usize,
): void {
  const columns = load<u32>(program);
  const frameBytes: usize = load<u32>(program, 4);
  let rows: u32 = 0;
  let first: usize = 0;
  let last: usize = 0;
  let from = at;
  let o = to;
  while (o < full && end - from >= HEADER_BYTES + 2) {
    if (<u32>load<u8>(from) != message) break;
    const length: usize = bswap<u32>(load<u32>(from, 1));
    if (length > end - from - 1) break;
    const worst = o + frameBytes + <usize>WORST_GROWTH * length + SLACK;
    if (worst > limit) break;
    setRoom(limit - worst);
    const stop = encodeRow(program, columns, from + HEADER_BYTES, from + 1 + length, o);
    if (stop == 0) break;
    last = from + HEADER_BYTES;
    if (rows == 0) first = last;
    rows += 1;
    from += 1 + length;
    o = stop;
  }
  store<u32>(RESULT_AT, from);
  store<u32>(RESULT_AT, o, 4);
  store<u32>(RESULT_AT, rows, 8);
  store<u32>(RESULT_AT, first, 12);
  store<u32>(RESULT_AT, last, 16);
}

/** Returns where the line ended; 0 for a row that is left alone. */
function encodeRow(program: usize, columns: u32, at: usize, end: usize, to: usize): usize {
  if (bswap<u16>(load<u16>(at)) != <u16>columns) return 0;
  let column = program + 8;
  let from = at + 2;
  let o = to;
  for (let left = columns; left > 0; left -= 1) {
    const op = load<i32>(column);
    const nameBytes: usize = load<u32>(column, 4);
    column += 8;
    v128.store(o, v128.load(column));
    for (let copied: usize = 16; copied < nameBytes; copied += 16) v128.store(o + copied, v128.load(column + copied));
    column += (nameBytes + 15) & ~15;
    o += nameBytes;
    const bytes = <i32>bswap<u32>(load<u32>(from));
    from += 4;
    if (bytes < 0) {
      // NULL is -1. A length that lies behind the row was not reckoned with where room was looked for.
      if (bytes != -1 || from > end) return 0;
      store<u32>(o, NULL_TEXT);
      o += 4;
      continue;
    }
    if (bytes > <i32>end - <i32>from) return 0;
    o = op < OP_ARRAY ? encodeScalar(op, from, bytes, o) : encodeArray(op - OP_ARRAY, from, bytes, o);
    if (o == 0) return 0;
    from += bytes;
  }
  if (from != end) return 0;
  store<u16>(o, LINE_END);
  return o + 2;
}
