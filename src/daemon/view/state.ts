/** The state of the daemon as the page, the events and `pgsluice status` show it. */
import os from 'node:os';
import { toString as describeCron } from 'cronstrue';
import { TOOL } from '../../base/tool.ts';
import { destinationOf, sourceOf } from '../../config/resolve.ts';
import { memorySum } from '../../config/memory-sum.ts';
import type { ArchiveConfig, Config } from '../../config/schema.ts';
import type { Pause } from '../../pace/pauses.ts';
import { describeTarget } from '../../postgres/connect.ts';
import type { HostState } from '../../work/place.ts';
import { STALLED_AFTER_MS } from '../../work/trouble-log.ts';
import type { Calendars, WindowsSummary } from './calendars.ts';
import { countArchives, type Counts } from './counts.ts';
import type { Live, Sample } from './live.ts';
import type { Audits } from '../audits.ts';
import type { FormerArchives } from '../former-archives.ts';
import type { Generation, RefusedConfig } from '../generations.ts';
import type { HistoryProblem } from '../history/history.ts';
import type { Purges } from '../purges.ts';
import type { Rehearsals } from '../rehearsals.ts';
import type { BoardEntry, RunBoard } from '../run-board.ts';
import type { Trigger } from '../run-ending.ts';
import type { FailingEntry, Tables } from '../tables.ts';
import type { DueRuns } from '../slots/due-runs.ts';
import type { Schedule } from '../slots/schedule.ts';
import { describeFormer, type FormerState } from './former-state.ts';
import { describeProofs, type ProofState } from './proof-state.ts';
import { describePurging, type PurgeState } from './purge-state.ts';
import { describeRehearsals, type RehearsalState } from './rehearsal-state.ts';
import type { LastFailure, LastSuccess, Standings } from '../slots/standings.ts';

/** Sizes in bytes, times in ISO 8601 unless they say otherwise. */
export interface State {
  version: string;
  host: string;
  pid: number;
  startedAt: string;
  now: string;
  stopping: boolean;
  /** Whether HTTP takes orders. */
  canAct: boolean;
  memory: {
    rssBytes: number;
    /** The sum that `check` prints. */
    rssLimitBytes: number;
    /** The most that a worker's heap may have. */
    heapLimitBytes: number;
    workers: WorkerState[];
    samples: readonly Sample[];
  };
  queue: { threads: number; active: number; waiting: number };
  /** Other hosts that work for runs of this daemon, as they were seen last; absent without the section `hosts`. */
  hosts?: readonly HostState[];
  /** What the page and `status` begin with. */
  counts: Counts;
  /** The config file as it is now, when it is bad and not in force; null when it is in force, as far as the daemon was told. */
  refusedConfig: { at: string; problems: readonly string[] } | null;
  /** Why the folder `state` cannot be used; null when it can. */
  historyProblem: HistoryProblem | null;
  /** Entries with `tables` of which it is not known, or not of all tables, which archives they stand for. */
  failingEntries: readonly FailingEntry[];
  archives: ArchiveState[];
  /** Archives that are not in the config, and have runs in its destinations: some of them; null before the first look. */
  former: { archives: FormerState[]; count: number } | null;
}

export interface WorkerState {
  archive: string;
  run: string;
  segment: number;
  heapBytes: number;
  heapLimitBytes: number;
}

export interface ArchiveState {
  name: string;
  /** The table, or `query`. */
  subject: string;
  source: { name: string; address: string };
  destination: { name: string; url: string };
  schedule: string | null;
  scheduleText: string | null;
  timezone: string;
  nextSlot: string | null;
  paused: boolean;
  /** The one word; the flags below may be true at the same time. */
  state: 'ok' | 'running' | 'standby' | 'late' | 'failing' | 'never' | 'paused';
  late: boolean;
  failing: boolean;
  /** The oldest slot that is due and not archived. */
  dueSlot: string | null;
  lastSuccess: (LastSuccess & { ageSeconds: number }) | null;
  lastFailure: LastFailure | null;
  /** When the first of the failures in a row ended; null while it is well. */
  failingSince: string | null;
  failuresInARow: number;
  /** When a failed run is tried again before the next slot; null when it is not. */
  nextTry: { run: string; at: string } | null;
  current: CurrentRun | null;
  /** Null for an archive without windows. */
  windows: WindowsState | null;
  /** Ids of the runs that wait behind the current one. */
  waiting: string[];
  /** How its proofs stand; null for an archive that the daemon does not verify. */
  proof: ProofState | null;
  /** How its rehearsals stand; null for an archive that is not rehearsed. */
  rehearsal: RehearsalState | null;
  /** How its purges stand; null for an archive that the daemon does not purge. */
  purge: PurgeState | null;
}

/** What the windows are of, and how they stood at the last look; null before the first one. */
export interface WindowsState {
  column: string;
  every: string;
  last: WindowsSummary | null;
}

/** A run that does not get on, and what it waits for. */
export interface StalledRun {
  seconds: number;
  waitsFor: string[];
}

