/** The windows of an archive as the destination tells them: which are archived, and which are not there. */
import { PartitionCalendar } from '../calendar/partitions.ts';
import { WindowCalendar, type Calendar, type Stretch } from '../calendar/windows.ts';
import { generationOf, parseRunId } from '../ledger/run-id.ts';
import { kindOf, pointMs } from './choose.ts';
import { MOST_EMPTY } from './missing.ts';
import type { WindowedArchive } from './window-source.ts';

/**
 * What windows can be. `missing` may be without rows: only the source knows. `purged`: the source was rid of what was archived.
 * `expired`: the data objects are gone, as `mayExpireAfter` allows.
 */
export type WindowState =
  'archived' | 'purged' | 'expired' | 'empty' | 'missing' | 'running' | 'unfinished' | 'failed' | 'damaged';

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
  /** Of a purged window: the rows that stayed in the source. */
  left: number | null;
}

/** What of a run is looked at. */
export interface WindowRun {
  run: string;
  /** Undefined when it is not committed. */
  committed:
    { from: string | undefined; to: string | undefined; rows: number; bytes: number; finishedAt: string } | undefined;
  isFailed: boolean;
  /** Whether it is committed, and its manifest cannot be believed, or its data is gone. */
  isDamaged: boolean;
  isRunning?: boolean;
  isExpired?: boolean;
  /** Of one that was purged: the rows that stayed. */
  left?: number | undefined;
}

/** What the source says besides, as far as it was asked. */
export interface SourceWord {
  /** Of `every: partition`. */
  stretches?: readonly Stretch[];
  /** Whether a window that has no run is one that is not to be made, as it has no rows. */
  isEmpty?: (stretch: Stretch) => boolean;
}

/** The latest ones that are shown; hours of two years are as many. */
export const MOST_SHOWN = 20_000;

/** The windows from the first one that is there, or `window.from`, to the last one that should be, oldest first. */
export function overviewOf(
  archive: WindowedArchive,
  runs: readonly WindowRun[],
  now: Date,
  source: SourceWord = {},
): ShownWindow[] {
  const calendar = calendarOf(archive, runs, source);
  const byStart = Map.groupBy(runs, ({ run }) => parseRunId(run).getTime());
  const starts = [...byStart.keys()].sort((a, b) => a - b);
  const { from } = archive.window;
  const configMs = from === undefined ? undefined : calendar.parse(from);
  const givenMs = Math.max(configMs ?? -Infinity, source.stretches?.[0]?.fromMs ?? Infinity);
  const firstMs = Math.min(starts[0] ?? Infinity, configMs ?? Infinity, givenMs);
  if (firstMs === Infinity) return [];
  const shown: ShownWindow[] = [];
  // What is passed over after the last row is nothing that anybody looks for, and would push the others out.
  let passed: ShownWindow[] = [];
  for (const stretch of calendar.from(firstMs)) {
    const isDue = calendar.instantOf(stretch.toMs) <= now.getTime() - archive.window.olderThanMs;
    if (!isDue && stretch.fromMs > (starts.at(-1) ?? -Infinity)) break;
    const found = byStart.get(stretch.fromMs) ?? [];
    if (!isDue && found.length === 0) continue;
    const window = show(calendar, stretch, found, source.isEmpty?.(stretch) === true);
    passed.push(window);
    if (passed.length >= 2 * MOST_SHOWN) passed.splice(0, MOST_SHOWN);
    if (window.state === 'empty' && window.run === null) continue;
    shown.push(...passed);
    passed = [];
    if (shown.length >= 2 * MOST_SHOWN) shown.splice(0, shown.length - MOST_SHOWN);
  }
  return [...shown, ...(passed.length > MOST_EMPTY ? [] : passed)].slice(-MOST_SHOWN);
}

/** Whether there is a stretch of missing windows that may be one of those that are passed over, as they are empty. */
export function hasLongGap(windows: readonly Pick<ShownWindow, 'state'>[]): boolean {
  let length = 0;
  for (const { state } of windows) {
    length = state === 'missing' ? length + 1 : 0;
    if (length > MOST_EMPTY) return true;
  }
  return false;
}

function calendarOf(
  { window: { every }, timezone }: WindowedArchive,
  runs: readonly WindowRun[],
  { stretches = [] }: SourceWord,
): Calendar {
  const point = runs.find(({ committed }) => committed?.from !== undefined)?.committed?.from;
  const kind = kindOf(point ?? 'TZ');
  return every === 'partition'
    ? new PartitionCalendar(kind, timezone, apart(stretches, stretchesOf(runs)))
    : new WindowCalendar(kind, every, timezone);
}

function stretchesOf(runs: readonly WindowRun[]): Stretch[] {
  return runs.flatMap(({ committed: { from, to } = { from: undefined, to: undefined } }) =>
    from === undefined || to === undefined ? [] : [{ fromMs: pointMs(from), toMs: pointMs(to) }],
  );
}

/** The partitions that there are, and beside them those that there were; where one was cut anew, it is those of now. */
function apart(first: readonly Stretch[], others: readonly Stretch[]): Stretch[] {
  const now = new PartitionCalendar('timestamptz', 'UTC', first);
  const former = others
    .filter(({ fromMs, toMs }) => !((now.from(fromMs).next().value?.fromMs ?? Infinity) < toMs))
    .sort((a, b) => a.fromMs - b.fromMs || a.toMs - b.toMs);
  const kept: Stretch[] = [];
  for (const stretch of former) if (stretch.fromMs >= (kept.at(-1)?.toMs ?? -Infinity)) kept.push(stretch);
  return [...first, ...kept];
}

function show(
  calendar: Calendar,
  { fromMs, toMs }: Stretch,
  runs: readonly WindowRun[],
  isEmpty: boolean,
): ShownWindow {
  const bounds = { from: calendar.format(fromMs), to: calendar.format(toMs) };
  const newest = [...runs].sort((a, b) => generationOf(b.run) - generationOf(a.run));
  const running = newest.find(({ isRunning }) => isRunning);
  const latest = running ?? newest.find(({ committed, isDamaged }) => committed !== undefined || isDamaged);
  if (latest?.committed !== undefined && !latest.isDamaged) {
    const { rows, bytes, finishedAt } = latest.committed;
    const hasNone = runs.every(({ committed }) => (committed?.rows ?? 0) === 0);
    const state = hasNone ? 'empty' : stateOfCommitted(latest);
    return { ...bounds, state, run: latest.run, rows, bytes, finishedAt, left: latest.left ?? null };
  }
  const begun = latest ?? newest[0];
  const none = { run: begun?.run ?? null, rows: null, bytes: null, finishedAt: null, left: null };
  if (begun === undefined) return { ...bounds, state: isEmpty ? 'empty' : 'missing', ...none };
  return { ...bounds, state: stateOfBegun(begun), ...none };
}

function stateOfCommitted({ isExpired, left }: WindowRun): WindowState {
  if (isExpired === true) return 'expired';
  return left === undefined ? 'archived' : 'purged';
}

function stateOfBegun({ isRunning, isDamaged, isFailed }: WindowRun): WindowState {
  if (isRunning === true) return 'running';
  if (isDamaged) return 'damaged';
  return isFailed ? 'failed' : 'unfinished';
}
