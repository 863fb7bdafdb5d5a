/**
 * The values of RFC 8259. Nothing here looks for the end of the memory: the last byte is a line feed, and none of these takes one.
 * All return the place behind what they took, or 0 where it is no such thing.
 */
import { LEVELS_AT, MAX_LEVELS } from './places.ts';

const QUOTE: u32 = 0x22;
const COMMA: u32 = 0x2c;
const MINUS: u32 = 0x2d;
const PLUS: u32 = 0x2b;
const DOT: u32 = 0x2e;
const ZERO: u32 = 0x30;
const COLON: u32 = 0x3a;
const BACKSLASH: u32 = 0x5c;
const OPEN_ARRAY: u32 = 0x5b;
const CLOSE_ARRAY: u32 = 0x5d;
const OPEN_OBJECT: u32 = 0x7b;
const CLOSE_OBJECT: u32 = 0x7d;
const LETTER_U: u32 = 0x75;
const TRUE_TEXT: u32 = 0x65757274;
const NULL_TEXT: u32 = 0x6c6c756e;
const FALS_TEXT: u32 = 0x736c6166;
const LETTER_E: u32 = 0x65;

export function afterBlanks(at: usize): usize {
  let p = at;
  while (true) {
    const byte: u32 = load<u8>(p);
    // Line breaks inside of a value are blanks in our lines.
    if (byte != 0x20 && byte != 0x09 && byte != 0x0d) return p;
    p += 1;
  }
}

/** A value of a column, with all that it holds. */
export function value(at: usize): usize {
  let p = afterBlanks(at);
  const byte: u32 = load<u8>(p);
  if (byte == OPEN_OBJECT || byte == OPEN_ARRAY) return nested(p);
  return scalar(p, byte);
}

function scalar(p: usize, byte: u32): usize {
  if (byte == QUOTE) return text(p + 1);
  if (byte - ZERO <= 9 || byte == MINUS) return number(p);
  const word = load<u32>(p);
  if (word == NULL_TEXT || word == TRUE_TEXT) return p + 4;
  return word == FALS_TEXT && <u32>load<u8>(p, 4) == LETTER_E ? p + 5 : 0;
}

/** An array or an object. */
function nested(at: usize): usize {
  let p = at;
  let depth: usize = 0;
  let isDone = false;
  while (true) {
    const byte: u32 = load<u8>(p);
    if (byte == OPEN_OBJECT || byte == OPEN_ARRAY) {
      if (depth == <usize>MAX_LEVELS) return 0;
      const isObject = byte == OPEN_OBJECT;
      store<u8>(<usize>LEVELS_AT + depth, isObject ? 1 : 0);
      depth += 1;
      p = afterBlanks(p + 1);
      isDone = <u32>load<u8>(p) == (isObject ? CLOSE_OBJECT : CLOSE_ARRAY);
      if (!isDone) {
        if (isObject) {
          p = name(p);
          if (p == 0) return 0;
        }
        continue;
      }
      depth -= 1;
      p += 1;
    } else {
      p = scalar(p, byte);
      if (p == 0) return 0;
    }
    // Behind a value: what is open ends, or has another one.
    while (true) {
      if (depth == 0) return p;
      p = afterBlanks(p);
      const isObject = load<u8>(<usize>LEVELS_AT + depth - 1) == 1;
      const next: u32 = load<u8>(p);
      p += 1;
      if (next == COMMA) {
        p = afterBlanks(p);
        if (isObject) {
          p = name(p);
          if (p == 0) return 0;
        }
        break;
      }
      if (next != (isObject ? CLOSE_OBJECT : CLOSE_ARRAY)) return 0;
      depth -= 1;
    }
  }
}

/** A name and its colon, to where the value begins. */
function name(at: usize): usize {
  if (<u32>load<u8>(at) != QUOTE) return 0;
  let p = text(at + 1);
  if (p == 0) return 0;
  p = afterBlanks(p);
  return <u32>load<u8>(p) == COLON ? afterBlanks(p + 1) : 0;
}

/** The rest of a string, behind its first quote. */
function text(at: usize): usize {
  let p = at;
  while (true) {
    const bytes = v128.load(p);
    const special = v128.or(
      // Signed: what is below a blank, and what is no ASCII.
      i8x16.lt_s(bytes, i8x16.splat(0x20)),
      v128.or(i8x16.eq(bytes, i8x16.splat(<i8>QUOTE)), i8x16.eq(bytes, i8x16.splat(<i8>BACKSLASH))),
    );
    const mask = <u32>i8x16.bitmask(special);
    if (mask == 0) {
      p += 16;
      continue;
    }
    p += ctz(mask);
    const byte: u32 = load<u8>(p);
    if (byte == QUOTE) return p + 1;
    if (byte == BACKSLASH) p = escape(p + 1);
    else p = byte < 0x80 ? 0 : characters(p);
    if (p == 0) return 0;
  }
}

function escape(at: usize): usize {
  const byte: u32 = load<u8>(at);
  if (byte == LETTER_U) {
    const areDigits =
      isHex(load<u8>(at, 1)) && isHex(load<u8>(at, 2)) && isHex(load<u8>(at, 3)) && isHex(load<u8>(at, 4));
    return areDigits ? at + 5 : 0;
  }
  // One of `"\/bfnrt`.
  const isKnown =
    byte == QUOTE ||
    byte == BACKSLASH ||
    byte == 0x2f ||
    byte == 0x62 ||
    byte == 0x66 ||
    byte == 0x6e ||
    byte == 0x72 ||
    byte == 0x74;
  return isKnown ? at + 1 : 0;
}

function isHex(byte: u32): bool {
  return byte - ZERO <= 9 || (byte | 0x20) - 0x61 <= 5;
}

/** Characters of more than one byte, by the ranges of the Unicode standard, table 3-7. */
function characters(at: usize): usize {
  let p = at;
  while (true) {
    const first: u32 = load<u8>(p);
    if (first < 0x80) return p;
    if (first < 0xc2 || first > 0xf4) return 0;
    const second: u32 = load<u8>(p, 1);
    if (first < 0xe0) {
      if (!isRest(second)) return 0;
      p += 2;
      continue;
    }
    const low: u32 = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const high: u32 = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) return 0;
    if (!isRest(load<u8>(p, 2))) return 0;
    if (first < 0xf0) {
      p += 3;
      continue;
    }
    if (!isRest(load<u8>(p, 3))) return 0;
    p += 4;
  }
}

function isRest(byte: u32): bool {
  return (byte & 0xc0) == 0x80;
}

function number(at: usize): usize {
  let p = at;
  if (<u32>load<u8>(p) == MINUS) p += 1;
  if (<u32>load<u8>(p) == ZERO) p += 1;
  else {
    const end = digits(p);
    if (end == p) return 0;
    p = end;
  }
  if (<u32>load<u8>(p) == DOT) {
    const end = digits(p + 1);
    if (end == p + 1) return 0;
    p = end;
  }
  if (((<u32>load<u8>(p)) | 0x20) != LETTER_E) return p;
  p += 1;
  const sign: u32 = load<u8>(p);
  if (sign == MINUS || sign == PLUS) p += 1;
  const end = digits(p);
  return end == p ? 0 : end;
}

function digits(at: usize): usize {
  let p = at;
  while (<u32>load<u8>(p) - ZERO <= 9) p += 1;
  return p;
}