export interface CurrentRun {
  run: string;
  trigger: Trigger;
  status: 'waiting' | 'running' | 'standby';
  /** The host that has the run while this one stands by; null where it is not known. */
  holder: string | null;
  /** The host that had begun the run; null when it was begun here. */
  takenUpFrom: string | null;
  segments: number;
  segmentsDone: number;
  rows: number;
  estimatedRows: number;
  rowsPerSecond: number;
  jsonBytes: number;
  bytes: number;
  percent: number;
  etaSeconds: number | null;
  elapsedSeconds: number;
  /** What of the archive's pace holds it up; null while nothing does. */
  pause: Pause | null;
  /** How long its pace has held it up so far. */
  pausedSeconds: number;
  /** Null as long as it gets on. */
  stalled: StalledRun | null;
}

/** What the state is made of. */
export interface StateParts {
  generation: { config: Config; place: Pick<Generation['place'], 'load' | 'hosts'> };
  board: Pick<RunBoard, 'entries' | 'entryOf' | 'waitingOf' | 'purgeOf'>;
  purges: Pick<Purges, 'of'>;
  audits: Pick<Audits, 'of' | 'currentOf'>;
  rehearsals: Pick<Rehearsals, 'of' | 'currentOf'>;
  former: Pick<FormerArchives, 'found'>;
  tables: Pick<Tables, 'failing'>;
  schedule: Pick<Schedule, 'slotsOf' | 'nextSlot'>;
  due: Pick<DueRuns, 'nextTryOf'>;
  standings: Pick<Standings, 'of' | 'oldestDue'>;
  live: Pick<Live, 'samples' | 'rowsPerSecond'>;
  calendars: Pick<Calendars, 'summaryOf'>;
  startedAt: Date;
  stopping: boolean;
  refusedConfig: RefusedConfig | undefined;
  historyProblem: HistoryProblem | undefined;
}

const MIB = 1024 ** 2;
const MOST_WAITS_SHOWN = 5;

export function buildState(parts: StateParts): State {
  const { config, place } = parts.generation;
  const now = new Date();
  const archives = Object.values(config.archives).map((archive) => describeArchive(parts, archive, now));
  const { refusedConfig: refused, historyProblem } = parts;
  return {
    version: TOOL.version,
    host: os.hostname(),
    pid: process.pid,
    startedAt: parts.startedAt.toISOString(),
    now: now.toISOString(),
    stopping: parts.stopping,
    canAct: config.http.token !== undefined,
    memory: {
      rssBytes: process.memoryUsage.rss(),
      rssLimitBytes: memorySum(config).totalBytes,
      heapLimitBytes: heapLimitBytes(config),
      workers: parts.board.entries.flatMap(describeWorkers),
      samples: parts.live.samples,
    },
    queue: { threads: config.workers.threads, ...place.load },
    ...(place.hosts === undefined ? {} : { hosts: place.hosts }),
    counts: countArchives(archives),
    refusedConfig: refused === undefined ? null : { at: refused.at.toISOString(), problems: refused.problems },
    historyProblem: historyProblem ?? null,
    failingEntries: parts.tables.failing,
    archives,
    former: describeFormer(parts.former.found),
  };
}

/** Most of the heap that a worker may have. */
export function heapLimitBytes({ workers }: Config): number {
  return (workers.maxOldGenerationSizeMb + workers.maxYoungGenerationSizeMb) * MIB;
}

/** The workers of a run that are busy. */
export function describeWorkers({ archive, run, progress, config }: BoardEntry): WorkerState[] {
  return [...(progress?.segments.in('running') ?? [])].map(({ index, heapBytes }) => ({
    archive,
    run,
    segment: index,
    heapBytes,
    heapLimitBytes: heapLimitBytes(config),
  }));
}

function describeArchive(parts: StateParts, archive: ArchiveConfig, now: Date): ArchiveState {
  const { name, schedule = null, timezone } = archive;
  const standing = parts.standings.of(name);
  const entry = parts.board.entryOf(name);
  const slots = parts.schedule.slotsOf(name);
  const { lastSuccess, lastFailure, failures } = standing ?? {};
  const nextTry = parts.due.nextTryOf(name);
  const [paused, late, failing] = [
    standing?.schedule === 'paused',
    standing?.schedule === 'late',
    standing?.health === 'failing',
  ];
  return {
    name,
    subject: archive.table ?? 'query',
    ...placesOf(parts.generation.config, archive),
    schedule,
    scheduleText: schedule === null ? null : describeSchedule(schedule),
    timezone,
    nextSlot: parts.schedule.nextSlot(name)?.toISOString() ?? null,
    paused,
    state: wordFor({ current: entry?.state, paused, failing, late, succeeded: lastSuccess !== undefined }),
    late,
    failing,
    dueSlot: (slots && parts.standings.oldestDue(name, slots, now))?.toISOString() ?? null,
    lastSuccess: lastSuccess === undefined ? null : { ...lastSuccess, ageSeconds: ageSeconds(lastSuccess, now) },
    lastFailure: lastFailure ?? null,
    failingSince: failures?.since ?? null,
    failuresInARow: failures?.count ?? 0,
    nextTry: nextTry === undefined ? null : { run: nextTry.run, at: nextTry.at.toISOString() },
    current: entry === undefined ? null : describeCurrent(entry, parts.live),
    windows: describeWindows(parts, archive),
    waiting: parts.board.waitingOf(name),
    proof: describeProofs(parts.audits.of(name), parts.audits.currentOf(name), proofMayBeMs(parts), now),
    rehearsal: describeRehearsals(parts.rehearsals.of(name), parts.rehearsals.currentOf(name), now),
    purge: describePurging(parts.purges.of(name), parts.board.purgeOf(name), now),
  };
}

