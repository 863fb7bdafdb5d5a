/** Text and JSON, 16 bytes at a time. All of it reads and writes up to 15 bytes more than it is asked to. */
import { ESCAPES_AT, HEX_AT } from './places.ts';

const QUOTE: u8 = 0x22;
const BACKSLASH: u8 = 0x5c;
const LONG_ESCAPE: u32 = 1;
/** `u00` and a zero. */
const LONG_ESCAPE_START: u32 = 0x303075;

export function encodeText(at: usize, end: usize, to: usize): usize {
  store<u8>(to, QUOTE);
  const o = escape(at, end, to + 1);
  store<u8>(o, QUOTE);
  return o + 1;
}

/** Copies memory[at, end), and escapes what JSON does not allow in a string; returns where it stopped. */
export function escape(at: usize, end: usize, to: usize): usize {
  let from = at;
  let o = to;
  while (from < end) {
    const bytes = v128.load(from);
    v128.store(o, bytes);
    const special = v128.or(
      i8x16.lt_u(bytes, i8x16.splat(0x20)),
      v128.or(i8x16.eq(bytes, i8x16.splat(QUOTE)), i8x16.eq(bytes, i8x16.splat(BACKSLASH))),
    );
    const left = end - from;
    // How many of the 16 come before the first that is to be escaped, and before the end.
    const plain: usize = ctz((<u32>i8x16.bitmask(special)) | ((<u32>-1) << (left < 16 ? <u32>left : 16)));
    from += plain;
    o += plain;
    if (plain == 16) continue;
    if (from >= end) break;
    const byte: u32 = load<u8>(from);
    const letter: u32 = load<u8>(ESCAPES_AT + byte);
    store<u8>(o, BACKSLASH);
    if (letter == LONG_ESCAPE) {
      store<u32>(o, LONG_ESCAPE_START, 1);
      store<u8>(o, load<u8>(HEX_AT + (byte >> 4)), 4);
      store<u8>(o, load<u8>(HEX_AT + (byte & 15)), 5);
      o += 6;
    } else {
      store<u8>(o, <u8>letter, 1);
      o += 2;
    }
    from += 1;
  }
  return o;
}

/** Copies memory[at, end); line breaks become blanks. Returns where it stopped. */
export function blank(at: usize, end: usize, to: usize): usize {
  let o = to;
  for (let from = at; from < end; from += 16) {
    const bytes = v128.load(from);
    const breaks = v128.or(i8x16.eq(bytes, i8x16.splat(0x0a)), i8x16.eq(bytes, i8x16.splat(0x0d)));
    v128.store(o, v128.bitselect(i8x16.splat(0x20), bytes, breaks));
    o += 16;
  }
  return to + (end - at);
}
