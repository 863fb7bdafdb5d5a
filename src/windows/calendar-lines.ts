/** The windows of an archive as a calendar of text, and what stands out in it. */
import { WindowCalendar, type WindowLength } from '../calendar/windows.ts';
import { countOf, formatCount } from '../base/units.ts';
import { kindOf, pointMs } from './choose.ts';
import type { ShownWindow, WindowState } from './overview.ts';
import type { WindowedArchive } from './window-source.ts';

const MARKS: Readonly<Record<WindowState, string>> = {
  archived: '#',
  purged: 'o',
  expired: ',',
  empty: '-',
  missing: '.',
  running: '>',
  unfinished: '~',
  failed: '!',
  damaged: 'x',
};
/** In the order of the marks. */
export const WINDOW_STATES = Object.keys(MARKS) as WindowState[];

/** What an operator should look at, the worst first. */
const NAMED: readonly WindowState[] = ['damaged', 'failed', 'unfinished', 'missing'];
/** Stretches of windows that are named, of each state. */
const MOST_NAMED = 10;

/** How much of a point names a line of the calendar, and which position in it a window has. */
const LINES: Readonly<Record<WindowLength, { name: (from: string) => string; at: (from: Date) => number }>> = {
  hour: { name: (from) => from.slice(0, 10), at: (from) => from.getUTCHours() },
  day: { name: (from) => from.slice(0, 7), at: (from) => from.getUTCDate() - 1 },
  week: { name: (from) => from.slice(0, 4), at: (from) => Math.floor((dayOfYear(from) - 1) / 7) },
  month: { name: (from) => from.slice(0, 4), at: (from) => from.getUTCMonth() },
  year: { name: (from) => `${from.slice(0, 3)}0s`, at: (from) => from.getUTCFullYear() % 10 },
};

/** A calendar for a terminal: a line for a day of hours, a month of days, a year of weeks or months, ten years. */
export function calendarLines({ window, timezone }: WindowedArchive, windows: readonly ShownWindow[]): string[] {
  if (windows.length === 0) return ['no windows'];
  const { name, at } = LINES[window.every === 'partition' ? lengthOf(windows) : window.every];
  const lines = new Map<string, string[]>();
  const clock = localClock(timezone);
  for (const { from, state } of windows) {
    const local = clock(from);
    const cells = lines.get(name(local)) ?? [];
    cells[at(new Date(`${local}Z`))] = MARKS[state];
    lines.set(name(local), cells);
  }
  const width = Math.max(0, ...[...lines.keys()].map((key) => key.length));
  const rows = [...lines].map(
    ([key, cells]) => `${key.padEnd(width)}  ${Array.from(cells, (cell: string | undefined) => cell ?? ' ').join('')}`,
  );
  const counts = countStates(windows);
  const legend = [...counts].map(([state, count]) => `${MARKS[state]} ${formatCount(count)} ${state}`).join('  ');
  return [...rows, '', legend, ...NAMED.flatMap((state) => nameStretches(windows, state)), ...tellLeft(windows)];
}

/** How many there are of each state that there is, in the order of the marks. */
export function countStates(windows: readonly Pick<ShownWindow, 'state'>[]): Map<WindowState, number> {
  const counts = new Map<WindowState, number>();
  for (const { state } of windows) counts.set(state, (counts.get(state) ?? 0) + 1);
  return new Map(WINDOW_STATES.flatMap((state) => (counts.has(state) ? [[state, counts.get(state) ?? 0]] : [])));
}

/** `missing: 2026-03-01 to 2026-03-05 (4)`: each stretch from its first point to the first one after it. */
function nameStretches(windows: readonly ShownWindow[], state: WindowState): string[] {
  const stretches: { from: string; to: string; count: number }[] = [];
  let isOpen = false;
  for (const window of windows) {
    const last = stretches.at(-1);
    if (window.state !== state) isOpen = false;
    else if (isOpen && last !== undefined) Object.assign(last, { to: window.to, count: last.count + 1 });
    else {
      stretches.push({ from: window.from, to: window.to, count: 1 });
      isOpen = true;
    }
  }
  const shown = stretches.slice(0, MOST_NAMED).map(({ from, to, count }) => `${from} to ${to} (${count})`);
  const more = stretches.length > MOST_NAMED ? `, and ${stretches.length - MOST_NAMED} more stretches` : '';
  return shown.length === 0 ? [] : [`${state}: ${shown.join(', ')}${more}`];
}

function tellLeft(windows: readonly ShownWindow[]): string[] {
  const left = windows.reduce((sum, window) => sum + (window.left ?? 0), 0);
  return left === 0 ? [] : [`purged windows have ${countOf(left, 'row')} left in the source`];
}

/** As long as the shortest partition, so that each has a place of its own. */
export function lengthOf(windows: readonly Pick<ShownWindow, 'from' | 'to'>[]): WindowLength {
  const days = windows.reduce((least, { from, to }) => Math.min(least, pointMs(to) - pointMs(from)), Infinity) / DAY_MS;
  const [length = 'hour'] = SHORTEST_DAYS.find(([, shortest]) => days >= shortest) ?? [];
  return length;
}

const DAY_MS = 86_400_000;
const SHORTEST_DAYS: readonly (readonly [WindowLength, number])[] = [
  ['year', 365],
  ['month', 28],
  ['week', 7],
  ['day', 0.9],
];

/** What turns a point into what the zone's clock shows at it, `2026-03-01T00:00:00`. */
export function localClock(timezone: string): (from: string) => string {
  const clock = new WindowCalendar('timestamp', 'hour', timezone);
  return (from) => {
    if (kindOf(from) !== 'timestamptz') return from.length === 10 ? `${from}T00:00:00` : from;
    return clock.format(clock.parse(from) ?? 0);
  };
}

function dayOfYear(date: Date): number {
  return Math.round((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / DAY_MS) + 1;
}
