/** Which runs of an archive of windows are to be purged now: by their age, by what was noted of them, and by the config. */
import { fail, toFailure, type Failure } from '../base/errors.ts';
import { WindowCalendar } from '../calendar/windows.ts';
import { destinationOf, sourceNamed, sourceOf } from '../config/resolve.ts';
import type { Config, SourceConfig } from '../config/schema.ts';
import type { PurgeRecord, Totals } from '../ledger/purge.ts';
import { restoredSince } from '../ledger/restored-since.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import { compareRunIds, parseRunId } from '../ledger/run-id.ts';
import { withConnection } from '../postgres/connect.ts';
import { postgresFailure } from '../postgres/errors.ts';
import { hasExpired } from '../verify/gone.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import { kindOf } from '../windows/choose.ts';
import {
  committedRuns,
  summarize,
  type CommittedRun,
  type CommittedRuns,
  type KnownRuns,
} from '../windows/committed.ts';
import type { WindowedArchive } from '../windows/window-source.ts';
import type { PurgeOption } from './request.ts';
import { linesOf } from './tally.ts';

/** What the daemon purges by itself: without windows, each run would hold the same rows again. */
export type PurgedArchive = WindowedArchive & { purge: PurgeOption };

/** A run that is due. */
export interface DueRun {
  run: string;
  rows: number;
  /** Since when, in ms. */
  dueMs: number;
  /** Whether it was begun before. */
  isBegun: boolean;
}

/** A run that is old enough, and is not purged by itself. */
export interface HeldRun {
  run: string;
  failure: Failure;
}

export interface DuePurges {
  /** Oldest window first. */
  due: DueRun[];
  held: HeldRun[];
  /** When the next one will be due; undefined when none is too young. */
  nextDueMs: number | undefined;
}

/** What is known of a purge; a run of which none was begun has none. */
export interface KnownPurge {
  run: string;
  record: PurgeRecord | undefined;
  /** Why its record cannot be believed. */
  failure?: Failure;
}

/** What decides, besides the runs themselves. */
export interface PurgeFindings {
  /** Of all runs of windows that have one which is old enough. */
  purges: ReadonlyMap<string, KnownPurge>;
  /** Runs whose rows were restored into the table, and are not to be purged again. */
  restored: ReadonlySet<string>;
  /** By the clock of the database. */
  nowMs: number;
}

/** Purges that are done: they are not asked for again. */
export type DonePurges = Map<string, PurgeRecord>;

/** Records that are asked for at once. */
const READ_AT_ONCE = 8;

/** The database that rows of the archive are deleted from. */
export function purgeSourceOf(config: Config, archive: PurgedArchive): SourceConfig {
  const { source: name } = archive.purge;
  const source = name === undefined ? sourceOf(config, archive) : sourceNamed(config, name);
  if (source === undefined) throw new Error(`archive ${archive.name} names no source of this config to purge by`);
  return source;
}

/** Asks the database for the time and the destination for the rest. Throws FailureError. */
export async function findDuePurges(
  config: Config,
  archive: PurgedArchive,
  known: KnownRuns,
  done: DonePurges,
  signal: AbortSignal,
): Promise<DuePurges> {
  const nowMs = await databaseNow(purgeSourceOf(config, archive), archive.name, signal);
  const store = openStore(destinationOf(config, archive), signal);
  try {
    const found = await believeNoAge(store, archive, nowMs, await committedRuns(store, archive.name, known));
    // Of a window, all purges count: one that was purged by name may be younger than that.
    const old = [...byWindow(found.committed).values()].filter((runs) =>
      runs.some((run) => dueMsOf(run, archive) <= nowMs),
    );
    const purges = new Map<string, KnownPurge>();
    const waiting = old.flat().values();
    const read = async (): Promise<void> => {
      for (const { run } of waiting)
        purges.set(run, await readPurge(new RunFolder(store, archive.name, run), done, signal));
    };
    await Promise.all(Array.from({ length: READ_AT_ONCE }, read));
    const restored = await findRestored(store, archive, found.committed, purges);
    const chosen = await leaveExpired(store, archive, found, chooseDue(archive, found, { purges, restored, nowMs }));
    return byClockOfHost(chosen, Date.now() - nowMs);
  } finally {
    store.close();
  }
}

/** Manifests of young runs that are read again. */
const MOST_READ_AGAIN = 50;
const MOST_OBJECTS_READ_AGAIN = 1000;

/**
 * What was kept of a manifest says when it was committed, and the bucket may have been put right since: the oldest of those that
 * seem too young are read again, as far as that costs little.
 */
