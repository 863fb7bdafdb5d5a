/** Integers in decimal. */
import { PAIRS_AT, POWERS_AT } from './places.ts';

const MINUS: u8 = 0x2d;
const ZERO: u8 = 0x30;
const HUNDRED_MILLION: u64 = 100_000_000;

export function encodeInt2(at: usize, bytes: u32, to: usize): usize {
  if (bytes != 2) return 0;
  return writeInt32(<i32>(<i16>bswap<u16>(load<u16>(at))), to);
}

export function encodeInt4(at: usize, bytes: u32, to: usize): usize {
  if (bytes != 4) return 0;
  return writeInt32(<i32>bswap<u32>(load<u32>(at)), to);
}

export function encodeInt8(at: usize, bytes: u32, to: usize): usize {
  if (bytes != 8) return 0;
  const value = <i64>bswap<u64>(load<u64>(at));
  if (value >= 0) return writeUint64(<u64>value, to);
  store<u8>(to, MINUS);
  return writeUint64(<u64>0 - <u64>value, to + 1);
}

function writeInt32(value: i32, to: usize): usize {
  if (value >= 0) return writeUint32(<u32>value, to);
  store<u8>(to, MINUS);
  return writeUint32(<u32>0 - <u32>value, to + 1);
}

export function writeUint32(value: u32, to: usize): usize {
  if (value < 10) {
    store<u8>(to, ZERO + <u8>value);
    return to + 1;
  }
  if (value < 100) {
    writePair(value, to);
    return to + 2;
  }
  const end = to + digitsOf(value);
  let rest = value;
  let o = end;
  while (rest >= 100) {
    const next = rest / 100;
    o -= 2;
    writePair(rest - next * 100, o);
    rest = next;
  }
  if (rest >= 10) writePair(rest, o - 2);
  else store<u8>(o - 1, ZERO + <u8>rest);
  return end;
}

export function writeUint64(value: u64, to: usize): usize {
  if (value <= <u64>u32.MAX_VALUE) return writeUint32(<u32>value, to);
  const high = value / HUNDRED_MILLION;
  const o = writeUint64(high, to);
  writeEightDigits(<u32>(value - high * HUNDRED_MILLION), o);
  return o + 8;
}

/** Exactly eight digits. */
function writeEightDigits(value: u32, to: usize): void {
  const high = value / 10_000;
  writeFourDigits(high, to);
  writeFourDigits(value - high * 10_000, to + 4);
}

/** Exactly four digits. */
export function writeFourDigits(value: u32, to: usize): void {
  const high = value / 100;
  writePair(high, to);
  writePair(value - high * 100, to + 2);
}

/** Exactly two digits. */
export function writePair(value: u32, to: usize): void {
  store<u16>(to, load<u16>(PAIRS_AT + (value << 1)));
}

/** How many digits a number above zero has. */
export function digitsOf(value: u64): u32 {
  // 1233 / 4096 is the logarithm of 2 to the base of 10.
  const guess = ((64 - <u32>clz(value)) * 1233) >> 12;
  return guess + (value >= load<u64>(POWERS_AT + (guess << 3)) ? 1 : 0);
}
