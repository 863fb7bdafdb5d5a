/** Bytes as hex digits, 16 bytes at a time. */
import { HEX_AT } from './places.ts';

const QUOTE: u8 = 0x22;
const DASH: u8 = 0x2d;
const UUID_BYTES: u32 = 16;
/** `"\\x`, as JSON has the start of a bytea. */
const BYTEA_START: u32 = 0x785c5c22;

export function encodeBytea(at: usize, bytes: u32, to: usize): usize {
  store<u32>(to, BYTEA_START);
  const end = at + bytes;
  let o = to + 4;
  for (let from = at; from < end; from += 16) {
    const pairs = v128.load(from);
    v128.store(o, digitsOfEight(pairs, 0));
    v128.store(o, digitsOfEight(pairs, 8), 16);
    o += 32;
  }
  o = to + 4 + 2 * bytes;
  store<u8>(o, QUOTE);
  return o + 1;
}

export function encodeUuid(at: usize, bytes: u32, to: usize): usize {
  if (bytes != UUID_BYTES) return 0;
  const value = v128.load(at);
  const start = digitsOfEight(value, 0);
  const rest = digitsOfEight(value, 8);
  store<u8>(to, QUOTE);
  // 8, 4, 4, 4 and 12 digits: each store writes over what the one before had too much.
  v128.store(to, start, 1);
  store<u8>(to, DASH, 9);
  store<u32>(to, i32x4.extract_lane(start, 2), 10);
  store<u8>(to, DASH, 14);
  store<u32>(to, i32x4.extract_lane(start, 3), 15);
  store<u8>(to, DASH, 19);
  store<u32>(to, i32x4.extract_lane(rest, 0), 20);
  store<u8>(to, DASH, 24);
  store<u32>(to, i32x4.extract_lane(rest, 1), 25);
  store<u64>(to, i64x2.extract_lane(rest, 1), 29);
  store<u8>(to, QUOTE, 37);
  return to + 38;
}

/** The 16 digits of the first eight bytes, or of the last eight. */
function digitsOfEight(bytes: v128, first: i32): v128 {
  const digits = v128.load(HEX_AT);
  const high = v128.shr<u8>(bytes, 4);
  const low = v128.and(bytes, i8x16.splat(15));
  const mixed =
    first == 0
      ? v128.shuffle<u8>(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
      : v128.shuffle<u8>(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  return v128.swizzle(digits, mixed);
}