async function believeNoAge(
  store: Store,
  archive: PurgedArchive,
  nowMs: number,
  { committed, damaged }: CommittedRuns,
): Promise<CommittedRuns> {
  const young = committed.filter((run) => dueMsOf(run, archive) > nowMs && run.objects <= MOST_OBJECTS_READ_AGAIN);
  const again = new Map<string, CommittedRun>();
  for (const { run } of young.slice(0, MOST_READ_AGAIN)) {
    const manifest = await new RunFolder(store, archive.name, run).manifest().catch(() => undefined);
    if (manifest !== undefined) again.set(run, summarize(manifest));
  }
  return { committed: committed.map((run) => again.get(run.run) ?? run), damaged };
}

async function databaseNow({ url }: SourceConfig, archive: string, signal: AbortSignal): Promise<number> {
  const target = { url, applicationName: `pgsluice purge ${archive}` };
  return withConnection(
    target,
    async (client) => {
      try {
        const { rows } = await client.query<{ now: Date }>('SELECT pg_catalog.clock_timestamp() AS now');
        if (rows[0] !== undefined) return rows[0].now.getTime();
      } catch (error) {
        throw postgresFailure(error, 'purge', 'asking the database for the time');
      }
      throw fail('internal', { stage: 'purge', message: 'the server gave no time' });
    },
    signal,
  );
}

/** Failures that tell of the record, and not of the way to it. */
const RECORD_CODES: ReadonlySet<string> = new Set([
  'bad-purge-record',
  'newer-journal',
  'misplaced',
  'untrusted',
  'object-too-large',
]);

async function readPurge(folder: RunFolder, done: DonePurges, signal: AbortSignal): Promise<KnownPurge> {
  const { run } = folder;
  const known = done.get(run);
  if (known !== undefined) return { run, record: known };
  signal.throwIfAborted();
  try {
    const record = (await folder.purge())?.record;
    if (record?.state === 'done') done.set(run, record);
    return { run, record };
  } catch (error) {
    const failure = toFailure(error, 'purge');
    if (!RECORD_CODES.has(failure.code)) throw error;
    return { run, record: undefined, failure };
  }
}

/** Asked for of windows alone of which something is to be purged. */
async function findRestored(
  store: Store,
  { name }: PurgedArchive,
  committed: readonly CommittedRun[],
  purges: ReadonlyMap<string, KnownPurge>,
): Promise<Set<string>> {
  const restored = new Set<string>();
  for (const generations of byWindow(committed).values()) {
    const isOpen = generations.some(({ run }) => purges.has(run) && purges.get(run)?.record?.state !== 'done');
    if (!isOpen) continue;
    for (const { run } of generations) {
      if (await isRestored(new RunFolder(store, name, run))) restored.add(run);
    }
  }
  return restored;
}

/** A mark or a record that cannot be believed is one of a restore, too. */
async function isRestored(folder: RunFolder): Promise<boolean> {
  try {
    if ((await folder.restored()) === undefined) return false;
    // What was kept of a purge may be from before one that was told to pass over the restore.
    return (await restoredSince(folder, (await folder.purge())?.record)) !== undefined;
  } catch (error) {
    if (!RECORD_CODES.has(toFailure(error, 'purge').code)) throw error;
    return true;
  }
}

/** Runs that prove nothing any more. A partition that was begun is left to its purge: it may be half detached. */
async function leaveExpired(
  store: Store,
  archive: PurgedArchive,
  { committed }: CommittedRuns,
  { due, held, nextDueMs }: DuePurges,
): Promise<DuePurges> {
  const runs = new Map(committed.map((run) => [run.run, run]));
  const expired = new Set<string>();
  for (const { run } of due.filter(({ isBegun }) => !isBegun || archive.purge.then === undefined)) {
    const known = runs.get(run);
    const folder = new RunFolder(store, archive.name, run);
    if (known !== undefined && (await hasExpired(archive, folder, { ...known, objects: { length: known.objects } })))
      expired.add(run);
  }
  const failures = Array.from(expired, (run) => ({
    run,
    failure: { ...expiredFailure(run), archive: archive.name, run },
  }));
  return { due: due.filter(({ run }) => !expired.has(run)), held: [...held, ...failures], nextDueMs };
}

export function expiredFailure(run: string): Failure {
  return fail('purge-expired', { stage: 'purge', message: `the data of run ${run} has expired` }).failure;
}

