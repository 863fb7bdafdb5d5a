/** The status page: what the daemon says, and which of the two views the address asks for. */
import { createArchivesPanel } from './archives.js';
import { follow } from './connection.js';
import { h, setAttribute, setChildren, setText } from './dom.js';
import { createHeader } from './header.js';
import { createHistoryPanel } from './history.js';
import { createMemoryPanel } from './memory.js';
import { openRunPage } from './run-page.js';
import { createRunningPanel } from './running.js';

const main = document.getElementById('main');
const announcer = document.getElementById('announcer');

const archives = createArchivesPanel();
const running = createRunningPanel();
const memory = createMemoryPanel();
const history = createHistoryPanel({ onRuns: archives.showHistory });
const loading = h('p', { class: 'empty' }, 'Asking the daemon…');
const overview = h(
  'div',
  { class: 'stack' },
  h('h1', { class: 'sr-only', tabindex: '-1' }, 'Overview'),
  h('div', { class: 'live' }, memory.element, running.element),
  archives.element,
  history.element,
);

let latest;
let endedKey;
let runPage;
/** How far the daemon's clock is ahead of this one's. */
let aheadMs = 0;

const header = createHeader(() => link.retry());
const link = follow({
  onState: (state) => {
    const first = latest === undefined;
    latest = state;
    aheadMs = Date.parse(state.now) - Date.now();
    show(state);
    if (first) route();
  },
  onLink: header.setLink,
});

window.addEventListener('hashchange', route);
document.querySelector('.skip').addEventListener('click', (event) => {
  // The address is the view's; this link must not change it.
  event.preventDefault();
  main.focus();
});
setInterval(tick, 1000);
setChildren(main, [loading]);
route();

function show(state) {
  header.update(state);
  archives.update(state, (text) => setText(announcer, text));
  running.update(state);
  memory.update(state);
  history.setArchives(state.archives.map(({ name }) => name));
  tick();
  const key = state.archives
    .map(({ lastSuccess, lastFailure, current }) => `${lastSuccess?.run}/${lastFailure?.run}/${current?.run}`)
    .join();
  if (key !== endedKey) history.load();
  endedKey = key;
}

function tick() {
  header.tick();
  if (latest === undefined) return;
  const now = Date.now() + aheadMs;
  archives.tick(now);
  running.tick(now);
}

/** `#/`, `#/history/ARCHIVE` or `#/runs/ARCHIVE/RUN`. */
function route() {
  const [, view, archive, run] = window.location.hash.split('/').map(decode);
  runPage?.close();
  runPage = undefined;
  if (view === 'runs' && archive && run) {
    runPage = openRunPage(archive, run);
    setChildren(main, [runPage.element]);
    setAttribute(main, 'data-view', 'run');
    window.scrollTo(0, 0);
    runPage.heading.focus({ preventScroll: true });
    return;
  }
  const came = main.dataset.view;
  setAttribute(main, 'data-view', 'overview');
  if (latest === undefined) {
    setChildren(main, [loading]);
    return;
  }
  setChildren(main, [overview]);
  history.filter(view === 'history' ? (archive ?? '') : '');
  if (view === 'history') document.getElementById('history-title').focus();
  else if (came === 'run') overview.querySelector('h1').focus();
  if (view === 'history') document.getElementById('history').scrollIntoView({ block: 'start' });
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
