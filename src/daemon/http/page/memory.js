// @ts-check
/** The picture that the tool is about: what memory is in use, against what may be, while rows go through. */
import { h, setText } from './dom.js';
import { bytes, count, plural, rate } from './format.js';
import { createMemoryChart } from './memory-chart.js';

/** @import { State } from '../../view/state.ts' */

export function createMemoryPanel() {
  const chart = createMemoryChart();
  const rss = createFigure('Process memory');
  const heap = createFigure('Largest worker heap');
  const throughput = createFigure('Throughput');
  const threads = createFigure('Threads');
  const figures = [rss, heap, throughput, threads].map((figure) => figure.element);
  const waiting = h('p', { class: 'empty' }, 'The chart begins with the second sample.');
  const title = h('h2', { id: 'memory-title' }, 'Memory');
  const note = h('p', { class: 'note' }, 'Flat, whatever the number of rows');
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'memory-title' },
    h('div', { class: 'panel-head row' }, title, note),
    h('dl', { class: 'figures inset' }, figures),
    chart.element,
    waiting,
  );

  const update = (/** @type {State} */ { memory, queue, archives }) => {
    const largest = memory.workers.toSorted((a, b) => b.heapBytes - a.heapBytes)[0];
    const perSecond = archives.reduce((sum, { current }) => sum + (current?.rowsPerSecond ?? 0), 0);
    rss.update(bytes(memory.rssBytes), ofLimit(memory.rssBytes, memory.rssLimitBytes));
    if (largest === undefined) heap.update('idle', '');
    else heap.update(bytes(largest.heapBytes), ofLimit(largest.heapBytes, largest.heapLimitBytes));
    throughput.update(rate(perSecond), 'rows, all runs');
    threads.update(`${count(queue.active)} of ${count(queue.threads)}`, queueNote(queue));
    chart.element.hidden = memory.samples.length < 2;
    waiting.hidden = !chart.element.hidden;
    chart.update(memory);
  };
  return { element, update };
}

/** @param {string} label */
function createFigure(label) {
  const value = h('dd', { class: 'big' });
  const note = h('dd', { class: 'note' });
  const update = (/** @type {string} */ text, /** @type {string} */ detail) => {
    setText(value, text);
    setText(note, detail);
  };
  return { element: h('div', {}, h('dt', { class: 'note' }, label), value, note), update };
}

/** @param {State['queue']} queue */
function queueNote({ active, waiting }) {
  if (waiting > 0) return `busy, ${plural(waiting, 'segment')} waiting`;
  return active > 0 ? 'busy, nothing waits' : 'idle';
}

/**
 * @param {number} used
 * @param {number} limit
 */
function ofLimit(used, limit) {
  return `${Math.round((used / limit) * 100)}% of ${bytes(limit)}`;
}
