// @ts-check
/** A calendar: days of a year month by month, hours of a month day by day, months year by year, else one row; and all months, year by year. */
import { h } from './dom.js';
import { runPath } from './paths.js';
import { countsText, statesOf, windowLook, windowText } from './window-looks.js';

/**
 * @import { CalendarWindow, WindowsDetail } from '../../view/calendars.ts'
 */

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/** From so many months on, they have a grid of their own. */
const LONG = 13;

/**
 * How much of a window's first point names its block, what stands over that, and which place in it the first window has.
 * @type {Record<WindowsDetail['every'], { chars: number, labelOf: (name: string) => string, placeOf: (local: string) => number }>}
 */
const BLOCKS = {
  hour: { chars: 10, labelOf: (name) => name.slice(8), placeOf: (local) => Number(local.slice(11, 13)) },
  day: { chars: 7, labelOf: (name) => MONTHS[Number(name.slice(5)) - 1] ?? name, placeOf: weekday },
  week: { chars: 4, labelOf: () => '', placeOf: () => 0 },
  month: { chars: 4, labelOf: (name) => name, placeOf: (local) => Number(local.slice(5, 7)) - 1 },
  year: { chars: 0, labelOf: () => '', placeOf: () => 0 },
};

/**
 * The windows of the period, in blocks.
 * @param {WindowsDetail} detail
 * @param {(window: CalendarWindow) => void} onTell
 */
export function windowBlocks(detail, onTell) {
  const { windows, every } = detail;
  const { chars, labelOf, placeOf } = BLOCKS[every];
  const blockOf = (/** @type {CalendarWindow} */ { local }) => local.slice(0, chars);
  return [...Map.groupBy(windows, blockOf)].map(([name, own]) => {
    const room = Array.from({ length: placeOf(own[0]?.local ?? '') }, () =>
      h('i', { class: 'cell-room', 'aria-hidden': 'true' }),
    );
    const cells = own.map((window) => cellOf(detail, window, onTell));
    return h(
      'div',
      { class: 'block', role: 'group', 'aria-label': name === '' ? detail.period : name },
      h('span', { class: 'note block-name', 'aria-hidden': 'true' }, labelOf(name)),
      h('div', { class: 'block-cells' }, room, cells),
    );
  });
}

/**
 * @param {WindowsDetail} detail
 * @param {CalendarWindow} window
 * @param {(window: CalendarWindow) => void} onTell
 */
function cellOf({ archive, every, timezone }, window, onTell) {
  const { tone, mark } = windowLook(window.state);
  const shared = {
    class: 'window tinted',
    'data-tone': tone,
    'data-state': window.state,
    'aria-label': windowText(window, every, timezone),
    tabindex: -1,
    onfocus: () => onTell(window),
    onpointerenter: () => onTell(window),
  };
  const text = h('span', { 'aria-hidden': 'true' }, mark);
  return window.run === null
    ? h('button', { type: 'button', ...shared, onclick: () => onTell(window) }, text)
    : h('a', { href: runPath(archive, window.run), ...shared }, text);
}

/**
 * A row for each year, a cell for each month, by its most urgent window; nothing where that is one period anyway.
 * @param {WindowsDetail} detail
 * @param {(period: string) => void} onChoice
 */
export function monthRows({ months, every, period }, onChoice) {
  if (every === 'year' || every === 'month' || months.length < (every === 'hour' ? 2 : LONG)) return [];
  return [...Map.groupBy(months, ({ month }) => month.slice(0, 4))].map(([year, own]) => {
    const room = Array.from({ length: Number(own[0]?.month.slice(5)) - 1 }, () =>
      h('i', { class: 'cell-room', 'aria-hidden': 'true' }),
    );
    const cells = own.map(({ month, counts }) => {
      const state = statesOf(counts)[0]?.state ?? 'empty';
      const { tone, mark } = windowLook(state);
      const target = every === 'hour' ? month : year;
      const properties = {
        type: 'button',
        class: 'window tinted',
        'data-tone': tone,
        'data-state': state,
        'aria-pressed': String(target === period),
        'aria-label': `${month}: ${countsText(counts)}`,
        title: `${month}: ${countsText(counts)}`,
        tabindex: -1,
        onclick: () => onChoice(target),
      };
      return h('button', properties, h('span', { 'aria-hidden': 'true' }, mark));
    });
    return h(
      'div',
      { class: 'block', role: 'group', 'aria-label': year },
      h('span', { class: 'note block-name', 'aria-hidden': 'true' }, year),
      h('div', { class: 'block-cells' }, room, cells),
    );
  });
}

/**
 * Makes the cells of a grid one stop of the keyboard: arrows go to the next cell in their direction, Home and End to the ends.
 * @param {HTMLElement} grid
 */
export function walkByArrows(grid) {
  grid.addEventListener('keydown', (event) => {
    const cells = /** @type {HTMLElement[]} */ ([...grid.querySelectorAll('.window')]);
    const from = cells.find((cell) => cell === document.activeElement);
    if (from === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    const next = nextCell(cells, from, event.key);
    if (next === undefined) return;
    event.preventDefault();
    makeStop(cells, next);
    next.focus();
  });
}

/**
 * The cell that Tab goes to: the one that had the focus, else the latest.
 * @param {HTMLElement} grid
 * @param {string | null} label of the one that had it
 */
export function keepStop(grid, label) {
  const cells = /** @type {HTMLElement[]} */ ([...grid.querySelectorAll('.window')]);
  const stop = cells.find((cell) => label !== null && cell.getAttribute('aria-label') === label) ?? cells.at(-1);
  if (stop !== undefined) makeStop(cells, stop);
}

/**
 * @param {HTMLElement[]} cells
 * @param {HTMLElement} stop
 */
function makeStop(cells, stop) {
  for (const cell of cells) cell.tabIndex = cell === stop ? 0 : -1;
}

/**
 * @param {HTMLElement[]} cells
 * @param {HTMLElement} from
 * @param {string} key
 */
function nextCell(cells, from, key) {
  if (key === 'Home') return cells[0];
  if (key === 'End') return cells.at(-1);
  const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  if (direction === undefined) return undefined;
  const [x = 0, y = 0] = direction;
  const start = from.getBoundingClientRect();
  let best = { cell: /** @type {HTMLElement | undefined} */ (undefined), far: Infinity };
  for (const cell of cells) {
    const { left, top } = cell.getBoundingClientRect();
    const [right, down] = [left - start.left, top - start.top];
    const along = right * x + down * y;
    const aside = Math.abs(right * y) + Math.abs(down * x);
    // What lies in the same row or column is nearer than what lies aside.
    const far = along + 8 * aside;
    if (along > 1 && far < best.far) best = { cell, far };
  }
  return best.cell;
}

/**
 * Days since Monday.
 * @param {string} local
 */
function weekday(local) {
  return (new Date(`${local.slice(0, 10)}T00:00:00Z`).getUTCDay() + 6) % 7;
}
