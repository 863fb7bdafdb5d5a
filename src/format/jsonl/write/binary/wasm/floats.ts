/**
 * Floating-point numbers as Postgres prints them with extra_float_digits = 1: the shortest digits that read back the same, and
 * of these the nearest. The way there is Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles"). Like Postgres,
 * and unlike most, it takes no digits that lie exactly between two floats, as some readers round those wrongly.
 */
import { digitsOf, writeUint64 } from './integers.ts';
import { APPROXIMATIONS_AT, LOWEST_APPROXIMATION } from './places.ts';

const QUOTE: u8 = 0x22;
const MINUS: u8 = 0x2d;
const PLUS: u8 = 0x2b;
const POINT: u8 = 0x2e;
const ZERO: u8 = 0x30;
const LETTER_E: u8 = 0x65;
/** `NaN` in quotes, and three zeros. */
const NAN_TEXT: u64 = 0x22_4e_61_4e_22;
/** `Infinity`. */
const INFINITY_TEXT: u64 = 0x7974_696e_6966_6e49;
const EIGHT_ZEROS: u64 = 0x3030_3030_3030_3030;

/** Within these decimal exponents Postgres writes a plain number, outside of them one with an exponent. */
const LOWEST_PLAIN_EXPONENT: i32 = -4;
const FLOAT8_PLAIN_DIGITS: i32 = 15;
const FLOAT4_PLAIN_DIGITS: i32 = 6;

const FRACTION8_BITS: i32 = 52;
const EXPONENT8_MASK: u32 = 0x7ff;
const BIAS8: i32 = 1075;
const FRACTION4_BITS: i32 = 23;
const EXPONENT4_MASK: u32 = 0xff;
const BIAS4: i32 = 150;

/** The decimal exponent of the digits that `shortest8` and `shortest4` return. */
let shortestExponent: i32 = 0;

export function encodeFloat8(at: usize, bytes: u32, to: usize): usize {
  if (bytes != 8) return 0;
  const bits = bswap<u64>(load<u64>(at));
  const fraction = bits & ((1 << FRACTION8_BITS) - 1);
  const exponent = (<u32>(bits >> FRACTION8_BITS)) & EXPONENT8_MASK;
  const isNegative = bits >> 63 != 0;
  if (exponent == EXPONENT8_MASK) return writeSpecial(fraction != 0, isNegative, to);
  const o = writeSign(isNegative, to);
  if (exponent == 0 && fraction == 0) return writeZero(o);
  const digits = shortest8(fraction, exponent);
  return layOut(digits, FLOAT8_PLAIN_DIGITS, o);
}

export function encodeFloat4(at: usize, bytes: u32, to: usize): usize {
  if (bytes != 4) return 0;
  const bits = bswap<u32>(load<u32>(at));
  const fraction = bits & ((1 << FRACTION4_BITS) - 1);
  const exponent = (bits >> FRACTION4_BITS) & EXPONENT4_MASK;
  const isNegative = bits >> 31 != 0;
  if (exponent == EXPONENT4_MASK) return writeSpecial(fraction != 0, isNegative, to);
  const o = writeSign(isNegative, to);
  if (exponent == 0 && fraction == 0) return writeZero(o);
  const digits = shortest4(fraction, exponent);
  return layOut(digits, FLOAT4_PLAIN_DIGITS, o);
}

function shortest8(fraction: u64, exponent: u32): u64 {
  const isNormal = exponent != 0;
  const significand = isNormal ? fraction | (1 << FRACTION8_BITS) : fraction;
  const q = (isNormal ? <i32>exponent : 1) - BIAS8;
  if (q <= 0 && q > -53) {
    const whole = significand >> (<u64>-q);
    if (whole << (<u64>-q) == significand) {
      shortestExponent = 0;
      return whole;
    }
  }
  // Below a power of two, the next float is nearer than the one above.
  const isLowerNearer = fraction == 0 && exponent > 1;
  const k = decimalExponent(q, isLowerNearer);
  const shift = <u64>(q + binaryExponent(-k) + 1);
  const place = APPROXIMATIONS_AT + ((-k - LOWEST_APPROXIMATION) << 4);
  const low = load<u64>(place);
  const high = load<u64>(place, 8);
  const middle = significand << 2;
  const below = roundToOdd8(high, low, (middle - (isLowerNearer ? 1 : 2)) << shift) + 1;
  const value = roundToOdd8(high, low, middle << shift);
  const above = roundToOdd8(high, low, (middle + 2) << shift) - 1;
  return chooseDigits(below, value, above, k);
}

function shortest4(fraction: u32, exponent: u32): u64 {
  const isNormal = exponent != 0;
  const significand = isNormal ? fraction | (1 << FRACTION4_BITS) : fraction;
  const q = (isNormal ? <i32>exponent : 1) - BIAS4;
  if (q <= 0 && q > -24) {
    const whole = significand >> (<u32>-q);
    if (whole << (<u32>-q) == significand) {
      shortestExponent = 0;
      return whole;
    }
  }
  const isLowerNearer = fraction == 0 && exponent > 1;
  const k = decimalExponent(q, isLowerNearer);
  const shift = <u32>(q + binaryExponent(-k) + 1);
  const place = APPROXIMATIONS_AT + ((-k - LOWEST_APPROXIMATION) << 4);
  // 64 bits do; what is cut off is rounded up, as in the table itself.
  const power = load<u64>(place, 8) + (load<u64>(place) != 0 ? 1 : 0);
  const middle = significand << 2;
  const below = roundToOdd4(power, (middle - (isLowerNearer ? 1 : 2)) << shift) + 1;
  const value = roundToOdd4(power, middle << shift);
  const above = roundToOdd4(power, (middle + 2) << shift) - 1;
  return chooseDigits(below, value, above, k);
}

