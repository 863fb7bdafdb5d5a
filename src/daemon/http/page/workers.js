// @ts-check
/** What each worker thread has on its heap, against what it may have. */
import { h, setAttribute, setChildren, setText } from './dom.js';
import { bytes } from './format.js';
import { cut } from './text.js';

/** @import { WorkerState } from '../../view/state.ts' */

const MOST_OF_A_NAME = 200;

export function createWorkersList() {
  const list = h('ul');
  const element = h('div', { class: 'workers-part' }, h('h3', { class: 'note' }, 'Worker heaps'), list);
  /** @type {ReturnType<typeof createWorkerLine>[]} */
  const lines = [];
  const update = (/** @type {WorkerState[]} */ workers) => {
    // Lines are kept, so that a meter moves instead of being made again.
    while (lines.length < workers.length) lines.push(createWorkerLine());
    const shown = lines.slice(0, workers.length);
    workers.forEach((worker, index) => shown[index]?.update(worker));
    setChildren(
      list,
      shown.map((line) => line.element),
    );
    element.hidden = workers.length === 0;
  };
  return { element, update };
}

function createWorkerLine() {
  const name = h('span', { class: 'clip' });
  const bar = h('i');
  const text = h('span', { class: 'note' });
  const element = h('li', { class: 'worker' }, name, h('span', { class: 'meter', 'aria-hidden': 'true' }, bar), text);
  const update = (/** @type {WorkerState} */ { archive, segment, heapBytes, heapLimitBytes }) => {
    setText(name, `${cut(archive, MOST_OF_A_NAME)}, segment ${segment}`);
    setAttribute(name, 'title', `${archive}, segment ${segment}`);
    bar.style.inlineSize = `${(Math.min(1, heapBytes / heapLimitBytes) * 100).toFixed(1)}%`;
    setText(text, `${bytes(heapBytes)} of ${bytes(heapLimitBytes)}`);
  };
  return { element, update };
}
