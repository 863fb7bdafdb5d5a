/** Archives, runs and samples for the tests of the page, in the types of the daemon. */
import type { ProofStanding } from '../../src/daemon/audits.ts';
import type { PurgeEnding } from '../../src/daemon/purge-ending.ts';
import type { PurgeStanding } from '../../src/daemon/purges.ts';
import type { RehearsalStanding } from '../../src/daemon/rehearsals.ts';
import type { BoardEntry } from '../../src/daemon/run-board.ts';
import type { RunEnding, ShownFailure } from '../../src/daemon/run-ending.ts';
import type { NextTry } from '../../src/daemon/slots/due-runs.ts';
import type { LastFailure, LastSuccess, Standing } from '../../src/daemon/slots/standings.ts';
import type { Sample } from '../../src/daemon/view/live.ts';
import type { WindowsDetail } from '../../src/daemon/view/calendars.ts';
import type { RunDetail, SegmentDetail } from '../../src/daemon/view/run-detail.ts';
import type { Manifest } from '../../src/ledger/manifest.ts';
import { countStates } from '../../src/windows/calendar-lines.ts';
import type { WindowState } from '../../src/windows/overview.ts';
import { RunProgress } from '../../src/work/progress.ts';

/** An archive, how it stands, and the run of it in progress. */
export interface FakeArchive {
  name: string;
  table: string | undefined;
  schedule: string | undefined;
  timezone: string;
  nextSlot: Date | undefined;
  dueSlot: Date | undefined;
  standing: Standing;
  current: BoardEntry | undefined;
  nextTry?: NextTry | undefined;
  purges?: PurgeStanding;
  proofs?: ProofStanding;
  rehearsals?: RehearsalStanding;
}

const MIB = 1024 ** 2;
export const HOSTILE = '<img src=x onerror="document.title=`stolen`">';
const RUN = '20261123T021500Z';
const LAST_RUN = '20261122T021500Z';

export const SHOWN_FAILURE: ShownFailure = {
  code: 'connection-refused',
  message: 'connect ECONNREFUSED 10.2.0.7:9000 while part-00003.jsonl.gz was uploaded',
  hint: 'Is the endpoint up, and reachable from this host? The run goes on from its receipts at the next slot.',
};

export const FAILURE: LastFailure = { ...SHOWN_FAILURE, run: '20261123T020000Z', at: at(-4000).toISOString() };

/** So many seconds from now. */
export function at(seconds: number): Date {
  return new Date(Date.now() + seconds * 1000);
}

/** An archive that is well, but for what is said of it. */
export function archiveOf(
  name: string,
  standing: Partial<Standing> = {},
  changes: Partial<Omit<FakeArchive, 'name' | 'standing'>> = {},
): FakeArchive {
  return {
    name,
    table: `public.${name}`,
    schedule: '15 2 * * *',
    timezone: 'Europe/Berlin',
    nextSlot: at(15_120),
    dueSlot: undefined,
    current: undefined,
    ...changes,
    standing: {
      schedule: 'on time',
      health: 'well',
      lastSuccess: success(11_000),
      lastFailure: undefined,
      failures: undefined,
      archivedUntil: undefined,
      dueSince: at(-11_000),
      dueSinceIs: 'known',
      ...standing,
    },
  };
}

export function success(ageSeconds: number, run = LAST_RUN): LastSuccess {
  const finishedAt = at(-ageSeconds).toISOString();
  return { run, finishedAt, rows: 466_000, jsonBytes: 500e6, bytes: 101e6, seconds: 9.8, rowsBefore: 461_200 };
}

/** A run of 466,000 rows in eight segments, of which two are being worked on. */
export function runningRun(archive: string, rows = 213_407): BoardEntry {
  const done = [0, 1, 2].map((index) => [index, amountsOf(58_250)] as const);
  const progress = new RunProgress(archive, RUN, undefined);
  progress.begin(
    { segments: Array.from({ length: 8 }, (_none, index) => ({ index })), estimate: { rows: 466_000 } },
    new Map(done),
  );
  const rest = rows - 3 * 58_250;
  for (const [segment, heapBytes] of [
    [3, 31 * MIB],
    [4, 28 * MIB],
  ] as const) {
    progress.attempt(segment, 1);
    progress.update(segment, {
      kind: 'progress',
      ...amountsOf(segment === 3 ? Math.ceil(rest / 2) : Math.floor(rest / 2)),
      heapBytes,
    });
  }
  // The progress looks at nothing of the config but the limits of the workers.
  const workers = { threads: 2, maxOldGenerationSizeMb: 48, maxYoungGenerationSizeMb: 16 };
  const config = { workers } as BoardEntry['config'];
  return {
    archive,
    run: RUN,
    trigger: 'schedule',
    state: 'running',
    holder: undefined,
    startedAt: at(-4.5),
    progress,
    config,
  };
}

