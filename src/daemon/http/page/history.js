/** What has been: a table of runs, and for each archive small charts of duration, rows and bytes. */
import { badge, stateWords, tone } from './badge.js';
import { bars } from './charts.js';
import { request } from './connection.js';
import { h, setChildren, setText, time } from './dom.js';
import { bytes, compact, count, dateTime, duration, plural, rate } from './format.js';
import { runPath } from './running.js';

const LIMIT = 500;
const PAGE_ROWS = 15;
const CHART_RUNS = 24;
const CHART_ARCHIVES = 6;

const MEASURES = [
  { label: 'Duration', of: (run) => run.seconds, format: duration },
  { label: 'Rows', of: (run) => run.rows, format: compact },
  { label: 'Stored', of: (run) => run.bytes, format: bytes },
];

const COLUMNS = ['Archive', 'Run', 'Status', 'Duration', 'Rows', 'Stored', 'Speed', 'Finished'];

/** `onRuns` gets all runs that were loaded without a filter. */
export function createHistoryPanel({ onRuns }) {
  const select = h('select', { id: 'history-archive', onchange: () => go(select.value) });
  const charts = h('div', { class: 'history-charts' });
  const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  const body = h('tbody');
  const table = createTable(body);
  const more = h('button', { type: 'button', class: 'more', onclick: () => show(shown + PAGE_ROWS) }, 'Show more');
  const nothing = h('p', { class: 'empty', hidden: true });
  const note = h('p', { class: 'note' });
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'history-title', id: 'history' },
    h(
      'div',
      { class: 'panel-head' },
      h('h2', { id: 'history-title', tabindex: '-1' }, 'History'),
      note,
      h('label', { for: 'history-archive', class: 'sr-only' }, 'Archive'),
      select,
    ),
    problem,
    charts,
    table,
    nothing,
    more,
  );
  let archive = '';
  let runs = [];
  let shown = PAGE_ROWS;
  let names;
  let asked = 0;

  const go = (name) => {
    window.location.hash = name === '' ? '#/' : `#/history/${encodeURIComponent(name)}`;
  };
  const load = async () => {
    const mine = (asked += 1);
    try {
      const answer = await request(
        `/api/history?limit=${LIMIT}${archive === '' ? '' : `&archive=${encodeURIComponent(archive)}`}`,
      );
      if (mine !== asked) return;
      ({ runs } = answer);
      problem.hidden = true;
      if (archive === '') onRuns(runs);
      show(shown);
    } catch (error) {
      if (mine !== asked) return;
      setText(problem, `The history could not be loaded: ${error.message}.`);
      problem.hidden = false;
    }
  };
  const show = (rows) => {
    shown = rows;
    setChildren(charts, chartCards(runs, archive));
    setChildren(body, runs.slice(0, shown).map(historyRow));
    table.hidden = runs.length === 0;
    nothing.hidden = runs.length > 0;
    setText(
      nothing,
      archive === '' ? 'No run has ended yet. The first one appears here.' : `No run of ${archive} has ended yet.`,
    );
    more.hidden = runs.length <= shown;
    setText(
      note,
      runs.length === 0 ? '' : runs.length === LIMIT ? `the last ${count(LIMIT)} runs` : plural(runs.length, 'run'),
    );
  };
  const setArchives = (list) => {
    const key = list.join('\n');
    if (key === names) return;
    names = key;
    const known = archive === '' || list.includes(archive) ? list : [...list, archive];
    setChildren(select, [
      h('option', { value: '' }, 'All archives'),
      ...known.map((name) => h('option', { value: name }, name)),
    ]);
    select.value = archive;
  };
  const filter = (name) => {
    if (name === archive) return;
    archive = name;
    shown = PAGE_ROWS;
    if (![...select.options].some((option) => option.value === name)) select.append(h('option', { value: name }, name));
    select.value = name;
    load();
  };
  return { element, load, filter, setArchives };
}

function createTable(body) {
  const head = h(
    'tr',
    {},
    COLUMNS.map((label, index) => h('th', { scope: 'col', class: isFigure(index) ? 'figure' : undefined }, label)),
  );
  return h(
    'div',
    { class: 'table' },
    h(
      'table',
      {},
      h('caption', { class: 'sr-only' }, 'Runs that have ended, latest first'),
      h('thead', {}, head),
      body,
    ),
  );
}

function isFigure(index) {
  return index >= 3 && index <= 6;
}

function historyRow(run) {
  const speed = run.seconds > 0 && run.rows > 0 ? rate(run.rows / run.seconds) : rate(undefined);
  const cells = [
    h('span', { class: 'name', title: run.archive }, run.archive),
    h('a', { class: 'mono', href: runPath(run.archive, run.run) }, run.run),
    statusCell(run),
    duration(run.seconds),
    count(run.rows),
    bytes(run.bytes),
    speed,
    run.finishedAt === null ? '' : time(run.finishedAt, dateTime(run.finishedAt)),
  ];
  return h(
    'tr',
    {},
    cells.map((cell, index) =>
      h('td', { 'data-label': COLUMNS[index], class: isFigure(index) ? 'figure' : undefined }, cell),
    ),
  );
}

function statusCell({ status, error, reason }) {
  const why = error?.code ?? (status === 'skipped' ? reason : undefined);
  return h(
    'span',
    { class: 'status' },
    badge(status),
    why ? h('span', { class: 'note', title: error?.message ?? why }, why) : undefined,
  );
}

/** Small charts for the archive that is chosen, or for those that ran last. */
function chartCards(runs, archive) {
  const names = archive === '' ? [...new Set(runs.map((run) => run.archive))].slice(0, CHART_ARCHIVES) : [archive];
  return names.flatMap((name) => {
    const mine = runs
      .filter((run) => run.archive === name && run.status !== 'skipped')
      .slice(0, CHART_RUNS)
      .reverse();
    return mine.length === 0 ? [] : [chartCard(name, mine, names.length > 1 ? 'chart-card' : 'chart-card wide')];
  });
}

function chartCard(name, runs, look) {
  return h(
    'section',
    { class: look, 'aria-label': `Last runs of ${name}` },
    h('h3', {}, h('a', { href: `#/history/${encodeURIComponent(name)}`, title: name }, name)),
    MEASURES.map((measure) => chartLine(measure, runs)),
  );
}

function chartLine({ label, of, format }, runs) {
  const latest = runs.at(-1);
  const values = runs.map((run) => of(run) ?? 0);
  const description = `${label} of the last ${plural(runs.length, 'run')}: latest ${format(of(latest))}, highest ${format(Math.max(...values))}`;
  const items = runs.map((run, index) => ({
    value: values[index],
    tone: tone(run.status),
    title: `${run.run}: ${format(of(run))}, ${stateWords(run.status)}`,
  }));
  return h(
    'div',
    { class: 'chart-line' },
    h('span', { class: 'label' }, label),
    bars(items, { slots: CHART_RUNS, label: description }),
    h('b', {}, format(of(latest))),
  );
}
