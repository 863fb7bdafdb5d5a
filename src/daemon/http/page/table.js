// @ts-check
/** A table whose rows become cards on a phone: each cell carries the name of its column. */
import { h } from './dom.js';

/**
 * @import { Child } from './dom.js'
 * @typedef {{ label: string, isFigure?: boolean }} Column
 */

/**
 * @param {string} caption for those who do not see what is around it
 * @param {readonly Column[]} columns
 */
export function createTable(caption, columns) {
  const body = h('tbody');
  const head = columns.map(({ label, isFigure }) =>
    h('th', { scope: 'col', class: isFigure ? 'note figure' : 'note' }, label),
  );
  const element = h('table', {}, h('caption', { class: 'sr-only' }, caption), h('thead', {}, h('tr', {}, head)), body);
  return { element, body };
}

/**
 * @param {readonly Column[]} columns
 * @param {readonly Child[]} cells
 */
export function tableRow(columns, cells) {
  const cell = (/** @type {Column} */ { label, isFigure }, /** @type {number} */ index) =>
    h('td', { 'data-label': label, class: isFigure ? 'figure' : '' }, cells[index]);
  return h('tr', {}, columns.map(cell));
}
