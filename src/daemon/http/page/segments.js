// @ts-check
/** The segments of a run: as tiles, which show the run at a glance, and as a table. */
import { badge, stateWords, tone } from './badge.js';
import { h, setChildren, setText } from './dom.js';
import { failureLines } from './failure.js';
import { bytes, count, plural } from './format.js';
import { createTable, tableRow } from './table.js';

/** @import { SegmentDetail } from '../../view/run-detail.ts' */

const COLUMNS = [
  { label: 'Segment' },
  { label: 'State' },
  { label: 'Attempts', isFigure: true },
  { label: 'Rows', isFigure: true },
  { label: 'Stored', isFigure: true },
];

export function createSegmentsPanel() {
  const note = h('p', { class: 'note' });
  const tiles = h('div', { class: 'tiles row', role: 'img' });
  const table = createTable('Segments of this run', COLUMNS);
  const nothing = h('p', { class: 'empty' }, 'No segments are known of this run.');
  const title = h('h2', { id: 'segments-title' }, 'Segments');
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'segments-title' },
    h('div', { class: 'panel-head row' }, title, note),
    tiles,
    table.element,
    nothing,
  );
  const update = (/** @type {SegmentDetail[]} */ segments) => {
    const done = segments.filter(({ state }) => state === 'done').length;
    setText(note, segments.length === 0 ? '' : `${count(done)} of ${count(segments.length)} done`);
    setChildren(tiles, segments.map(tile));
    tiles.setAttribute('aria-label', `${count(done)} of ${plural(segments.length, 'segment')} done`);
    tiles.hidden = segments.length < 2;
    setChildren(table.body, segments.flatMap(segmentRows));
    table.element.hidden = segments.length === 0;
    nothing.hidden = segments.length > 0;
  };
  return { element, update };
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
