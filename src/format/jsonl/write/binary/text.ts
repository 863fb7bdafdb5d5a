/**
 * The hot loops over bytes: text, JSON and bytea to JSON bytes. They are plain loops over typed arrays, as V8 compiles
 * those to machine code without a bounds check or an allocation; everything that can be decided before is decided before.
 *
 * All functions take `source[at, end)`, write to `out` from `to` on, and return where they stopped. Where `out` is too
 * small, what does not fit is dropped (so do typed arrays), and the return value says how much room it takes: the caller
 * looks at it, and does the row again with more.
 *
 * Where both buffers lie in the memory of encode-memory.ts, text and JSON take its way.
 */
import { ESCAPES, HEX } from './escapes.ts';
import { blankBySimd, escapeBySimd, isInMemory } from './encode-memory.ts';

/** The most bytes that one byte of a value can become: a control character is `\u0001`. */
export const WORST_GROWTH = 6;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NO_ESCAPE = 0;
const LONG_ESCAPE = 1;
const UUID_BYTES = 16;
/** In front of a jsonb's text; another one would be another form. */
const JSONB_VERSION = 1;
/** So much is escaped by SIMD at once: there has to be room for the worst that may come of it. */
const SIMD_PIECE_BYTES = 4096;

/** Copies text, escaped, without the quotes around it; so it may be called for one piece of a value after another. */
export function escapeText(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  let from = at;
  let o = to;
  while (from < end && isInMemory(source, out, o, WORST_GROWTH * SIMD_PIECE_BYTES)) {
    const stop = Math.min(end, from + SIMD_PIECE_BYTES);
    o = escapeBySimd(from, stop, out, o);
    from = stop;
  }
  while (from < end) {
    const byte = source[from++]!;
    const escape = ESCAPES[byte]!;
    if (escape === NO_ESCAPE) {
      out[o++] = byte;
    } else {
      out[o++] = BACKSLASH;
      if (escape === LONG_ESCAPE) {
        out[o++] = 0x75; // u
        out[o++] = 0x30;
        out[o++] = 0x30;
        out[o++] = HEX[byte >> 4]!;
        out[o++] = HEX[byte & 15]!;
      } else {
        out[o++] = escape;
      }
    }
  }
  return o;
}

/** A whole text in quotes. */
export function encodeText(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  out[to] = QUOTE;
  const o = escapeText(source, at, end, out, to + 1);
  out[o] = QUOTE;
  return o + 1;
}

/** Copies JSON text; its line breaks are white space, and become blanks. */
export function copyJson(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  if (isInMemory(source, out, to, end - at)) return blankBySimd(at, end, out, to);
  let o = to;
  for (let from = at; from < end; from += 1) {
    const byte = source[from]!;
    out[o++] = byte === 0x0a || byte === 0x0d ? 0x20 : byte;
  }
  return o;
}

/** A jsonb value is sent as a version byte, then its text, which has no line breaks. */
export function copyJsonb(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  if (at === end || source[at] !== JSONB_VERSION) throw new Error('a jsonb value has a version that is not known');
  if (isInMemory(source, out, to, end - at)) return blankBySimd(at + 1, end, out, to);
  return copyBytes(source, at + 1, end, out, to);
}

/** Copies bytes as they are; long ones by the native copy, which is not worth its call for short ones. */
export function copyBytes(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  if (end - at > 96) {
    const after = to + (end - at);
    if (after <= out.length) out.set(source.subarray(at, end), to);
    return after;
  }
  let o = to;
  for (let from = at; from < end; from += 1) out[o++] = source[from]!;
  return o;
}

/** Hex digits of bytes; may be called for one piece after another. */
export function copyHex(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  let o = to;
  for (let from = at; from < end; from += 1) {
    const byte = source[from]!;
    out[o++] = HEX[byte >> 4]!;
    out[o++] = HEX[byte & 15]!;
  }
  return o;
}

/** What stands before the hex digits of a bytea in JSON. */
export const BYTEA_START = Buffer.from('"\\\\x');

export function encodeBytea(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  let o = copyBytes(BYTEA_START, 0, BYTEA_START.length, out, to);
  o = copyHex(source, at, end, out, o);
  out[o] = QUOTE;
  return o + 1;
}

export function encodeUuid(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  if (end - at !== UUID_BYTES) throw new Error(`a uuid has ${end - at} bytes`);
  let o = to;
  out[o++] = QUOTE;
  for (let index = 0; index < UUID_BYTES; index += 1) {
    if (index === 4 || index === 6 || index === 8 || index === 10) out[o++] = 0x2d;
    const byte = source[at + index]!;
    out[o++] = HEX[byte >> 4]!;
    out[o++] = HEX[byte & 15]!;
  }
  out[o++] = QUOTE;
  return o;
}
