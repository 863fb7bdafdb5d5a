// @ts-check
/** The segments of a run: as tiles, which show the run at a glance, and as a table. */
import { badge, stateWords, tone } from './badge.js';
import { h, setChildren, setText } from './dom.js';
import { failureLines } from './failure.js';
import { bytes, count, plural } from './format.js';
import { createTable, tableRow } from './table.js';

/** @import { RunDetail, SegmentDetail } from '../../view/run-detail.ts' */

/** Segments of one answer. */
const MOST_SHOWN = 1000;
const COLUMNS = [
  { label: 'Segment' },
  { label: 'State' },
  { label: 'Attempts', isFigure: true },
  { label: 'Rows', isFigure: true },
  { label: 'Stored', isFigure: true },
];

/**
 * Of many segments a part is shown.
 * @param {(from: number) => void} onPart asked for the part that begins with this segment
 */
export function createSegmentsPanel(onPart) {
  const note = h('p', { class: 'note' });
  const tiles = h('div', { class: 'tiles row', role: 'img' });
  const table = createTable('Segments of this run', COLUMNS);
  const nothing = h('p', { class: 'empty' }, 'No segments are known of this run.');
  const title = h('h2', { id: 'segments-title' }, 'Segments');
  const pager = h('nav', { class: 'pager row', 'aria-label': 'Parts of the segments', hidden: true });
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'segments-title' },
    h('div', { class: 'panel-head row' }, title, note),
    tiles,
    table.element,
    pager,
    nothing,
  );
  const update = (/** @type {RunDetail} */ { segments, segmentsTotal: total, segmentsDone: done }) => {
    setText(note, total === 0 ? '' : `${count(done)} of ${count(total)} done`);
    setChildren(tiles, segments.map(tile));
    tiles.setAttribute('aria-label', `${count(done)} of ${plural(total, 'segment')} done`);
    pager.hidden = segments.length === total;
    setChildren(pager, pager.hidden ? [] : pagerOf(segments, total, onPart));
    tiles.hidden = segments.length < 2;
    setChildren(table.body, segments.flatMap(segmentRows));
    table.element.hidden = segments.length === 0;
    nothing.hidden = segments.length > 0;
  };
  return { element, update };
}

/**
 * @param {readonly SegmentDetail[]} segments
 * @param {number} total
 * @param {(from: number) => void} onPart
 */
function pagerOf(segments, total, onPart) {
  const first = segments[0]?.index ?? 0;
  const next = first + segments.length;
  const button = (/** @type {string} */ text, /** @type {number} */ from, /** @type {boolean} */ disabled) =>
    h('button', { type: 'button', disabled, onclick: () => onPart(from) }, text);
  return [
    button('Earlier', Math.max(0, first - MOST_SHOWN), first === 0),
    h('p', { class: 'note' }, `${count(first)} to ${count(next - 1)} of ${plural(total, 'segment')}`),
    button('Later', next, next >= total || segments.length === 0),
  ];
}

/** @param {SegmentDetail} segment */
function tile({ index, state }) {
  return h('i', { 'data-tone': tone(state), title: `${index}: ${stateWords(state)}` });
}

/** @param {SegmentDetail} segment */
function segmentRows({ index, state, attempts, rows, bytes: size, error }) {
  const row = tableRow(COLUMNS, [String(index), badge(state), count(attempts), count(rows), bytes(size)]);
  if (error === null) return [row];
  return [row, h('tr', { class: 'of-above' }, h('td', { colspan: COLUMNS.length }, failureLines(error)))];
}