/** Of the numbers from `below` to `above`, in quarters of 10^k, the one with the fewest digits, or the nearest to `value`. */
function chooseDigits(below: u64, value: u64, above: u64, k: i32): u64 {
  const floor = value >> 2;
  if (floor >= 10) {
    const tens = floor / 10;
    const isUnderInside = below <= 40 * tens;
    const isOverInside = 40 * tens + 40 <= above;
    if (isUnderInside != isOverInside) {
      shortestExponent = k + 1;
      return isOverInside ? tens + 1 : tens;
    }
  }
  shortestExponent = k;
  const isUnderInside = below <= floor << 2;
  const isOverInside = (floor << 2) + 4 <= above;
  if (isUnderInside != isOverInside) return isOverInside ? floor + 1 : floor;
  const half = (floor << 2) + 2;
  const isNearerOver = value > half || (value == half && (floor & 1) != 0);
  return isNearerOver ? floor + 1 : floor;
}

/** The decimal exponent of the digits: of 2^q, or of three quarters of that. */
function decimalExponent(q: i32, isLowerNearer: bool): i32 {
  return (q * 1_262_611 - (isLowerNearer ? 524_031 : 0)) >> 22;
}

/** The binary exponent of a power of ten. */
function binaryExponent(power: i32): i32 {
  return (power * 1_741_647) >> 19;
}

/** The upper bits of a product of 128 and 64 bits; the lowest one says whether there is anything below. */
function roundToOdd8(high: u64, low: u64, factor: u64): u64 {
  const carry = highProduct(low, factor);
  const middle = high * factor + carry;
  return (highProduct(high, factor) + (middle < carry ? 1 : 0)) | (middle > 1 ? 1 : 0);
}

function roundToOdd4(power: u64, factor: u32): u64 {
  const low = (power & 0xffff_ffff) * <u64>factor;
  const middle = (power >> 32) * <u64>factor + (low >> 32);
  return (middle >> 32) | (<u32>middle > 1 ? 1 : 0);
}

/** The upper 64 bits of a product. */
function highProduct(a: u64, b: u64): u64 {
  const lowA = a & 0xffff_ffff;
  const highA = a >> 32;
  const lowB = b & 0xffff_ffff;
  const highB = b >> 32;
  const first = highA * lowB + ((lowA * lowB) >> 32);
  const second = lowA * highB + (first & 0xffff_ffff);
  return highA * highB + (first >> 32) + (second >> 32);
}

/** Writes `digits` x 10^shortestExponent in Postgres's form. */
function layOut(digits: u64, plainDigits: i32, to: usize): usize {
  const stripped = stripZeros(digits);
  const count = <i32>digitsOf(stripped);
  const zeros = shortestExponent;
  const exponent = count + zeros - 1;
  if (exponent < LOWEST_PLAIN_EXPONENT || exponent >= plainDigits)
    return writeScientific(stripped, count, exponent, to);
  if (exponent < 0) {
    // Up to three zeros behind the point.
    store<u64>(to, EIGHT_ZEROS);
    store<u8>(to, POINT, 1);
    return writeUint64(stripped, to + 1 - exponent);
  }
  const end = writeUint64(stripped, to);
  if (zeros >= 0) {
    store<u64>(end, EIGHT_ZEROS);
    store<u64>(end, EIGHT_ZEROS, 8);
    return end + zeros;
  }
  putPoint(to + exponent + 1);
  return end + 1;
}

function writeScientific(digits: u64, count: i32, exponent: i32, to: usize): usize {
  let o = writeUint64(digits, to);
  if (count > 1) {
    putPoint(to + 1);
    o += 1;
  }
  store<u8>(o, LETTER_E);
  store<u8>(o, exponent < 0 ? MINUS : PLUS, 1);
  const size = abs(exponent);
  o += 2;
  if (size < 10) store<u8>(o++, ZERO);
  return writeUint64(size, o);
}

/** Takes the zeros away from the end of the digits, and adds them to the exponent. */
function stripZeros(digits: u64): u64 {
  let rest = digits;
  let next = rest / 100_000_000;
  if (next * 100_000_000 == rest) {
    rest = next;
    shortestExponent += 8;
  }
  for (;;) {
    next = rest / 100;
    if (next * 100 != rest) break;
    rest = next;
    shortestExponent += 2;
  }
  next = rest / 10;
  if (next * 10 != rest) return rest;
  shortestExponent += 1;
  return next;
}

/** Moves up to 16 digits by one, and puts a point in front of them. */
function putPoint(at: usize): void {
  v128.store(at, v128.load(at), 1);
  store<u8>(at, POINT);
}

function writeSign(isNegative: bool, to: usize): usize {
  store<u8>(to, MINUS);
  return isNegative ? to + 1 : to;
}

function writeZero(to: usize): usize {
  store<u8>(to, ZERO);
  return to + 1;
}

/** NaN and the infinities are no JSON numbers, and go into quotes. */
function writeSpecial(isNan: bool, isNegative: bool, to: usize): usize {
  if (isNan) {
    store<u64>(to, NAN_TEXT);
    return to + 5;
  }
  store<u8>(to, QUOTE);
  const o = writeSign(isNegative, to + 1);
  store<u64>(o, INFINITY_TEXT);
  store<u8>(o, QUOTE, 8);
  return o + 9;
}