/** Timers and metrics go by the clock of this host. */
function byClockOfHost({ due, held, nextDueMs }: DuePurges, aheadMs: number): DuePurges {
  return {
    due: due.map((run) => ({ ...run, dueMs: run.dueMs + aheadMs })),
    held,
    nextDueMs: nextDueMs === undefined ? undefined : nextDueMs + aheadMs,
  };
}

/** By the facts alone, all by the clock of the database. */
export function chooseDue(
  archive: PurgedArchive,
  { committed, damaged }: CommittedRuns,
  { purges, restored, nowMs }: PurgeFindings,
): DuePurges {
  const due: DueRun[] = [];
  const held: HeldRun[] = damaged.map(({ run, failure }) => ({ run, failure }));
  let nextDueMs: number | undefined;
  for (const [start, generations] of byWindow(committed)) {
    let before: KnownPurge | undefined;
    const broughtBack = generations.find(({ run }) => restored.has(run))?.run;
    for (const committedRun of generations) {
      const { run, rows } = committedRun;
      const dueMs = dueMsOf(committedRun, archive);
      if (dueMs > nowMs) {
        nextDueMs = Math.min(dueMs, nextDueMs ?? dueMs);
        before = purges.get(run);
        continue;
      }
      const purge = purges.get(run);
      const failure =
        purge?.failure ??
        before?.failure ??
        whyHeld(archive, committedRun, { startMs: start, broughtBack, before: before?.record?.totals });
      const isDone = purge?.record?.state === 'done';
      before = purge;
      if (failure !== undefined && !isDone) held.push({ run, failure: { ...failure, archive: archive.name, run } });
      else if (!isDone) due.push({ run, rows, dueMs, isBegun: purge?.record !== undefined });
    }
  }
  return { due, held, nextDueMs };
}

/** The runs of each window by generation, oldest window first. */
function byWindow(committed: readonly CommittedRun[]): Map<number, CommittedRun[]> {
  const windows = new Map<number, CommittedRun[]>();
  for (const run of committed.toSorted((a, b) => compareRunIds(a.run, b.run))) {
    const startMs = parseRunId(run.run).getTime();
    windows.set(startMs, [...(windows.get(startMs) ?? []), run]);
  }
  return windows;
}

/** `after` is as in the config, which has a floor, and is held to it here as well. */
function dueMsOf({ finishedAt }: CommittedRun, { purge }: PurgedArchive): number {
  return Date.parse(finishedAt) + Math.max(purge.afterMs, LEAST_AFTER_MS);
}

export const LEAST_AFTER_MS = 3_600_000;

/** `before` are the totals of the purge of the generation before it. */
function whyHeld(
  archive: PurgedArchive,
  { run, rows, window, partition }: CommittedRun,
  { startMs, broughtBack, before }: { startMs: number; broughtBack: string | undefined; before: Totals | undefined },
): Failure | undefined {
  if (window === undefined || !isOfConfig(archive, { window, partition }, startMs)) {
    const what = window === undefined ? 'no window' : `${window.column} from ${window.from} to ${window.to}`;
    const message = `run ${run} is of ${what}, which is no window of the config: it is purged by name alone`;
    return fail('purge-window-changed', { stage: 'purge', message }).failure;
  }
  if (broughtBack !== undefined) {
    const message = `rows of run ${broughtBack} were restored into the table`;
    return fail('purge-restored', { stage: 'purge', message }).failure;
  }
  if (before !== undefined && hasComeBack(rows, before)) {
    const message = `run ${run} has ${rows} rows, and the purge before it left ${leftOf(before)} and deleted ${before.deleted}: rows have come back`;
    return fail('purge-came-back', { stage: 'purge', message }).failure;
  }
  return undefined;
}

function isOfConfig(
  { window: { column, every }, timezone }: PurgedArchive,
  { window, partition }: { window: NonNullable<CommittedRun['window']>; partition: CommittedRun['partition'] },
  startMs: number,
): boolean {
  // Which partition it is, the run knows itself: it may be gone, or have another bound by now.
  if (every === 'partition') return partition !== undefined && window.column === column;
  const calendar = new WindowCalendar(kindOf(window.from), every, timezone);
  const stretch = calendar.startingAt(startMs);
  if (window.column !== column || stretch === undefined) return false;
  return window.from === calendar.format(stretch.fromMs) && window.to === calendar.format(stretch.toMs);
}

/** Whether a generation has more rows than can have stayed, or come late. Where nothing was deleted, nothing can have come back. */
function hasComeBack(rows: number, before: Totals): boolean {
  return before.deleted > 0 && rows > leftOf(before) + before.deleted / 100;
}

function leftOf(totals: Totals): number {
  return linesOf(totals) - totals.deleted - totals.absent;
}
