/** What each worker thread has on its heap, against what it may have. */
import { h, setAttribute, setChildren, setText } from './dom.js';
import { bytes } from './format.js';

export function createWorkersList() {
  const list = h('ul', { class: 'workers' });
  const element = h('div', { class: 'workers-part' }, h('h3', { class: 'label' }, 'Worker heaps'), list);
  const lines = new Map();
  const update = (workers) => {
    setChildren(list, workerLines(lines, workers));
    element.hidden = workers.length === 0;
  };
  return { element, update };
}

/** One line a worker; lines are kept, so that a meter moves instead of being made again. */
function workerLines(lines, workers) {
  return workers.map((worker, index) => {
    const line = lines.get(index) ?? createWorkerLine();
    lines.set(index, line);
    line.update(worker, index);
    return line.element;
  });
}

function createWorkerLine() {
  const name = h('span', { class: 'worker-name' });
  const bar = h('i');
  const meter = h('span', { class: 'meter', 'aria-hidden': 'true' }, bar);
  const text = h('span', { class: 'worker-heap' });
  return {
    element: h('li', {}, name, meter, text),
    update: ({ archive, segment, heapBytes, heapLimitBytes }, index) => {
      const share = heapLimitBytes > 0 ? Math.min(1, heapBytes / heapLimitBytes) : 0;
      setText(
        name,
        archive === null || archive === undefined ? `worker ${index + 1}: idle` : `${archive}, segment ${segment}`,
      );
      setAttribute(name, 'title', name.textContent);
      bar.style.inlineSize = `${(share * 100).toFixed(1)}%`;
      setText(text, `${bytes(heapBytes)} of ${bytes(heapLimitBytes)}`);
    },
  };
}
