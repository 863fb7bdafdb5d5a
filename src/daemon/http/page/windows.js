// @ts-check
/** The windows of one archive as a calendar. */
import { keepStop, monthRows, walkByArrows, windowBlocks } from './calendar.js';
import { ApiError, request } from './connection.js';
import { h, setAttribute, setChildren, setText } from './dom.js';
import { clock, count, plural } from './format.js';
import { encode, runPath } from './paths.js';
import { cut } from './text.js';
import { statesOf, windowLook, windowText } from './window-looks.js';

/**
 * @import { ArchiveState, State } from '../../view/state.ts'
 * @import { CalendarWindow, WindowsDetail } from '../../view/calendars.ts'
 */

const RETRY_MS = 10_000;
const MOST_OF_A_NAME = 80;

export function createWindowsPanel() {
  const select = h('select', { id: 'windows-archive', class: 'last' });
  const label = h('label', { for: 'windows-archive', class: 'sr-only' }, 'Archive');
  const title = h('h2', { id: 'windows-title', tabindex: -1 }, 'Windows');
  const note = h('p', { class: 'note' });
  const problem = h('p', { class: 'problem tinted', 'data-tone': 'bad', role: 'alert', hidden: true });
  const legend = h('ul', { class: 'window-legend row note', 'aria-label': 'How many windows there are of each state' });
  const months = h('div', { class: 'month-rows', role: 'group', 'aria-label': 'Months' });
  const name = h('h3', { class: 'period' });
  const earlier = h('button', { type: 'button', onclick: () => turn(-1) }, 'Earlier');
  const later = h('button', { type: 'button', onclick: () => turn(1) }, 'Later');
  const pager = h('div', { class: 'period-line row' }, name, earlier, later);
  const grid = h('div', { class: 'window-blocks', role: 'group', 'aria-label': 'Windows' });
  const told = h('p', { class: 'window-told inset' });
  const nothing = h('p', { class: 'empty', hidden: true });
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'windows-title', id: 'windows', hidden: true },
    h('div', { class: 'panel-head row' }, title, note, label, select),
    problem,
    legend,
    months,
    pager,
    grid,
    told,
    nothing,
  );
  select.addEventListener('change', () => choose(select.value));
  walkByArrows(grid);
  walkByArrows(months);
  // A tap has no hover: the first one tells, the second one follows the link.
  grid.addEventListener('click', (event) => {
    const cell = /** @type {Element} */ (event.target).closest('a.window');
    const isTouch = event instanceof PointerEvent && event.pointerType === 'touch';
    if (cell === null || !isTouch || cell === tapped) return;
    tapped = cell;
    event.preventDefault();
  });

  /** @type {Element | undefined} */
  let tapped;
  /** @type {ArchiveState[]} */
  let archives = [];
  let archive = '';
  /** @type {string | undefined} of the latest one when undefined */
  let period;
  /** @type {WindowsDetail | undefined} */
  let detail;
  let asked = 0;
  /** @type {string | undefined} */
  let loadedKey;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retryTimer;

  const load = async () => {
    const mine = (asked += 1);
    clearTimeout(retryTimer);
    try {
      const query = period === undefined ? '' : `?period=${encode(period)}`;
      const answer = /** @type {WindowsDetail} */ (await request(`/api/windows/${encode(archive)}${query}`));
      if (mine !== asked) return;
      detail = answer;
      show(answer);
      setText(problem, answer.problem === undefined ? '' : `Not all is known: ${cut(answer.problem, 300)}`);
      problem.hidden = answer.problem === undefined;
    } catch (error) {
      if (mine !== asked) return;
      setText(problem, `The windows could not be loaded: ${cut(ApiError.from(error).text, 300)}.`);
      problem.hidden = false;
      retryTimer = setTimeout(() => void load(), RETRY_MS);
    }
  };
  const show = (/** @type {WindowsDetail} */ shown) => {
    const { every, isPartition, column, timezone, windows, asOf, counts, more } = shown;
    const what = isPartition ? 'partition' : every;
    setText(note, `${column} by ${what}, ${timezone}, as of ${clock(Date.parse(asOf))}`);
    setChildren(legend, statesOf(counts).map(legendItem));
    const focused = grid.contains(document.activeElement) ? document.activeElement?.getAttribute('aria-label') : null;
    setChildren(months, monthRows(shown, turnTo));
    setAttribute(grid, 'data-every', every);
    setAttribute(
      grid,
      'aria-label',
      `Windows${shown.period === 'all' ? '' : ` of ${shown.period}`}; arrow keys go from one to the next`,
    );
    setChildren(grid, windowBlocks(shown, tell));
    keepStop(grid, focused ?? null);
    keepStop(months, null);
    if (typeof focused === 'string') focusLabel(focused);
    const all = plural(windows.length, 'window');
    const whose = shown.period === 'all' ? '' : `${shown.period}, `;
    setText(name, `${whose}${more ? 'the latest ' : ''}${all}`);
    const periods = periodsOf(shown);
    const at = periods.indexOf(shown.period);
    pager.hidden = windows.length === 0;
    earlier.hidden = later.hidden = periods.length < 2;
    earlier.disabled = at <= 0;
    later.disabled = at < 0 || at >= periods.length - 1;
    nothing.hidden = windows.length > 0;
    setText(nothing, 'No window is closed yet, and none was archived.');
    told.hidden = windows.length === 0;
    const last = windows.at(-1);
    if (last !== undefined && (told.childElementCount === 0 || focused === null)) tell(last);
  };
  const focusLabel = (/** @type {string} */ text) => {
    const cells = /** @type {HTMLElement[]} */ ([...grid.querySelectorAll('.window')]);
    cells.find((cell) => cell.getAttribute('aria-label') === text)?.focus({ preventScroll: true });
  };
  const tell = (/** @type {CalendarWindow} */ window) => {
    if (detail === undefined) return;
    const text = windowText(window, detail.every, detail.timezone);
    const span = h('span', { class: 'note' }, ` from ${window.from} to ${window.to} `);
    const run = window.run === null ? [] : [h('a', { class: 'mono', href: runPath(archive, window.run) }, window.run)];
    setChildren(told, [h('span', {}, text), span, ...run]);
  };
  const turnTo = (/** @type {string} */ wanted) => {
    period = wanted;
    void load();
  };
  const turn = (/** @type {-1 | 1} */ by) => {
    if (detail === undefined) return;
    const periods = periodsOf(detail);
    const wanted = periods[periods.indexOf(detail.period) + by];
    if (wanted !== undefined) turnTo(wanted);
  };
  const choose = (/** @type {string} */ wanted) => {
    if (wanted === archive || !archives.some(({ name: known }) => known === wanted)) return;
    archive = wanted;
    period = undefined;
    loadedKey = undefined;
    setChildren(told, []);
    select.value = wanted;
    refresh();
  };
  const refresh = () => {
    const own = archives.find(({ name: known }) => known === archive);
    // Asked again whenever a run has begun or ended, or the daemon has looked anew.
    const key = JSON.stringify([
      archive,
      own?.lastSuccess?.run,
      own?.lastFailure?.run,
      own?.current?.run,
      own?.windows,
    ]);
    if (key !== loadedKey) void load();
    loadedKey = key;
  };
  const update = (/** @type {State} */ state) => {
    // A daemon that is older than the page says nothing of windows.
    archives = state.archives.filter(({ windows }) => typeof windows === 'object' && windows !== null);
    element.hidden = archives.length === 0;
    const names = archives.map(({ name: known }) => known);
    if (select.children.length !== names.length || names.some((known, at) => optionAt(select, at) !== known))
      setChildren(
        select,
        names.map((known) => h('option', { value: known, title: known }, cut(known, MOST_OF_A_NAME))),
      );
    const [first] = names;
    if (first === undefined) return;
    if (!names.includes(archive)) choose(first);
    else {
      select.value = archive;
      refresh();
    }
  };
  return { element, update, choose };
}

/**
 * @param {HTMLSelectElement} select
 * @param {number} at
 */
function optionAt(select, at) {
  return /** @type {HTMLOptionElement | undefined} */ (select.children[at])?.value;
}

/** @param {{ state: import('./window-looks.js').WindowState, windows: number }} item */
function legendItem({ state, windows }) {
  const { tone, mark, words } = windowLook(state);
  const sample = h(
    'i',
    { class: 'window tinted', 'data-tone': tone, 'data-state': state, 'aria-hidden': 'true' },
    mark,
  );
  return h('li', { class: 'row' }, sample, `${count(windows)} ${words}`);
}

/** @param {WindowsDetail} detail */
function periodsOf({ months, every }) {
  if (every === 'month' || every === 'year') return ['all'];
  return [...new Set(months.map(({ month }) => (every === 'hour' ? month : month.slice(0, 4))))];
}
