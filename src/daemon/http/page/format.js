// @ts-check
/** Numbers, sizes, spans and moments as people read them. What is not known is a dash. */

/** @typedef {number | null | undefined} Figure */

export const NOTHING = '–';

const COUNT = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const COMPACT = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 });
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/**
 * `466,000`
 * @param {Figure} value
 */
export function count(value) {
  return isNumber(value) ? COUNT.format(value) : NOTHING;
}

/**
 * `466K`
 * @param {Figure} value
 */
export function compact(value) {
  return isNumber(value) ? COMPACT.format(value) : NOTHING;
}

/**
 * `12.3 MiB`
 * @param {Figure} value
 */
export function bytes(value) {
  if (!isNumber(value)) return NOTHING;
  const unit = Math.min(UNITS.length - 1, value < 1024 ? 0 : Math.floor(Math.log2(value) / 10));
  const scaled = value / 1024 ** unit;
  return `${unit === 0 || scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1)} ${UNITS[unit]}`;
}

/**
 * `9.8 s`, `3m 07s`, `1h 02m`, `4d 3h`
 * @param {Figure} seconds
 */
export function duration(seconds) {
  if (!isNumber(seconds)) return NOTHING;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)}\u00a0s`;
  return coarse(seconds);
}

/**
 * `12 s ago`, `3m ago`
 * @param {Figure} seconds
 */
export function age(seconds) {
  if (!isNumber(seconds)) return NOTHING;
  if (seconds < 1) return 'just now';
  return `${seconds < 60 ? `${Math.floor(seconds)} s` : coarse(seconds)} ago`;
}

/**
 * `in 12 s`, `in 4h 12m`, `due now`
 * @param {Figure} seconds
 */
export function countdown(seconds) {
  if (!isNumber(seconds)) return NOTHING;
  if (seconds <= 0) return 'due now';
  return `in ${seconds < 60 ? `${Math.ceil(seconds)} s` : coarse(seconds)}`;
}

/**
 * `47,566/s`
 * @param {Figure} perSecond
 */
export function rate(perSecond) {
  return isNumber(perSecond) ? `${count(perSecond)}/s` : NOTHING;
}

/**
 * `02:15:00` of this browser's day.
 * @param {number} moment milliseconds since the epoch
 */
export function clock(moment) {
  return new Date(moment).toLocaleTimeString('en-GB');
}

/**
 * `23 Nov, 02:15` in that time zone; in this browser's when there is none, or none that it knows.
 * @param {string} iso
 * @param {string} [timeZone]
 */
export function dateTime(iso, timeZone) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return NOTHING;
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' };
  try {
    return date.toLocaleString('en-GB', timeZone === undefined ? options : { ...options, timeZone });
  } catch {
    return date.toLocaleString('en-GB', options);
  }
}

/**
 * `2026-11-26 02:16:00 UTC`, for who points at a time; what is no time stays as it is.
 * @param {string} iso
 */
export function utc(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? iso : `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** The zone of all times that are shown: this browser's. */
export function ownZone() {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/**
 * `+1.0%`, `−12%`, `as many`; empty where there is nothing to hold it against.
 * @param {number} value
 * @param {Figure} before
 */
export function change(value, before) {
  if (!isNumber(before)) return '';
  if (value === before) return 'as many';
  if (before === 0) return `+${count(value)}`;
  const percent = Math.abs((value / before - 1) * 100);
  return `${value > before ? '+' : '−'}${percent < 10 ? percent.toFixed(1) : count(percent)}%`;
}

/**
 * `1 run`, `2 runs`, `1 retry`, `2 retries`
 * @param {number} number
 * @param {string} word
 * @param {string} [words] when it does not end in a plain s
 */
export function plural(number, word, words = `${word}s`) {
  return `${count(number)} ${number === 1 ? word : words}`;
}

/** @param {number} seconds */
function coarse(seconds) {
  const whole = Math.round(seconds);
  const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)}h ${two(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86_400)}d ${Math.floor((whole % 86_400) / 3600)}h`;
}

/**
 * @param {Figure} value
 * @returns {value is number}
 */
function isNumber(value) {
  return typeof value === 'number' && Number.isFinite(value);
}
