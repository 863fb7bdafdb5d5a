// @ts-check
/** What has been: a table of runs, and small charts of them. */
import { ApiError, request } from './connection.js';
import { h, setChildren, setText } from './dom.js';
import { count, plural } from './format.js';
import { chartCards } from './history-charts.js';
import { createHistoryTable } from './history-table.js';
import { encode, historyPath } from './paths.js';
import { cut } from './text.js';

/**
 * @import { RunEnding } from '../../run-ending.ts'
 * @import { State } from '../../view/state.ts'
 */

const LIMIT = 500;
const PAGE_ROWS = 15;
const MOST_OF_A_NAME = 80;
const RETRY_MS = 10_000;

/**
 * `onRuns` gets all runs that were loaded without a filter.
 * @param {{ onRuns: (runs: RunEnding[]) => void }} listeners
 */
export function createHistoryPanel({ onRuns }) {
  const select = createSelect();
  const charts = h('div', { class: 'history-charts' });
  const problem = h('p', { class: 'problem tinted', 'data-tone': 'bad', role: 'alert', hidden: true });
  const table = createHistoryTable();
  const more = h('button', { type: 'button', class: 'more', onclick: () => show(shown + PAGE_ROWS) }, 'Show more');
  const nothing = h('p', { class: 'empty', hidden: true });
  const note = h('p', { class: 'note' });
  const title = h('h2', { id: 'history-title', tabindex: -1 }, 'History');
  const label = h('label', { for: 'history-archive', class: 'sr-only' }, 'Archive');
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'history-title', id: 'history' },
    h('div', { class: 'panel-head row' }, title, note, label, select.element),
    problem,
    charts,
    table.element,
    nothing,
    more,
  );
  let archive = '';
  /** @type {RunEnding[]} */
  let runs = [];
  let shown = PAGE_ROWS;
  let asked = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retryTimer;
  /** @type {string | undefined} */
  let loadedKey;

  const load = async () => {
    const mine = (asked += 1);
    clearTimeout(retryTimer);
    try {
      const filter = archive === '' ? '' : `&archive=${encode(archive)}`;
      const answer = /** @type {{ runs: RunEnding[] }} */ (await request(`/api/history?limit=${LIMIT}${filter}`));
      if (mine !== asked) return;
      ({ runs } = answer);
      if (archive === '') onRuns(runs);
      show(shown);
      problem.hidden = true;
    } catch (error) {
      if (mine !== asked) return;
      setText(problem, `The history could not be loaded: ${cut(ApiError.from(error).text, 300)}.`);
      problem.hidden = false;
      retryTimer = setTimeout(() => void load(), RETRY_MS);
    }
  };
  /** Asks again whenever a run has begun or ended. */
  const update = (/** @type {State} */ { archives }) => {
    select.setArchives(archives.map(({ name }) => name));
    const key = JSON.stringify(
      archives.map(({ lastSuccess, lastFailure, current }) => [lastSuccess?.run, lastFailure?.run, current?.run]),
    );
    if (key !== loadedKey) void load();
    loadedKey = key;
  };
  const show = (/** @type {number} */ rows) => {
    shown = rows;
    setChildren(charts, chartCards(runs, archive));
    table.update(runs.slice(0, shown));
    nothing.hidden = runs.length > 0;
    const whose = archive === '' ? 'No run has ended yet.' : `No run of ${cut(archive, MOST_OF_A_NAME)} has ended yet.`;
    setText(nothing, archive === '' ? `${whose} The first one appears here.` : whose);
    more.hidden = runs.length <= shown;
    setText(
      note,
      runs.length === LIMIT ? `the last ${count(LIMIT)} runs` : runs.length > 0 ? plural(runs.length, 'run') : '',
    );
  };
  const filter = (/** @type {string} */ name) => {
    select.choose(name);
    if (name === archive) return;
    archive = name;
    shown = PAGE_ROWS;
    void load();
  };
  return { element, update, filter };
}

/** The choice of an archive; choosing one changes the address. One that is not in the config can be chosen by its address. */
function createSelect() {
  const go = () => {
    window.location.hash = historyPath(element.value);
  };
  const element = h('select', { id: 'history-archive', class: 'last', onchange: go });
  /** @type {string[]} */
  let names = [];
  let chosen = '';
  /** @type {string | undefined} */
  let shown;
  const show = () => {
    const all = chosen === '' || names.includes(chosen) ? names : [...names, chosen];
    const key = JSON.stringify(all);
    if (key !== shown) {
      const options = all.map((name) => h('option', { value: name, title: name }, cut(name, MOST_OF_A_NAME)));
      setChildren(element, [h('option', { value: '' }, 'All archives'), ...options]);
    }
    shown = key;
    element.value = chosen;
  };
  const setArchives = (/** @type {string[]} */ changed) => {
    names = changed;
    show();
  };
  const choose = (/** @type {string} */ name) => {
    chosen = name;
    show();
  };
  return { element, setArchives, choose };
}
