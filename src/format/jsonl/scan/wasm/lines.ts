/**
 * Whole lines of JSON, in one call for all that are whole in the content: that each is an object with exactly the wanted columns.
 *
 * AssemblyScript without objects, collector and data of its own, as the encoder's. It says what it takes and no more: it stops
 * before a line that it does not take, of which the scanner in TypeScript then says what is wrong, if anything is.
 */
import { KEYS_AT, RESULT_AT } from './places.ts';
import { afterBlanks, value } from './values.ts';

/** Of the places of a value of the key. */
const PAIR_BYTES: usize = 8;

/**
 * Scans memory[at, end), whose last byte is a line feed, up to a line that it refuses. The result is left at RESULT_AT: where it
 * stopped, lines, and where the places of the key of the last one are.
 */
export function scanLines(program: usize, at: usize, end: usize, parts: u32): void {
  const stride: usize = PAIR_BYTES * <usize>parts;
  // A line that is refused must not spoil the places of the one before it.
  let keys: usize = KEYS_AT;
  let spare: usize = <usize>KEYS_AT + stride;
  let last: usize = KEYS_AT;
  let lines: u32 = 0;
  let from = at;
  while (from < end) {
    const stop = scanLine(program, from, keys);
    if (stop == 0) break;
    from = stop;
    lines += 1;
    last = keys;
    keys = spare;
    spare = last;
  }
  store<u32>(RESULT_AT, from);
  store<u32>(RESULT_AT, lines, 4);
  store<u32>(RESULT_AT, last, 8);
}

/** Returns where the next line begins; 0 for a line that is not taken. */
function scanLine(program: usize, at: usize, keys: usize): usize {
  let left = load<u32>(program);
  let column = program + 8;
  let p = at;
  for (; left > 0; left -= 1) {
    const frameBytes: usize = load<u32>(column);
    const part = load<i32>(column, 4);
    column += 8;
    if (!isFrame(p, column, frameBytes)) return 0;
    column += (frameBytes + 15) & ~(<usize>15);
    p += frameBytes;
    const end = value(p);
    if (end == 0) return 0;
    if (part >= 0) {
      store<u32>(keys + PAIR_BYTES * <usize>part, p);
      store<u32>(keys + PAIR_BYTES * <usize>part, end, 4);
    }
    p = afterBlanks(end);
  }
  const endBytes: usize = load<u32>(program, 4);
  return isFrame(p, column, endBytes) ? p + endBytes : 0;
}

function isFrame(at: usize, frame: usize, bytes: usize): bool {
  for (let seen: usize = 0; seen < bytes; seen += 16) {
    const equal = <u32>i8x16.bitmask(i8x16.eq(v128.load(at + seen), v128.load(frame + seen)));
    const left = bytes - seen;
    const wanted: u32 = left < 16 ? (1 << (<u32>left)) - 1 : 0xffff;
    if ((equal & wanted) != wanted) return false;
  }
  return true;
}
