/** Numbers and booleans from Postgres's binary form to JSON bytes, digit by digit as Postgres prints them. */
import { formatFloat4, formatFloat8 } from './floats.ts';
import { copyBytes } from './text.ts';

const ZERO = 0x30;
const MINUS = 0x2d;
const POINT = 0x2e;
const QUOTE = 0x22;
const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');
const INT8_TEXT_BYTES = 20;

export function encodeBoolean(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  expectBytes(at, end, 1);
  const word = source[at] === 0 ? FALSE : TRUE;
  return copyBytes(word, 0, word.length, out, to);
}

export function encodeInt2(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  expectBytes(at, end, 2);
  return writeInteger(((source[at]! << 24) >> 16) | source[at + 1]!, out, to);
}

export function encodeInt4(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  expectBytes(at, end, 4);
  return writeInteger(readInt32(source, at), out, to);
}

/** Within 53 bits a number does it; beyond, a bigint, which is slow and rare. */
export function encodeInt8(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  expectBytes(at, end, 8);
  const high = readInt32(source, at);
  if (high >= -0x200000 && high < 0x200000) {
    return writeInteger(high * 0x1_0000_0000 + (readInt32(source, at + 4) >>> 0), out, to);
  }
  return writeAscii(readInt64(source, at).toString(), out, to);
}

export function encodeFloat4(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  expectBytes(at, end, 4);
  return writeFloat(formatFloat4(viewOf(source).getFloat32(at)), out, to);
}

export function encodeFloat8(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  expectBytes(at, end, 8);
  return writeFloat(formatFloat8(viewOf(source).getFloat64(at)), out, to);
}

const NUMERIC_HEADER_BYTES = 8;
const NUMERIC_BASE = 10_000;
const NUMERIC_NEGATIVE = 0x4000;
const NUMERIC_SPECIAL = 0xc000;
const SPECIAL_NUMERICS: Record<number, string> = { 0xc000: '"NaN"', 0xd000: '"Infinity"', 0xf000: '"-Infinity"' };

/**
 * A numeric is a count of digits, the weight of the first one, a sign, the number of decimals to show, then digits to the
 * base of 10,000, all 16 bits wide. Leading and trailing zero digits are not sent.
 */
export function encodeNumeric(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  const count = readUint16(source, at);
  expectBytes(at, end, NUMERIC_HEADER_BYTES + 2 * count);
  const weight = (readUint16(source, at + 2) << 16) >> 16;
  const sign = readUint16(source, at + 4);
  const scale = readUint16(source, at + 6);
  if (sign >= NUMERIC_SPECIAL) return writeAscii(specialNumeric(sign), out, to);
  if (sign !== 0 && sign !== NUMERIC_NEGATIVE) throw new Error(`a numeric has the sign ${sign}`);
  let o = to;
  if (sign === NUMERIC_NEGATIVE) out[o++] = MINUS;
  const digits = at + NUMERIC_HEADER_BYTES;
  if (weight < 0) out[o++] = ZERO;
  for (let index = 0; index <= weight; index += 1) {
    const digit = index < count ? readNumericDigit(source, digits + 2 * index) : 0;
    o = index === 0 ? writeInteger(digit, out, o) : writeFourDigits(digit, out, o);
  }
  if (scale === 0) return o;
  out[o++] = POINT;
  const shown = o + scale;
  for (let index = weight + 1; o < shown; index += 1) {
    const digit = index >= 0 && index < count ? readNumericDigit(source, digits + 2 * index) : 0;
    o = writeFourDigits(digit, out, o);
  }
  // The last group may have brought more decimals than are to be shown; they are zeros.
  return shown;
}

function specialNumeric(sign: number): string {
  const text = SPECIAL_NUMERICS[sign];
  if (text === undefined) throw new Error(`a numeric has the sign ${sign}`);
  return text;
}

function readNumericDigit(source: Uint8Array, at: number): number {
  const digit = readUint16(source, at);
  if (digit >= NUMERIC_BASE) throw new Error(`a numeric has the digit ${digit}`);
  return digit;
}

/** A safe integer in decimal. */
export function writeInteger(value: number, out: Uint8Array, to: number): number {
  let o = to;
  let rest = value;
  if (rest < 0) {
    out[o++] = MINUS;
    rest = -rest;
  }
  if (rest < 10) {
    out[o] = ZERO + rest;
    return o + 1;
  }
  const end = o + countDigits(rest);
  let position = end;
  // 32-bit arithmetic is several times faster than that of doubles.
  while (rest > 0x7fffffff) {
    const next = Math.floor(rest / 10);
    out[--position] = ZERO + (rest - next * 10);
    rest = next;
  }
  let small = rest | 0;
  while (position > o) {
    const next = (small / 10) | 0;
    out[--position] = ZERO + (small - next * 10);
    small = next;
  }
  return end;
}

/** Exactly two digits. */
export function writeTwoDigits(value: number, out: Uint8Array, to: number): number {
  const tens = (value / 10) | 0;
  out[to] = ZERO + tens;
  out[to + 1] = ZERO + (value - tens * 10);
  return to + 2;
}

export function writeFourDigits(value: number, out: Uint8Array, to: number): number {
  const hundreds = (value / 100) | 0;
  return writeTwoDigits(value - hundreds * 100, out, writeTwoDigits(hundreds, out, to));
}

export function writeAscii(text: string, out: Uint8Array, to: number): number {
  for (let index = 0; index < text.length; index += 1) out[to + index] = text.charCodeAt(index);
  return to + text.length;
}

/** Throws when a value is not as wide as its type, as it would be read as another one. */
export function expectBytes(at: number, end: number, bytes: number): void {
  if (end - at !== bytes) throw new Error(`a value has ${end - at} bytes, where its type has ${bytes}`);
}

export function readUint16(source: Uint8Array, at: number): number {
  return (source[at]! << 8) | source[at + 1]!;
}

export function readInt32(source: Uint8Array, at: number): number {
  return (source[at]! << 24) | (source[at + 1]! << 16) | (source[at + 2]! << 8) | source[at + 3]!;
}

export function readInt64(source: Uint8Array, at: number): bigint {
  return (BigInt(readInt32(source, at)) << 32n) | BigInt(readInt32(source, at + 4) >>> 0);
}

/** Bytes that hold any of the fixed-width values here as text. */
export const FIXED_TEXT_BYTES = Math.max(INT8_TEXT_BYTES, 40);

function countDigits(value: number): number {
  if (value < 100) return 2;
  if (value < 1e3) return 3;
  if (value < 1e4) return 4;
  let digits = 5;
  for (let limit = 1e5; value >= limit; limit *= 10) digits += 1;
  return digits;
}

/** NaN and the infinities are no JSON numbers, and go into quotes. */
function writeFloat(text: string, out: Uint8Array, to: number): number {
  const first = text.charCodeAt(text.charCodeAt(0) === MINUS ? 1 : 0);
  if (first >= ZERO && first <= ZERO + 9) return writeAscii(text, out, to);
  out[to] = QUOTE;
  const o = writeAscii(text, out, to + 1);
  out[o] = QUOTE;
  return o + 1;
}

let viewed: ArrayBufferLike | undefined;
let view: DataView = new DataView(new ArrayBuffer(0));
let viewOffset = -1;

/** The source is the same buffer for a whole segment, so its view is made once. */
function viewOf(source: Uint8Array): DataView {
  if (viewed !== source.buffer || viewOffset !== source.byteOffset) {
    viewed = source.buffer;
    viewOffset = source.byteOffset;
    view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  }
  return view;
}
