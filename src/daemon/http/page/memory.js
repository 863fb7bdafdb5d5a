/** The picture that the tool is about: what memory is in use, against what may be, while rows go through. */
import { createMemoryChart } from './charts.js';
import { h, setText } from './dom.js';
import { bytes, count, plural, rate } from './format.js';

export function createMemoryPanel() {
  const chart = createMemoryChart();
  const figures = ['Process memory', 'Largest worker heap', 'Throughput', 'Threads'].map(createFigure);
  const [rss, heap, throughput, threads] = figures;
  const waiting = h('p', { class: 'empty' }, 'The chart begins with the second sample.');
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'memory-title' },
    h(
      'div',
      { class: 'panel-head' },
      h('h2', { id: 'memory-title' }, 'Memory'),
      h('p', { class: 'note' }, 'Flat, whatever the number of rows'),
    ),
    h(
      'dl',
      { class: 'figures' },
      figures.map((figure) => figure.element),
    ),
    chart.element,
    waiting,
  );

  const update = ({ memory, queue, archives }) => {
    const largest = memory.workers.toSorted((a, b) => b.heapBytes - a.heapBytes)[0];
    const perSecond = archives.reduce((sum, { current }) => sum + (current?.rowsPerSecond ?? 0), 0);
    rss.update(bytes(memory.rssBytes), ofLimit(memory.rssBytes, memory.rssLimitBytes));
    heap.update(
      largest === undefined ? 'idle' : bytes(largest.heapBytes),
      largest === undefined ? '' : ofLimit(largest.heapBytes, largest.heapLimitBytes),
    );
    throughput.update(rate(perSecond), 'rows, all runs');
    threads.update(`${count(queue.active)} of ${count(queue.threads)}`, queueNote(queue));
    chart.element.hidden = memory.samples.length < 2;
    waiting.hidden = !chart.element.hidden;
    chart.update(memory);
  };
  return { element, update };
}

function createFigure(label) {
  const value = h('dd');
  const note = h('dd', { class: 'note' });
  return {
    element: h('div', {}, h('dt', {}, label), value, note),
    update: (text, detail) => {
      setText(value, text);
      setText(note, detail);
    },
  };
}

function queueNote({ active, waiting }) {
  if (waiting > 0) return `busy, ${plural(waiting, 'segment')} waiting`;
  return active > 0 ? 'busy, nothing waits' : 'idle';
}

function ofLimit(used, limit) {
  if (typeof limit !== 'number' || limit <= 0) return 'no limit is set';
  return `${Math.round((used / limit) * 100)}% of ${bytes(limit)}`;
}
