/** The windows of an archive as the destination tells them: which are archived, and which are not there. */
import { PartitionCalendar } from '../calendar/partitions.ts';
import { WindowCalendar, type Calendar, type Stretch, type WindowLength } from '../calendar/windows.ts';
import { generationOf, parseRunId } from '../ledger/run-id.ts';
import type { StoredRun } from '../ledger/runs.ts';
import { kindOf, pointMs } from './choose.ts';
import type { WindowedArchive } from './window-source.ts';

/** `missing` may be without rows: only the source knows. */
export type WindowState = 'archived' | 'empty' | 'missing' | 'failed' | 'unfinished' | 'damaged';

/** A window, with the figures of its latest committed run. Sizes in bytes. */
export interface ShownWindow {
  from: string;
  to: string;
  state: WindowState;
  /** Null for a window that has none. */
  run: string | null;
  rows: number | null;
  bytes: number | null;
  finishedAt: string | null;
}

/** What of a run is looked at. */
export interface WindowRun {
  run: string;
  /** Undefined when it is not committed. */
  committed:
    { from: string | undefined; to: string | undefined; rows: number; bytes: number; finishedAt: string } | undefined;
  isFailed: boolean;
  /** Whether it is committed, and its manifest cannot be believed. */
  isDamaged: boolean;
}

/** Without the manifest, which may be large. */
export function windowRunOf({ run, isCommitted, manifest, journal, problem }: StoredRun): WindowRun {
  const isDamaged = isCommitted && problem !== undefined;
  const isFailed = problem !== undefined || journal?.ended?.failure !== undefined;
  if (manifest === undefined) return { run, committed: undefined, isFailed, isDamaged };
  const { window, rows, bytes, finishedAt } = manifest;
  return { run, committed: { from: window?.from, to: window?.to, rows, bytes, finishedAt }, isFailed, isDamaged };
}

/** The latest ones that are shown; hours of two years are as many. */
const MOST_SHOWN = 20_000;

/** The windows from the first one that is there, or `window.from`, to the last one that should be, oldest first. */
export function overviewOf(archive: WindowedArchive, runs: readonly WindowRun[], now: Date): ShownWindow[] {
  const point = runs.find(({ committed }) => committed?.from !== undefined)?.committed?.from;
  const kind = kindOf(point ?? 'TZ');
  const { every } = archive.window;
  const calendar =
    every === 'partition'
      ? new PartitionCalendar(kind, archive.timezone, stretchesOf(runs))
      : new WindowCalendar(kind, every, archive.timezone);
  const byStart = new Map<number, WindowRun[]>();
  for (const run of runs) {
    const startMs = parseRunId(run.run).getTime();
    byStart.set(startMs, [...(byStart.get(startMs) ?? []), run]);
  }
  const starts = [...byStart.keys()].sort((a, b) => a - b);
  const { from } = archive.window;
  const configMs = from === undefined ? undefined : calendar.parse(from);
  const firstMs = Math.min(starts[0] ?? Infinity, configMs ?? Infinity);
  if (firstMs === Infinity) return [];
  const shown: ShownWindow[] = [];
  for (const stretch of calendar.from(firstMs)) {
    const isDue = calendar.instantOf(stretch.toMs) <= now.getTime() - archive.window.olderThanMs;
    if (!isDue && stretch.fromMs > (starts.at(-1) ?? -Infinity)) break;
    const found = byStart.get(stretch.fromMs) ?? [];
    if (isDue || found.length > 0) shown.push(show(calendar, stretch, found));
    if (shown.length >= 2 * MOST_SHOWN) shown.splice(0, MOST_SHOWN);
  }
  return shown.slice(-MOST_SHOWN);
}

/** The windows of the runs; where a partition was cut anew, those of the earlier ones. */
function stretchesOf(runs: readonly WindowRun[]): Stretch[] {
  const stretches = runs
    .flatMap(({ committed: { from, to } = { from: undefined, to: undefined } }) =>
      from === undefined || to === undefined ? [] : [{ fromMs: pointMs(from), toMs: pointMs(to) }],
    )
    .sort((a, b) => a.fromMs - b.fromMs || a.toMs - b.toMs);
  const apart: Stretch[] = [];
  for (const stretch of stretches) if (stretch.fromMs >= (apart.at(-1)?.toMs ?? -Infinity)) apart.push(stretch);
  return apart;
}

function show(calendar: Calendar, { fromMs, toMs }: Stretch, runs: readonly WindowRun[]): ShownWindow {
  const bounds = { from: calendar.format(fromMs), to: calendar.format(toMs) };
  const newest = [...runs].sort((a, b) => generationOf(b.run) - generationOf(a.run));
  const latest = newest.find(({ committed, isDamaged }) => committed !== undefined || isDamaged);
  if (latest?.committed !== undefined) {
    const { rows, bytes, finishedAt } = latest.committed;
    const isEmpty = runs.every(({ committed }) => (committed?.rows ?? 0) === 0);
    return { ...bounds, state: isEmpty ? 'empty' : 'archived', run: latest.run, rows, bytes, finishedAt };
  }
  const begun = latest ?? newest[0];
  const none = { run: begun?.run ?? null, rows: null, bytes: null, finishedAt: null };
  if (begun === undefined) return { ...bounds, state: 'missing', ...none };
  if (begun.isDamaged) return { ...bounds, state: 'damaged', ...none };
  return { ...bounds, state: begun.isFailed ? 'failed' : 'unfinished', ...none };
}

const MARKS: Readonly<Record<WindowState, string>> = {
  archived: '#',
  empty: '-',
  missing: '.',
  failed: '!',
  unfinished: '~',
  damaged: 'x',
};

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
  const { name, at } = LINES[window.every === 'partition' ? lengthOf(windows) : window.every];
  const lines = new Map<string, string[]>();
  const clock = new WindowCalendar('timestamp', 'hour', timezone);
  for (const { from, state } of windows) {
    const local = localText(from, clock);
    const cells = lines.get(name(local)) ?? [];
    cells[at(new Date(`${local.slice(0, 19)}Z`))] = MARKS[state];
    lines.set(name(local), cells);
  }
  const used = [...new Set(windows.map(({ state }) => state))];
  const legend = used.map((state) => `${MARKS[state]} ${state}`).join('  ');
  const width = Math.max(0, ...[...lines.keys()].map((key) => key.length));
  const rows = [...lines].map(
    ([key, cells]) => `${key.padEnd(width)}  ${Array.from(cells, (cell: string | undefined) => cell ?? ' ').join('')}`,
  );
  return windows.length === 0 ? ['no windows'] : [...rows, '', legend];
}

/** As long as the shortest partition, so that each has a place of its own. */
function lengthOf(windows: readonly ShownWindow[]): WindowLength {
  const days = Math.min(...windows.map(({ from, to }) => pointMs(to) - pointMs(from))) / 86_400_000;
  const [length = 'hour'] = SHORTEST_DAYS.find(([, shortest]) => days >= shortest) ?? [];
  return length;
}

const SHORTEST_DAYS: readonly (readonly [WindowLength, number])[] = [
  ['year', 365],
  ['month', 28],
  ['week', 7],
  ['day', 0.9],
];

/** A point of a timestamptz as the zone's clock shows it. */
function localText(from: string, clock: WindowCalendar): string {
  if (kindOf(from) !== 'timestamptz') return from.length === 10 ? `${from}T00:00:00` : from;
  return clock.format(clock.parse(from) ?? 0);
}

function dayOfYear(date: Date): number {
  return Math.round((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / 86_400_000) + 1;
}
