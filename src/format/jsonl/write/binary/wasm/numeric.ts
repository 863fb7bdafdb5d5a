/**
 * A numeric is a count of digits, the weight of the first one, a sign, the number of decimals to show, then digits to the
 * base of 10,000, all 16 bits wide. Leading and trailing zero digits are not sent.
 */
import { writeFourDigits, writeUint32 } from './integers.ts';
import { WORST_GROWTH } from './places.ts';
import { takeRoom } from './room.ts';

const HEADER_BYTES: u32 = 8;
const LENGTH_BYTES: u32 = 4;
const NEGATIVE: u32 = 0x4000;
const SPECIAL: u32 = 0xc000;
const POSITIVE_INFINITY: u32 = 0xd000;
const NEGATIVE_INFINITY: u32 = 0xf000;
const MINUS: u8 = 0x2d;
const POINT: u8 = 0x2e;
const ZERO: u8 = 0x30;
const BASE: u32 = 10_000;

export function encodeNumeric(at: usize, bytes: u32, to: usize): usize {
  if (bytes < HEADER_BYTES) return 0;
  const count = <i32>readUint16(at);
  const weight = <i32>(<i16>readUint16(at + 2));
  const sign = readUint16(at + 4);
  const scale = readUint16(at + 6);
  if (bytes != HEADER_BYTES + 2 * <u32>count) return 0;
  if (sign >= SPECIAL) return writeSpecial(sign, to);
  if (sign != 0 && sign != NEGATIVE) return 0;
  const groups = weight < 0 ? 0 : weight + 1;
  if (!takeRoom(4 * groups + scale + 16, WORST_GROWTH * (bytes + LENGTH_BYTES))) return 0;
  const digits = at + HEADER_BYTES;
  let o = to;
  if (sign == NEGATIVE) store<u8>(o++, MINUS);
  if (weight < 0) store<u8>(o++, ZERO);
  for (let index = 0; index < groups; index += 1) {
    const digit = index < count ? readUint16(digits + 2 * index) : 0;
    if (digit >= BASE) return 0;
    if (index == 0) {
      o = writeUint32(digit, o);
    } else {
      writeFourDigits(digit, o);
      o += 4;
    }
  }
  if (scale == 0) return o;
  store<u8>(o++, POINT);
  // The last group may bring more decimals than are to be shown; they are zeros.
  const end = o + scale;
  for (let index = weight + 1; o < end; index += 1) {
    const digit = index >= 0 && index < count ? readUint16(digits + 2 * index) : 0;
    if (digit >= BASE) return 0;
    writeFourDigits(digit, o);
    o += 4;
  }
  return end;
}

function writeSpecial(sign: u32, to: usize): usize {
  if (sign == SPECIAL) {
    // "NaN"
    store<u64>(to, 0x22_4e_61_4e_22);
    return to + 5;
  }
  // Infinity in quotes.
  let o = to;
  store<u8>(o++, 0x22);
  if (sign == NEGATIVE_INFINITY) store<u8>(o++, MINUS);
  else if (sign != POSITIVE_INFINITY) return 0;
  store<u64>(o, 0x7974_696e_6966_6e49);
  store<u8>(o, 0x22, 8);
  return o + 9;
}

function readUint16(at: usize): u32 {
  return bswap<u16>(load<u16>(at));
}
