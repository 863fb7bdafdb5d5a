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

/** What the API calls a state -> the words for it, its shape and its tone. */
const KINDS = {
  ok: ['OK', 'check', 'good'],
  running: ['Running', 'play', 'busy'],
  late: ['Late', 'clock', 'warn'],
  failing: ['Failing', 'cross', 'bad'],
  never: ['Never ran', 'ring', 'none'],
  paused: ['Paused', 'pause', 'held'],
  committed: ['Committed', 'check', 'good'],
  'already-committed': ['Committed', 'check', 'good'],
  failed: ['Failed', 'cross', 'bad'],
  skipped: ['Skipped', 'skip', 'none'],
  waiting: ['Waiting', 'clock', 'none'],
  done: ['Done', 'check', 'good'],
  unfinished: ['Unfinished', 'clock', 'warn'],
};

/** How urgent an archive's state is; the first comes first. */
export const URGENCY = ['failing', 'late', 'running', 'never', 'paused', 'ok'];

export function stateWords(state) {
  return KINDS[state]?.[0] ?? String(state);
}

export function tone(state) {
  return KINDS[state]?.[2] ?? 'none';
}

/** A badge that can be given another state. */
export function createBadge(state) {
  const path = svg('path', {});
  const word = h('span');
  const element = h(
    'span',
    { class: 'badge' },
    svg('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' }, path),
    word,
  );
  const update = (next) => {
    setText(word, stateWords(next));
    setAttribute(element, 'data-tone', tone(next));
    setAttribute(path, 'd', SHAPES[KINDS[next]?.[1] ?? 'ring']);
  };
  update(state);
  return { element, update };
}

export function badge(state) {
  return createBadge(state).element;
}
