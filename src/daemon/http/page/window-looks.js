// @ts-check
/** How the states of windows look: a word, a mark and a colour, so that none of them stands alone. */
import { bytes, count, dateTime, plural } from './format.js';

/**
 * @import { CalendarWindow, WindowCounts } from '../../view/calendars.ts'
 * @typedef {CalendarWindow['state']} WindowState
 */

/**
 * In the order of their urgency, for cells that stand for many windows.
 * @type {Record<WindowState, { words: string, mark: string, tone: 'good' | 'busy' | 'warn' | 'bad' | 'held' | 'none' }>}
 */
export const WINDOW_LOOKS = {
  damaged: { words: 'damaged', mark: '×', tone: 'bad' },
  failed: { words: 'failed', mark: '!', tone: 'bad' },
  running: { words: 'running', mark: '▸', tone: 'busy' },
  unfinished: { words: 'unfinished', mark: '~', tone: 'warn' },
  missing: { words: 'missing', mark: '?', tone: 'warn' },
  expired: { words: 'expired', mark: '…', tone: 'none' },
  purged: { words: 'purged', mark: '○', tone: 'held' },
  archived: { words: 'archived', mark: '', tone: 'good' },
  empty: { words: 'empty', mark: '–', tone: 'none' },
};

const ORDER = /** @type {WindowState[]} */ (Object.keys(WINDOW_LOOKS));

/**
 * A page that is older than the daemon may meet a state that it does not know.
 * @param {WindowState} state
 */
export function windowLook(state) {
  return Object.hasOwn(WINDOW_LOOKS, state)
    ? WINDOW_LOOKS[state]
    : { words: /** @type {string} */ (state), mark: '', tone: /** @type {const} */ ('none') };
}

/**
 * The states that there are, the most urgent first, with how many windows have them.
 * @param {WindowCounts} counts
 */
export function statesOf(counts) {
  return ORDER.flatMap((state) => (counts[state] === undefined ? [] : [{ state, windows: counts[state] }]));
}

/**
 * `30 archived, 1 missing`
 * @param {WindowCounts} counts
 */
export function countsText(counts) {
  return statesOf(counts)
    .map(({ state, windows }) => `${count(windows)} ${windowLook(state).words}`)
    .join(', ');
}

/**
 * `2026-03-01: archived, 466,000 rows, 101 MiB, committed 23 Nov, 02:15`
 * @param {CalendarWindow} window
 * @param {'hour' | 'day' | 'week' | 'month' | 'year'} every
 * @param {string} timezone
 */
export function windowText({ local, state, rows, bytes: size, finishedAt, left }, every, timezone) {
  const figures = [
    rows === null ? '' : plural(rows, 'row'),
    size === null ? '' : bytes(size),
    finishedAt === null ? '' : `committed ${dateTime(finishedAt, timezone)}`,
    left === null ? '' : `${plural(left, 'row')} left in the source`,
  ];
  return [`${windowName(local, every)}: ${windowLook(state).words}`, ...figures.filter(Boolean)].join(', ');
}

/**
 * As much of its first point as names a window.
 * @param {string} local
 * @param {'hour' | 'day' | 'week' | 'month' | 'year'} every
 */
export function windowName(local, every) {
  if (every === 'hour') return local.slice(0, 16).replace('T', ' ');
  return local.slice(0, every === 'year' ? 4 : every === 'month' ? 7 : 10);
}
