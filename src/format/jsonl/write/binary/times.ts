/** Dates, times and timestamps from Postgres's binary form to ISO 8601 in JSON, as row_to_json prints them in UTC. */
import {
  expectBytes,
  readInt32,
  readInt64,
  writeAscii,
  writeFourDigits,
  writeInteger,
  writeTwoDigits,
} from './numbers.ts';

const QUOTE = 0x22;
const DASH = 0x2d;
const PLUS = 0x2b;
const COLON = 0x3a;
const POINT = 0x2e;
const LETTER_T = 0x54;
const ZERO = 0x30;

/** Days from 0000-03-01, where the reckoning of leap days is simplest, to 2000-01-01. */
const EPOCH_DAYS = 730_425;
const DAYS_OF_400_YEARS = 146_097;
const DAY_US = 86_400_000_000;
const DAY_SECONDS = 86_400;
const INFINITE_DAYS = 0x7fffffff;
const MINUS_INFINITE_DAYS = -0x80000000;
/** Above this part of 64 bits a number is no longer exact in a double. */
const EXACT_HIGH = 0x200000;

export function encodeDate(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  expectBytes(at, end, 4);
  const days = readInt32(source, at);
  if (days === INFINITE_DAYS) return writeAscii('"infinity"', out, to);
  if (days === MINUS_INFINITE_DAYS) return writeAscii('"-infinity"', out, to);
  out[to] = QUOTE;
  const isBefore = writeDay(days, out, to + 1);
  let o = dayEnd;
  if (isBefore) o = writeAscii(' BC', out, o);
  out[o] = QUOTE;
  return o + 1;
}

export function encodeTimestamp(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  expectBytes(at, end, 8);
  return writeTimestamp(source, at, out, to, false);
}

export function encodeTimestamptz(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  expectBytes(at, end, 8);
  return writeTimestamp(source, at, out, to, true);
}

export function encodeTime(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  expectBytes(at, end, 8);
  out[to] = QUOTE;
  const o = writeTime(readTimeUs(source, at), out, to + 1);
  out[o] = QUOTE;
  return o + 1;
}

/** The zone comes in seconds west of UTC, and is shown east of it, without what is zero at its end. */
export function encodeTimetz(source: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
  expectBytes(at, end, 12);
  const west = readInt32(source, at + 8);
  const seconds = Math.abs(west);
  if (seconds >= DAY_SECONDS) throw new Error(`a time zone is ${west} seconds west of UTC`);
  const minutes = (seconds / 60) | 0;
  const hours = (minutes / 60) | 0;
  out[to] = QUOTE;
  let o = writeTime(readTimeUs(source, at), out, to + 1);
  out[o++] = west <= 0 ? PLUS : DASH;
  o = writeTwoDigits(hours, out, o);
  if (seconds % 3600 !== 0) {
    out[o++] = COLON;
    o = writeTwoDigits(minutes - hours * 60, out, o);
  }
  if (seconds % 60 !== 0) {
    out[o++] = COLON;
    o = writeTwoDigits(seconds - minutes * 60, out, o);
  }
  out[o] = QUOTE;
  return o + 1;
}

/** Up to 24:00:00, which a double holds. */
function readTimeUs(source: Uint8Array, at: number): number {
  const timeUs = readInt32(source, at) * 0x1_0000_0000 + (readInt32(source, at + 4) >>> 0);
  if (timeUs < 0 || timeUs > DAY_US) throw new Error(`a time is ${timeUs} microseconds after midnight`);
  return timeUs;
}

function writeTimestamp(source: Uint8Array, at: number, out: Uint8Array, to: number, zoned: boolean): number {
  const high = readInt32(source, at);
  const low = readInt32(source, at + 4) >>> 0;
  let days: number;
  let timeUs: number;
  if (high >= -EXACT_HIGH && high < EXACT_HIGH) {
    const microseconds = high * 0x1_0000_0000 + low;
    days = Math.floor(microseconds / DAY_US);
    timeUs = microseconds - days * DAY_US;
  } else {
    const microseconds = readInt64(source, at);
    if (high === 0x7fffffff && low === 0xffffffff) return writeAscii('"infinity"', out, to);
    if (high === -0x80000000 && low === 0) return writeAscii('"-infinity"', out, to);
    const day = BigInt(DAY_US);
    const time = ((microseconds % day) + day) % day;
    days = Number((microseconds - time) / day);
    timeUs = Number(time);
  }
  out[to] = QUOTE;
  const isBefore = writeDay(days, out, to + 1);
  let o = dayEnd;
  out[o++] = LETTER_T;
  o = writeTime(timeUs, out, o);
  if (zoned) o = writeAscii('+00:00', out, o);
  if (isBefore) o = writeAscii(' BC', out, o);
  out[o] = QUOTE;
  return o + 1;
}

/** Where the last day that was written ended; a result beside the one that writeDay returns, without an allocation. */
let dayEnd = 0;

/**
 * Writes `2026-11-23`; returns whether the year is before Christ, where Postgres counts 1 BC, 2 BC and no year zero.
 * The reckoning is that of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March.
 */
function writeDay(days: number, out: Uint8Array, to: number): boolean {
  const shifted = days + EPOCH_DAYS;
  const era = Math.floor(shifted / DAYS_OF_400_YEARS);
  const dayOfEra = shifted - era * DAYS_OF_400_YEARS;
  const yearOfEra =
    ((dayOfEra - ((dayOfEra / 1460) | 0) + ((dayOfEra / 36_524) | 0) - ((dayOfEra / 146_096) | 0)) / 365) | 0;
  const dayOfYear = dayOfEra - (365 * yearOfEra + ((yearOfEra / 4) | 0) - ((yearOfEra / 100) | 0));
  const marchMonth = ((5 * dayOfYear + 2) / 153) | 0;
  const day = dayOfYear - (((153 * marchMonth + 2) / 5) | 0) + 1;
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const isBefore = year <= 0;
  const shown = isBefore ? 1 - year : year;
  let o = shown < 10_000 ? writeFourDigits(shown, out, to) : writeInteger(shown, out, to);
  out[o++] = DASH;
  o = writeTwoDigits(month, out, o);
  out[o++] = DASH;
  dayEnd = writeTwoDigits(day, out, o);
  return isBefore;
}

/** Writes `02:15:00.5`, with up to six decimals and no zeros at their end. */
function writeTime(timeUs: number, out: Uint8Array, to: number): number {
  const seconds = Math.floor(timeUs / 1_000_000);
  let fraction = (timeUs - seconds * 1_000_000) | 0;
  const minutes = (seconds / 60) | 0;
  const hours = (minutes / 60) | 0;
  let o = writeTwoDigits(hours, out, to);
  out[o++] = COLON;
  o = writeTwoDigits(minutes - hours * 60, out, o);
  out[o++] = COLON;
  o = writeTwoDigits(seconds - minutes * 60, out, o);
  if (fraction === 0) return o;
  out[o++] = POINT;
  for (let unit = 100_000; fraction > 0; unit = (unit / 10) | 0) {
    const digit = (fraction / unit) | 0;
    out[o++] = ZERO + digit;
    fraction -= digit * unit;
  }
  return o;
}
