/** The runs that are on, live. */
import { badge } from './badge.js';
import { h, setAttribute, setChildren, setText } from './dom.js';
import { bytes, count, countdown, duration, NOTHING, rate } from './format.js';
import { createWorkersList } from './workers.js';

/** The panel of all runs that are on. `tick` gets the daemon's time in milliseconds, each second. */
export function createRunningPanel() {
  const list = h('ul', { class: 'runs' });
  const idle = h('p', { class: 'empty' });
  const title = h('h2', { id: 'running-title' }, 'Running now');
  const workers = createWorkersList();
  const rows = new Map();
  let next;
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'running-title' },
    h('div', { class: 'panel-head' }, title),
    list,
    idle,
    workers.element,
  );

  const update = ({ archives, memory }) => {
    const running = archives.filter(({ current }) => current !== null).sort((a, b) => isWaiting(a) - isWaiting(b));
    for (const name of rows.keys()) if (!running.some((archive) => archive.name === name)) rows.delete(name);
    setChildren(
      list,
      running.map((archive) => {
        const row = rows.get(archive.name) ?? createRunRow(archive.name);
        rows.set(archive.name, row);
        row.update(archive.current);
        return row.element;
      }),
    );
    list.hidden = running.length === 0;
    idle.hidden = running.length > 0;
    workers.update(memory.workers);
    next = nextOf(archives);
  };
  const tick = (now) => {
    if (idle.hidden) return;
    setText(
      idle,
      next === undefined
        ? 'Nothing is running, and nothing is scheduled.'
        : `Nothing is running. Next is ${next.name}, ${countdown((next.at - now) / 1000)}.`,
    );
  };
  return { element, update, tick };
}

function isWaiting({ current }) {
  return Number(current.status === 'waiting');
}

function nextOf(archives) {
  return archives
    .filter(({ nextSlot, paused }) => nextSlot !== null && !paused)
    .map(({ name, nextSlot }) => ({ name, at: Date.parse(nextSlot) }))
    .sort((a, b) => a.at - b.at)[0];
}

function createRunRow(name) {
  const link = h('a', { class: 'mono' });
  const waiting = badge('waiting');
  const bar = h('i');
  const track = h(
    'div',
    {
      class: 'progress',
      role: 'progressbar',
      'aria-label': `Progress of ${name}`,
      'aria-valuemin': '0',
      'aria-valuemax': '100',
    },
    bar,
  );
  const percent = h('span', { class: 'percent' });
  const facts = ['Segments', 'Rows', 'Speed', 'Time left', 'Stored', 'Elapsed'].map((label) => ({
    label,
    value: h('dd'),
  }));
  const list = h(
    'dl',
    { class: 'facts' },
    facts.map(({ label, value }) => h('div', {}, h('dt', {}, label), value)),
  );
  const element = h('li', {}, h('div', { class: 'run-head' }, h('h3', {}, name), link, waiting, percent), track, list);
  const update = (run) => {
    const done = Math.max(0, Math.min(100, run.percent ?? 0));
    setText(link, run.run);
    setAttribute(link, 'href', runPath(name, run.run));
    waiting.hidden = run.status !== 'waiting';
    track.hidden = list.hidden = !waiting.hidden;
    bar.style.inlineSize = `${done.toFixed(1)}%`;
    setAttribute(track, 'aria-valuenow', String(Math.floor(done)));
    setText(percent, run.status === 'waiting' ? '' : `${Math.floor(done)}%`);
    const texts = [
      run.segments === 0 ? 'being planned' : `${count(run.segmentsDone)} of ${count(run.segments)}`,
      run.segments === 0 ? NOTHING : `${count(run.rows)} of ~${count(run.estimatedRows)}`,
      !run.rowsPerSecond ? NOTHING : rate(run.rowsPerSecond),
      run.etaSeconds === null ? NOTHING : duration(run.etaSeconds),
      `${bytes(run.bytes)} from ${bytes(run.jsonBytes)}`,
      duration(run.elapsedSeconds),
    ];
    facts.forEach(({ value }, index) => setText(value, texts[index]));
  };
  return { element, update };
}

/** The address of a run's own page. */
export function runPath(archive, run) {
  return `#/runs/${encodeURIComponent(archive)}/${encodeURIComponent(run)}`;
}
