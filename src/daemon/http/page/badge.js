// @ts-check
/** The state of an archive, a run or a segment: a shape, a word and a colour, so that none of them stands alone. */
import { h, setAttribute, setText, svg } from './dom.js';

const SHAPES = {
  check: 'M3.5 8.5l3 3 6-7',
  cross: 'M4.500 4.500l7 7m0-7l-7 7',
  play: 'M5.500 3.500v9l7-4.500z',
  clock: 'M8 4v4.500l3 1.500M8 1.800a6.200 6.200 0 1 0 0 12.400a6.200 6.200 0 1 0 0-12.400',
  pause: 'M5.500 4v8m5-8v8',
  ring: 'M8 3.500a4.500 4.500 0 1 0 0 9a4.500 4.500 0 1 0 0-9',
  skip: 'M4 4l5 4-5 4m7-8v8',
};

/**
 * @import { RunDetail, SegmentDetail } from '../../view/run-detail.ts'
 * @import { Word } from './trouble.js'
 * @typedef {Word | RunDetail['status'] | SegmentDetail['state']} Status
 * @typedef {{ words: string, shape: keyof typeof SHAPES, tone: 'good' | 'busy' | 'warn' | 'bad' | 'held' | 'none' }} Look
 */

/**
 * What the API calls a state -> how it looks.
 * @type {Record<Status, Look>}
 */
const LOOKS = {
  ok: { words: 'OK', shape: 'check', tone: 'good' },
  running: { words: 'Running', shape: 'play', tone: 'busy' },
  standby: { words: 'Standby', shape: 'clock', tone: 'none' },
  late: { words: 'Late', shape: 'clock', tone: 'warn' },
  failing: { words: 'Failing', shape: 'cross', tone: 'bad' },
  never: { words: 'Never ran', shape: 'ring', tone: 'none' },
  damaged: { words: 'Damaged', shape: 'cross', tone: 'bad' },
  held: { words: 'Purge held', shape: 'pause', tone: 'warn' },
  paused: { words: 'Paused', shape: 'pause', tone: 'held' },
  committed: { words: 'Committed', shape: 'check', tone: 'good' },
  failed: { words: 'Failed', shape: 'cross', tone: 'bad' },
  skipped: { words: 'Skipped', shape: 'skip', tone: 'none' },
  waiting: { words: 'Waiting', shape: 'clock', tone: 'none' },
  done: { words: 'Done', shape: 'check', tone: 'good' },
  unfinished: { words: 'Unfinished', shape: 'clock', tone: 'warn' },
};

/** @param {Status} state */
export function stateWords(state) {
  return lookOf(state).words;
}

/** @param {Status} state */
export function tone(state) {
  return lookOf(state).tone;
}

/**
 * A badge that can be given another state.
 * @param {Status} state
 */
export function createBadge(state) {
  const path = svg('path');
  const word = h('span');
  const picture = svg('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' }, path);
  const element = h('span', { class: 'badge pill tinted' }, picture, word);
  const update = (/** @type {Status} */ next) => {
    const look = lookOf(next);
    setText(word, look.words);
    setAttribute(element, 'data-tone', look.tone);
    setAttribute(path, 'd', SHAPES[look.shape]);
  };
  update(state);
  return { element, update };
}

/** @param {Status} state */
export function badge(state) {
  return createBadge(state).element;
}

/**
 * A page that is older than the daemon may meet a state that it does not know.
 * @param {Status} state
 * @returns {Look}
 */
function lookOf(state) {
  return Object.hasOwn(LOOKS, state) ? LOOKS[state] : { words: state, shape: 'ring', tone: 'none' };
}