function amountsOf(rows: number): { rows: number; jsonBytes: number; bytes: number } {
  return { rows, jsonBytes: rows * 1073, bytes: rows * 217 };
}

/** One archive of each state. */
export function allStates(): FakeArchive[] {
  return [
    archiveOf('fetch_queue', {}, { current: runningRun('fetch_queue') }),
    archiveOf('page_views', { health: 'failing', lastFailure: FAILURE, lastSuccess: success(93_000) }),
    archiveOf('order_events', { schedule: 'late' }, { schedule: '0 */6 * * *', nextSlot: at(-600), dueSlot: at(-600) }),
    archiveOf('sessions', {}, { schedule: '0 3 * * 0', timezone: 'UTC' }),
    archiveOf('audit_log', { schedule: 'paused' }, { nextSlot: undefined }),
    archiveOf('invoices', { lastSuccess: undefined }, { table: undefined }),
    archiveOf('mail_outbox', {}, { schedule: undefined, nextSlot: undefined }),
  ];
}

/** Memory of the last five minutes, while rows go through two workers. */
export function sampleMemory(): Sample[] {
  const now = Date.now();
  return Array.from({ length: 300 }, (_none, index) => {
    const isOn = index > 40;
    const wave = Math.sin(index / 3) + Math.sin(index / 1.7);
    return [
      now - (300 - index) * 1000,
      (isOn ? 171 : 96) * MIB + wave * 3 * MIB,
      isOn ? 27 * MIB + (index % 7) * 1.3 * MIB : 0,
      isOn ? 47_000 + wave * 2400 : 0,
      isOn ? (index - 40) * 47_000 : 0,
    ];
  });
}

/** Runs of these archives, the latest first, with a failure and a skipped one among them. */
export function historyOf(names: readonly string[], each = 20): RunEnding[] {
  return Array.from({ length: each }, (_none, day) => names.map((name, place) => endingOf(name, day, place))).flat();
}

function endingOf(archive: string, day: number, place: number): RunEnding {
  const status = day === 5 ? 'failed' : day === 9 ? 'skipped' : 'committed';
  const isWhole = status === 'committed';
  const rows = isWhole ? Math.round((466_000 + Math.sin(day + place) * 30_000) / (place + 1)) : 0;
  return {
    archive,
    run: `202611${String(22 - day).padStart(2, '0')}T021500Z`,
    status,
    startedAt: at(-day * 86_400 - 20).toISOString(),
    finishedAt: at(-day * 86_400 - 10).toISOString(),
    seconds: status === 'skipped' ? 0 : rows / 47_000 + 2,
    pausedSeconds: 0,
    ...amountsOf(rows),
    objects: isWhole ? 8 : 0,
    retries: day === 3 ? 1 : 0,
    resumed: day === 4,
    peakHeapBytes: 34 * MIB,
    peakRssBytes: 181 * MIB,
    reason: status === 'skipped' ? 'busy' : status === 'failed' ? FAILURE.code : 'ok',
    error: status === 'failed' ? SHOWN_FAILURE : null,
    trigger: 'schedule',
    otherHost: null,
    troubles: [],
  };
}

/** A purge of the last run, but for what is said of it. */
export function purgeEnding(changes: Partial<PurgeEnding> = {}): PurgeEnding {
  const totals = { deleted: 0, absent: 0, changed: 0, locked: 0, referenced: 0, inexact: 0, kept: 0 };
  return {
    ...{ archive: 'fetch_queue', run: LAST_RUN, status: 'purged', reason: 'ok', seconds: 75, lines: 466_000 },
    ...{ startedAt: at(-400).toISOString(), finishedAt: at(-325).toISOString(), totals, totalsHere: totals },
    ...{ mayGoOn: false, problems: [] },
    ...changes,
  };
}