/** By the archive, as its config stays the same for long and the state is made each second. */
const places = new WeakMap<ArchiveConfig, Pick<ArchiveState, 'source' | 'destination'>>();

/** Where an archive is read and where it is written, without users and secrets. */
function placesOf(config: Config, archive: ArchiveConfig): Pick<ArchiveState, 'source' | 'destination'> {
  const known = places.get(archive);
  if (known !== undefined) return known;
  const [source, destination] = [sourceOf(config, archive), destinationOf(config, archive)];
  const found = {
    source: { name: source.name, address: describeTarget(source.url) },
    destination: { name: destination.name, url: destination.url },
  };
  places.set(archive, found);
  return found;
}

/** How old the proof of a run may be. */
export function proofMayBeMs({ generation }: StateParts): number {
  return generation.config.audits?.verify?.everyMs ?? Infinity;
}

function describeWindows({ calendars }: StateParts, { name, window }: ArchiveConfig): WindowsState | null {
  if (window === undefined) return null;
  return { column: window.column, every: window.every, last: calendars.summaryOf(name) ?? null };
}

interface Facts {
  current: BoardEntry['state'] | undefined;
  paused: boolean;
  failing: boolean;
  late: boolean;
  succeeded: boolean;
}

/** The first that holds, the most telling one first. */
function wordFor({ current, paused, failing, late, succeeded }: Facts): ArchiveState['state'] {
  if (current === 'running' || current === 'waiting') return 'running';
  if (paused) return 'paused';
  if (current === 'standby') return 'standby';
  if (failing) return 'failing';
  if (late) return 'late';
  return succeeded ? 'ok' : 'never';
}

function describeCurrent(entry: BoardEntry, live: StateParts['live']): CurrentRun {
  const { run, trigger, state, holder, progress, startedAt } = entry;
  const {
    segments = 0,
    segmentsDone = 0,
    rows = 0,
    estimatedRows = 0,
    jsonBytes = 0,
    bytes = 0,
  } = progress?.snapshot() ?? {};
  const rowsPerSecond = Math.round(live.rowsPerSecond(entry));
  const rest = estimatedRows - rows;
  return {
    run,
    trigger,
    status: state,
    holder: holder ?? null,
    takenUpFrom: progress?.takenUpFrom ?? null,
    segments,
    segmentsDone,
    rows,
    estimatedRows,
    rowsPerSecond,
    jsonBytes,
    bytes,
    percent: percentOf(rows, estimatedRows, segmentsDone, segments),
    etaSeconds: rowsPerSecond === 0 || rest <= 0 ? null : Math.ceil(rest / rowsPerSecond),
    elapsedSeconds: Math.round((Date.now() - startedAt.getTime()) / 100) / 10,
    pause: progress?.pause ?? null,
    pausedSeconds: Math.round((progress?.pauses?.totalMs ?? 0) / 1000),
    stalled: state === 'running' ? describeStall(progress) : null,
  };
}

function describeStall(progress: BoardEntry['progress']): StalledRun | null {
  if (progress === undefined) return null;
  const { seconds, waitsFor } = progress.stall;
  return seconds * 1000 < STALLED_AFTER_MS
    ? null
    : { seconds: Math.round(seconds), waitsFor: waitsFor.slice(0, MOST_WAITS_SHOWN) };
}

/** By the estimate, which may be too low: a run is whole only when all segments are done. */
function percentOf(rows: number, estimatedRows: number, segmentsDone: number, segments: number): number {
  if (segments > 0 && segmentsDone === segments) return 100;
  const part = estimatedRows > 0 ? rows / estimatedRows : 0;
  return Math.round(Math.min(0.99, part) * 1000) / 10;
}

function ageSeconds({ finishedAt }: LastSuccess, now: Date): number {
  return Math.max(0, Math.round((now.getTime() - Date.parse(finishedAt)) / 1000));
}

const texts = new Map<string, string>();

/** The schedule in words; the expression itself where the library has none. */
export function describeSchedule(expression: string): string {
  const known = texts.get(expression);
  if (known !== undefined) return known;
  let text = expression;
  try {
    text = describeCron(expression, { use24HourTimeFormat: true, throwExceptionOnParseError: true });
  } catch {
    // It is valid, or the config would not be in force; only the words are missing.
  }
  texts.set(expression, text);
  return text;
}
