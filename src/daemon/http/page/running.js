// @ts-check
/** The runs in progress, live. */
import { createBadge } from './badge.js';
import { h, setAttribute, setChildren, setText } from './dom.js';
import { bytes, count, countdown, duration, NOTHING, rate } from './format.js';
import { createHostsList } from './hosts.js';
import { runPath } from './paths.js';
import { cut } from './text.js';
import { createWorkersList } from './workers.js';

/** @import { ArchiveState, CurrentRun, State } from '../../view/state.ts' */

const MOST_OF_A_NAME = 200;

/** The panel of all runs in progress. `tick` gets the daemon's time in milliseconds, each second. */
export function createRunningPanel() {
  const list = h('ul', { class: 'runs stack' });
  const idle = h('p', { class: 'empty' });
  const title = h('h2', { id: 'running-title' }, 'Running now');
  const workers = createWorkersList();
  const hosts = createHostsList();
  /** @type {Map<string, ReturnType<typeof createRunRow>>} */
  const rows = new Map();
  /** @type {ReturnType<typeof nextOf>} */
  let next;
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'running-title' },
    h('div', { class: 'panel-head row' }, title),
    list,
    idle,
    workers.element,
    hosts.element,
  );

  const update = (/** @type {State} */ state) => {
    const { archives, memory } = state;
    const running = archives
      .flatMap(({ name, current }) => (current === null ? [] : [{ name, current }]))
      .sort((a, b) => ORDER.indexOf(a.current.status) - ORDER.indexOf(b.current.status));
    const names = new Set(running.map(({ name }) => name));
    for (const name of rows.keys()) if (!names.has(name)) rows.delete(name);
    const elements = running.map(({ name, current }) => {
      const row = rows.get(name) ?? createRunRow(name);
      rows.set(name, row);
      row.update(current);
      return row.element;
    });
    setChildren(list, elements);
    list.hidden = running.length === 0;
    idle.hidden = running.length > 0;
    workers.update(memory.workers);
    hosts.update(state);
    next = nextOf(archives);
  };
  const tick = (/** @type {number} */ now) => {
    if (idle.hidden) return;
    const coming =
      next === undefined
        ? 'Nothing is running, and nothing is scheduled.'
        : `Nothing is running. Next is ${cut(next.name, MOST_OF_A_NAME)}, ${countdown((next.at - now) / 1000)}.`;
    setText(idle, coming);
  };
  return { element, update, tick };
}

/** @type {CurrentRun['status'][]} */
const ORDER = ['running', 'waiting', 'standby'];

/** @param {ArchiveState[]} archives */
function nextOf(archives) {
  return archives
    .flatMap(({ name, nextSlot, paused }) => (nextSlot === null || paused ? [] : [{ name, at: Date.parse(nextSlot) }]))
    .sort((a, b) => a.at - b.at)[0];
}

const FACTS = ['Segments', 'Rows', 'Speed', 'Time left', 'Stored', 'Elapsed'];

/** @param {string} name */
function createRunRow(name) {
  const link = h('a', { class: 'mono' });
  const state = createBadge('waiting');
  const host = h('span', { class: 'note clip' });
  const bar = h('i');
  const aria = { 'aria-label': `Progress of ${cut(name, MOST_OF_A_NAME)}`, 'aria-valuemin': 0, 'aria-valuemax': 100 };
  const track = h('div', { class: 'meter progress', role: 'progressbar', ...aria }, bar);
  const percent = h('span', { class: 'big last' });
  const values = FACTS.map(() => h('dd'));
  const list = h(
    'dl',
    { class: 'facts' },
    FACTS.map((label, index) => h('div', {}, h('dt', { class: 'note' }, label), values[index])),
  );
  const stall = h('p', { class: 'note clamp' });
  const title = h('h3', { class: 'clamp', title: name }, cut(name, MOST_OF_A_NAME));
  const element = h(
    'li',
    {},
    h('div', { class: 'run-head row' }, title, link, state.element, host, percent),
    track,
    stall,
    list,
  );
  const update = (/** @type {CurrentRun} */ run) => {
    const done = Math.max(0, Math.min(100, run.percent));
    setText(link, run.run);
    setAttribute(link, 'href', runPath(name, run.run));
    state.element.hidden = run.status === 'running';
    state.update(run.status);
    setText(host, cut(hostOf(run), MOST_OF_A_NAME));
    track.hidden = list.hidden = run.status !== 'running';
    stall.hidden = run.stalled === null && run.pause === null;
    setText(stall, stallOf(run));
    bar.style.inlineSize = `${done.toFixed(1)}%`;
    setAttribute(track, 'aria-valuenow', String(Math.floor(done)));
    setText(percent, run.status === 'running' ? `${Math.floor(done)}%` : '');
    factsOf(run).forEach((fact, index) => {
      const value = values[index];
      if (value !== undefined) setText(value, fact);
    });
  };
  return { element, update };
}

/** @param {CurrentRun} run */
function stallOf({ stalled, pause }) {
  if (pause !== null) {
    const hint = pause.hint === null ? '' : ` ${cut(pause.hint, MOST_OF_A_NAME)}`;
    return `Paused for ${duration(pause.seconds)} by its pace: ${cut(pause.message, MOST_OF_A_NAME)}.${hint}`;
  }
  if (stalled === null) return '';
  return `Nothing has moved for ${duration(stalled.seconds)}. It waits for ${cut(stalled.waitsFor.join('; '), MOST_OF_A_NAME)}.`;
}

/**
 * The other host that has the run, or that had it before.
 * @param {CurrentRun} run
 */
function hostOf({ status, holder, takenUpFrom }) {
  if (status === 'standby') return `in progress on ${holder ?? 'another host'}`;
  return takenUpFrom === null ? '' : `taken up from ${takenUpFrom}`;
}

/**
 * In the order of FACTS.
 * @param {CurrentRun} run
 */
function factsOf(run) {
  const isPlanned = run.segments > 0;
  return [
    isPlanned ? `${count(run.segmentsDone)} of ${count(run.segments)}` : 'being planned',
    isPlanned ? `${count(run.rows)} of ~${count(run.estimatedRows)}` : NOTHING,
    run.rowsPerSecond === 0 ? NOTHING : rate(run.rowsPerSecond),
    duration(run.etaSeconds),
    `${bytes(run.bytes)} from ${bytes(run.jsonBytes)}`,
    duration(run.elapsedSeconds),
  ];
}
