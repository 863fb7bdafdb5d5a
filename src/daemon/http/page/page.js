// @ts-check
/** The status page: what the daemon says, and which of the views the address asks for. */
import { createAlarmPanel } from './alarm.js';
import { openArchivePage } from './archive-page.js';
import { createArchivesPanel } from './archives.js';
import { follow } from './connection.js';
import { contain } from './contain.js';
import { byId, h, setAttribute, setChildren, setText } from './dom.js';
import { createHeader } from './header.js';
import { createHistoryPanel } from './history.js';
import { createMemoryPanel } from './memory.js';
import { readPath } from './paths.js';
import { openRunPage } from './run-page.js';
import { createRunningPanel } from './running.js';
import { createWindowsPanel } from './windows.js';

/**
 * @import { State } from '../../view/state.ts'
 * @import { RunEnding } from '../../run-ending.ts'
 */

const main = byId('main');
const announcer = byId('announcer');

const alarm = contain('What is wrong', createAlarmPanel);
const archives = contain('The list of archives', createArchivesPanel);
const running = contain('What is running', createRunningPanel);
const memory = contain('Memory', createMemoryPanel);
const onRuns = (/** @type {RunEnding[]} */ runs) => archives.run((part) => part.showHistory(runs));
const windows = contain('The windows', createWindowsPanel);
const history = contain('The history', () => createHistoryPanel({ onRuns }));
const header = contain('The top of the page', () => createHeader(() => link.retry()));
const loading = byId('loading');
const title = h('h1', { class: 'sr-only', tabindex: -1 }, 'Overview');
const live = h('div', { class: 'live stack' }, memory.element, running.element);
const parts = [alarm.element, archives.element, live, windows.element, history.element];
const overview = h('div', { class: 'stack' }, title, ...parts);

/** @type {State | undefined} */
let latest;
/** @type {ReturnType<typeof openRunPage> | undefined} */
let runPage;
/** @type {ReturnType<typeof openArchivePage> | undefined} */
let archivePage;
/** How far the daemon's clock is ahead of this one's. */
let aheadMs = 0;

const link = follow({
  onState: (state) => {
    const isFirst = latest === undefined;
    latest = state;
    aheadMs = Date.parse(state.now) - Date.now();
    show(state);
    if (isFirst) route();
  },
  onLink: (changed) => header.run((part) => part.setLink(changed)),
});

window.addEventListener('hashchange', route);
byId('skip').addEventListener('click', (event) => {
  // The address is the view's; this link must not change it.
  event.preventDefault();
  main.focus();
});
setInterval(tick, 1000);
setText(loading, 'Asking the daemon…');
route();

/** @param {State} state */
function show(state) {
  header.show((part) => part.update(state));
  alarm.show((part) => part.update(state));
  archives.show((part) => part.update(state, (text) => setText(announcer, text)));
  running.show((part) => part.update(state));
  memory.show((part) => part.update(state));
  windows.show((part) => part.update(state));
  history.show((part) => part.update(state));
  archivePage?.update(state);
  tick();
}

function tick() {
  header.run((part) => part.tick());
  if (latest === undefined) return;
  const now = Date.now() + aheadMs;
  alarm.run((part) => part.tick(now));
  archives.run((part) => part.tick(now));
  archivePage?.tick(now);
  running.run((part) => part.tick(now));
}

/** `#/`, `#/archives/ARCHIVE`, `#/history/ARCHIVE`, `#/windows/ARCHIVE` or `#/runs/ARCHIVE/RUN`. */
function route() {
  const { view, archive, run } = readPath(window.location.hash);
  runPage?.close();
  archivePage?.close();
  runPage = archivePage = undefined;
  const before = main.dataset['view'];
  const isRun = view === 'runs' && archive !== '' && run !== '';
  const isArchive = view === 'archives' && archive !== '';
  setAttribute(main, 'data-view', isRun ? 'run' : isArchive ? 'archive' : 'overview');
  if (isRun) showRun(archive, run);
  else if (isArchive) showArchive(archive);
  else if (latest === undefined) setChildren(main, [loading]);
  else showOverview(view === 'history' ? archive : '', view === 'history', before === 'run' || before === 'archive');
  if (view === 'windows') showWindows(archive);
}

/**
 * @param {string} archive
 * @param {string} run
 */
function showRun(archive, run) {
  runPage = openRunPage(archive, run);
  setChildren(main, [runPage.element]);
  window.scrollTo(0, 0);
  runPage.heading.focus({ preventScroll: true });
}

/** @param {string} archive */
function showArchive(archive) {
  archivePage = openArchivePage(archive);
  setChildren(main, [archivePage.element]);
  if (latest !== undefined) show(latest);
  window.scrollTo(0, 0);
  archivePage.heading.focus({ preventScroll: true });
}

/** @param {string} archive */
function showWindows(archive) {
  windows.run((part) => part.choose(archive));
  document.getElementById('windows-title')?.focus();
  windows.element.scrollIntoView({ block: 'start' });
}

/**
 * @param {string} archive of the history; empty for all
 * @param {boolean} isHistory
 * @param {boolean} cameFromBelow
 */
function showOverview(archive, isHistory, cameFromBelow) {
  setChildren(main, [overview]);
  history.run((part) => part.filter(archive));
  if (isHistory) {
    document.getElementById('history-title')?.focus();
    history.element.scrollIntoView({ block: 'start' });
  } else if (cameFromBelow) title.focus();
}
