/** Dates, times and timestamps in ISO 8601, as row_to_json prints them in UTC. */
import { writeFourDigits, writePair, writeUint32 } from './integers.ts';
import { DAY_AT } from './places.ts';

const QUOTE: u8 = 0x22;
const DASH: u8 = 0x2d;
const PLUS: u8 = 0x2b;
const COLON: u8 = 0x3a;
const POINT: u8 = 0x2e;
const LETTER_T: u8 = 0x54;
const ZERO: u8 = 0x30;
/** `+00:00` and two zeros. */
const UTC: u64 = 0x0000_3030_3a30_302b;
/** ` BC` and a zero. */
const BEFORE_CHRIST: u32 = 0x0043_4220;
/** `infinity`. */
const INFINITY_TEXT: u64 = 0x7974_696e_6966_6e69;

/** Days from 0000-03-01, where the reckoning of leap days is simplest, to 2000-01-01. */
const EPOCH_DAYS: i64 = 730_425;
const DAYS_OF_400_YEARS: i64 = 146_097;
const DAY_US: i64 = 86_400_000_000;
const DAY_SECONDS: u32 = 86_400;

/** The day that was written last, of which there often are more: its text is at DAY_AT. */
let lastDay: i64 = i64.MIN_VALUE;
let lastDayBytes: usize = 0;
let isLastBefore: bool = false;

export function encodeDate(at: usize, bytes: u32, to: usize): usize {
  if (bytes != 4) return 0;
  const days = <i32>bswap<u32>(load<u32>(at));
  if (days == i32.MAX_VALUE || days == i32.MIN_VALUE) return writeInfinity(days < 0, to);
  store<u8>(to, QUOTE);
  return writeEnd(writeDay(days, to + 1), false);
}

export function encodeTimestamp(at: usize, bytes: u32, to: usize, isZoned: bool): usize {
  if (bytes != 8) return 0;
  const microseconds = <i64>bswap<u64>(load<u64>(at));
  if (microseconds == i64.MAX_VALUE || microseconds == i64.MIN_VALUE) return writeInfinity(microseconds < 0, to);
  let days = microseconds / DAY_US;
  let timeUs = microseconds - days * DAY_US;
  if (timeUs < 0) {
    days -= 1;
    timeUs += DAY_US;
  }
  store<u8>(to, QUOTE);
  const o = writeDay(days, to + 1);
  store<u8>(o, LETTER_T);
  return writeEnd(writeTime(<u64>timeUs, o + 1), isZoned);
}

export function encodeTime(at: usize, bytes: u32, to: usize): usize {
  if (bytes != 8) return 0;
  const o = writeTimeOf(at, to);
  if (o == 0) return 0;
  store<u8>(o, QUOTE);
  return o + 1;
}

/** The zone comes in seconds west of UTC, and is shown east of it, without what is zero at its end. */
export function encodeTimetz(at: usize, bytes: u32, to: usize): usize {
  if (bytes != 12) return 0;
  let o = writeTimeOf(at, to);
  const west = <i32>bswap<u32>(load<u32>(at, 8));
  const seconds = <u32>abs(west);
  if (o == 0 || seconds >= DAY_SECONDS) return 0;
  const minutes = seconds / 60;
  const hours = minutes / 60;
  store<u8>(o, west <= 0 ? PLUS : DASH);
  writePair(hours, o + 1);
  o += 3;
  if (seconds % 3600 != 0) {
    store<u8>(o, COLON);
    writePair(minutes - hours * 60, o + 1);
    o += 3;
  }
  if (seconds % 60 != 0) {
    store<u8>(o, COLON);
    writePair(seconds - minutes * 60, o + 1);
    o += 3;
  }
  store<u8>(o, QUOTE);
  return o + 1;
}

/** A quote and the time; 0 for none that a day has. */
function writeTimeOf(at: usize, to: usize): usize {
  const timeUs = bswap<u64>(load<u64>(at));
  if (timeUs > <u64>DAY_US) return 0;
  store<u8>(to, QUOTE);
  return writeTime(timeUs, to + 1);
}

function writeInfinity(isNegative: bool, to: usize): usize {
  store<u8>(to, QUOTE);
  store<u8>(to, DASH, 1);
  const o = isNegative ? to + 2 : to + 1;
  store<u64>(o, INFINITY_TEXT);
  store<u8>(o, QUOTE, 8);
  return o + 9;
}

/** Zone, era and quote behind the day that was written last. */
function writeEnd(to: usize, isZoned: bool): usize {
  let o = to;
  if (isZoned) {
    store<u64>(o, UTC);
    o += 6;
  }
  if (isLastBefore) {
    store<u32>(o, BEFORE_CHRIST);
    o += 3;
  }
  store<u8>(o, QUOTE);
  return o + 1;
}

/** Writes `2026-11-23`. */
function writeDay(days: i64, to: usize): usize {
  if (days != lastDay) reckonDay(days);
  v128.store(to, v128.load(DAY_AT));
  return to + lastDayBytes;
}

/**
 * Before Christ, Postgres counts 1 BC, 2 BC and no year zero. The reckoning is that of Howard Hinnant, "chrono-Compatible
 * Low-Level Date Algorithms": years begin in March.
 */
function reckonDay(days: i64): void {
  const shifted = days + EPOCH_DAYS;
  const era = (shifted >= 0 ? shifted : shifted - (DAYS_OF_400_YEARS - 1)) / DAYS_OF_400_YEARS;
  const dayOfEra = <u32>(shifted - era * DAYS_OF_400_YEARS);
  const yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365;
  const dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100);
  const marchMonth = (5 * dayOfYear + 2) / 153;
  const day = dayOfYear - (153 * marchMonth + 2) / 5 + 1;
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  const year = <i32>yearOfEra + <i32>era * 400 + (month <= 2 ? 1 : 0);
  isLastBefore = year <= 0;
  const shown = <u32>(year <= 0 ? 1 - year : year);
  let o: usize = DAY_AT;
  if (shown < 10_000) {
    writeFourDigits(shown, o);
    o += 4;
  } else {
    o = writeUint32(shown, o);
  }
  store<u8>(o, DASH);
  writePair(month, o + 1);
  store<u8>(o, DASH, 3);
  writePair(day, o + 4);
  lastDay = days;
  lastDayBytes = o + 6 - DAY_AT;
}

/** Writes `02:15:00.5`, with up to six decimals and no zeros at their end. */
function writeTime(timeUs: u64, to: usize): usize {
  const seconds = <u32>(timeUs / 1_000_000);
  const fraction = <u32>(timeUs - <u64>seconds * 1_000_000);
  const minutes = seconds / 60;
  const hours = minutes / 60;
  writePair(hours, to);
  store<u8>(to, COLON, 2);
  writePair(minutes - hours * 60, to + 3);
  store<u8>(to, COLON, 5);
  writePair(seconds - minutes * 60, to + 6);
  if (fraction == 0) return to + 8;
  store<u8>(to, POINT, 8);
  const high = fraction / 100;
  writeFourDigits(high, to + 9);
  writePair(fraction - high * 100, to + 13);
  let o = to + 15;
  while (load<u8>(o - 1) == ZERO) o -= 1;
  return o;
}