/** A run that is committed, but for what is said of it. */
export function detailOf(changes: Partial<RunDetail> = {}): RunDetail {
  const manifest = manifestOf();
  return {
    archive: 'fetch_queue',
    run: LAST_RUN,
    status: 'committed',
    startedAt: at(-86_420).toISOString(),
    finishedAt: at(-86_410).toISOString(),
    rows: 466_000,
    bytes: manifest.bytes,
    segments: manifest.objects.map(({ rows, bytes }, index) => segmentOf(index, 'done', { rows, bytes })),
    segmentsTotal: manifest.objects.length,
    segmentsDone: manifest.objects.length,
    error: null,
    manifest,
    attempts: historyOf(['fetch_queue'], 1),
    purge: null,
    purges: [],
    ...changes,
  };
}

export function segmentOf(
  index: number,
  state: SegmentDetail['state'],
  changes: Partial<SegmentDetail> = {},
): SegmentDetail {
  return { index, state, attempts: state === 'waiting' ? 0 : 1, rows: 0, bytes: 0, error: null, ...changes };
}

function manifestOf(): Manifest {
  const snapshot = { id: '00000003-0000001B-1', lsn: '0/1A2B3C', takenAt: at(-86_420).toISOString() };
  const objects = Array.from({ length: 8 }, (_none, index) => ({
    key: `pg/fetch_queue/run=${LAST_RUN}/part-${String(index).padStart(5, '0')}.jsonl.gz`,
    ...amountsOf(58_250),
    sha256: 'ab'.repeat(32),
    crc32: '0badcafe',
    firstKey: [String(index * 58_250)],
    lastKey: [String((index + 1) * 58_250 - 1)],
    snapshot: snapshot.id,
  }));
  return {
    format: 'pgsluice/manifest/1',
    archive: 'fetch_queue',
    run: LAST_RUN,
    table: HOSTILE,
    columns: [{ name: 'id', type: 'bigint', typeOid: 20, nullable: false, encoding: 'number' }],
    primaryKey: ['id'],
    source: { database: 'app', serverVersion: '18.1', systemIdentifier: null },
    snapshot,
    consistency: 'single-snapshot',
    ...amountsOf(466_000),
    objects,
    startedAt: at(-86_420).toISOString(),
    finishedAt: at(-86_410).toISOString(),
    host: 'db-archive-01',
    tool: { name: 'pgsluice', version: '0.1.0' },
  };
}

/** Windows of all states: days from 2025 to March 2026, hours of the first days of that month, or months of years. */
export function windowsOf(archive: string, every: 'day' | 'hour' | 'month' = 'day'): WindowsDetail {
  const { count, startMs } = {
    day: { count: 365 + 78, startMs: (at: number) => Date.UTC(2025, 0, 1 + at) },
    hour: { count: 24 * 19 + 7, startMs: (at: number) => Date.UTC(2026, 2, 1, at) },
    month: { count: 140, startMs: (at: number) => Date.UTC(2014, 7 + at, 1) },
  }[every];
  const windows = Array.from({ length: count }, (_none, at) => {
    const from = new Date(startMs(at)).toISOString();
    const state = stateAt(at, count);
    const isMade = ['archived', 'purged', 'expired', 'empty'].includes(state);
    const rows = state === 'empty' ? 0 : 460_000 + ((at * 7919) % 9000);
    return {
      from: `${from.slice(0, 19)}Z`,
      to: `${new Date(startMs(at + 1)).toISOString().slice(0, 19)}Z`,
      state,
      run: state === 'missing' ? null : `${from.slice(0, 19).replaceAll(/[-:]/g, '')}Z`,
      rows: isMade ? rows : null,
      bytes: isMade ? rows * 217 : null,
      finishedAt: isMade ? from : null,
      left: state === 'purged' ? at % 3 : null,
      local: from.slice(0, 19),
    };
  });
  const months = [...Map.groupBy(windows, ({ local }) => local.slice(0, 7))].map(([month, own]) => ({
    month,
    counts: Object.fromEntries(countStates(own)),
  }));
  return {
    ...{ archive, column: 'created_at', every, isPartition: false, timezone: 'Europe/Berlin', period: '', windows },
    ...{ more: false, months, asOf: at(-5).toISOString(), counts: Object.fromEntries(countStates(windows)) },
  };
}

function stateAt(at: number, count: number): WindowState {
  const left = count - at;
  if (left === 1) return 'running';
  if (left === 9) return 'failed';
  if (left === 12) return 'damaged';
  if (left === 16) return 'unfinished';
  if (left > 20 && left < 24) return 'missing';
  if (at < 20) return 'expired';
  if (at < 100) return 'purged';
  return at % 7 === 3 ? 'empty' : 'archived';
}
