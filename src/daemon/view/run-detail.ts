/**
 * All that is known of one run: from the board while it is in progress, else from its destination, and from the
 * history.
 */
import { errorText } from '../../base/errors.ts';
import { scrub } from '../../base/secrets.ts';
import { archiveNamed, destinationOf } from '../../config/resolve.ts';
import type { ArchiveConfig, Config } from '../../config/schema.ts';
import { completeManifest, type Manifest, type ManifestObject } from '../../ledger/manifest.ts';
import { RunFolder } from '../../ledger/run-folder.ts';
import type { PurgeRecord } from '../../ledger/purge.ts';
import type { StoredManifest } from '../../ledger/stored-manifest.ts';
import { openStore } from '../../store/open.ts';
import { FairQueue } from '../../work/fair-queue.ts';
import type { History } from '../history/history.ts';
import type { PurgeEnding } from '../purge-ending.ts';
import type { BoardEntry } from '../run-board.ts';
import { showFailure, type RunEnding, type ShownFailure } from '../run-ending.ts';

export interface SegmentDetail {
  index: number;
  state: 'waiting' | 'running' | 'done' | 'failed';
  attempts: number;
  rows: number;
  bytes: number;
  error: ShownFailure | null;
}

export interface RunPurge extends Pick<PurgeRecord, 'state' | 'startedAt' | 'finishedAt' | 'host' | 'totals'> {
  /** Of a run whose partition goes whole. */
  partition?: { name: string; state: string };
}

export interface RunDetail {
  archive: string;
  run: string;
  status: 'waiting' | 'running' | 'committed' | 'failed' | 'skipped' | 'unfinished';
  startedAt: string | null;
  finishedAt: string | null;
  rows: number;
  /** Bytes of the objects that are done. */
  bytes: number;
  /** Some of the segments, one after the other. */
  segments: SegmentDetail[];
  segmentsTotal: number;
  segmentsDone: number;
  error: ShownFailure | null;
  /** With the objects of the segments that are here. */
  manifest: Manifest | null;
  /** Rows of the history, newest first. */
  attempts: RunEnding[];
  /** What a purge of the run has noted beside its objects; null when none was begun. */
  purge: RunPurge | null;
  /** The purges of it that this daemon made, newest first. */
  purges: PurgeEnding[];
  /** Why the destination could not be asked; absent when it was. */
  destinationError?: string;
}

/** Reading a destination that does not answer ends after this. */
const TIMEOUT_MS = 10_000;
/** Of a run of many segments, so many are in one answer. */
export const MOST_SHOWN = 1000;

/** Whoever may see the page may ask, as often as he likes: so one run is read at a time. */
const reading = new FairQueue(1);

/** A run that is asked for, and the first of its segments that are wanted. */
export interface AskedRun {
  archive: string;
  run: string;
  from: number;
}

/** Undefined when nothing is known of the run. The destination is not read any more once the signal aborts. */
export async function describeRun(
  config: Config,
  entry: BoardEntry | undefined,
  history: History,
  { archive, run, from }: AskedRun,
  signal: AbortSignal,
): Promise<RunDetail | undefined> {
  const attempts = history.attemptsOf(archive, run);
  if (entry?.run === run && entry.state !== 'standby') return describeLive(entry, entry.state, attempts, from);
  const stored = await readStored(config, { archive, run, from }, signal);
  const [last] = attempts;
  if (last === undefined && !stored.isCommitted && stored.segments === undefined) return undefined;
  return {
    archive,
    run,
    status: stored.isCommitted ? 'committed' : (last?.status ?? 'unfinished'),
    startedAt: stored.manifest?.startedAt ?? last?.startedAt ?? null,
    finishedAt: stored.manifest?.finishedAt ?? last?.finishedAt ?? null,
    rows: stored.manifest?.rows ?? last?.rows ?? 0,
    bytes: stored.bytes ?? 0,
    segments: withTroubles(stored.segments ?? [], last),
    segmentsTotal: stored.segmentsTotal ?? 0,
    segmentsDone: stored.segmentsDone ?? 0,
    error: !stored.isCommitted ? (last?.error ?? stored.error ?? null) : null,
    manifest: stored.manifest ?? null,
    attempts,
    purge: stored.purge ?? null,
    purges: history.purgesOf(archive, run),
    ...(stored.destinationError === undefined ? {} : { destinationError: stored.destinationError }),
  };
}

function describeLive(
  { archive, run, startedAt, progress }: BoardEntry,
  state: 'waiting' | 'running',
  attempts: RunEnding[],
  from: number,
): RunDetail {
  const snapshot = progress?.snapshot();
  const shown = progress?.segments.from(from).take(MOST_SHOWN) ?? [];
  return {
    archive,
    run,
    status: state,
    startedAt: startedAt.toISOString(),
    finishedAt: null,
    rows: snapshot?.rows ?? 0,
    bytes: snapshot?.bytes ?? 0,
    segmentsTotal: snapshot?.segments ?? 0,
    segmentsDone: snapshot?.segmentsDone ?? 0,
    segments: [...shown].map(({ index, state, attempts, rows, bytes, failure }) => ({
      index,
      state,
      attempts,
      rows,
      bytes,
      error: failure === undefined ? null : showFailure(failure),
    })),
    error: null,
    manifest: null,
    attempts,
    purge: null,
    purges: [],
  };
}

interface Stored extends Partial<Pick<RunDetail, 'bytes' | 'segments' | 'segmentsTotal' | 'segmentsDone'>> {
  isCommitted: boolean;
  manifest?: Manifest | undefined;
  error?: ShownFailure | undefined;
  purge?: RunPurge | null;
  destinationError?: string;
}

async function readStored(config: Config, asked: AskedRun, signal: AbortSignal): Promise<Stored> {
  const archive = archiveNamed(config, asked.archive);
  if (archive === undefined) return { isCommitted: false };
  const late = AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), signal]);
  // The place is given back when the reading has ended, and not when nobody waits for it any more.
  const stored = reading.run(asked.archive, late, () => readFromDestination(config, archive, asked, late));
  try {
    return await untilLate(stored, late);
  } catch (error) {
    return { isCommitted: false, destinationError: scrub(errorText(error)) };
  }
}

async function readFromDestination(
  config: Config,
  archive: ArchiveConfig,
  { run, from }: AskedRun,
  late: AbortSignal,
): Promise<Stored> {
  const store = openStore(destinationOf(config, archive), late);
  const folder = new RunFolder(store, archive.name, run);
  try {
    const manifest = await folder.manifest();
    if (manifest === undefined) return await readJournal(folder, from, late);
    return { ...(await showManifest(manifest, from)), purge: await readPurge(folder) };
  } finally {
    store.close();
  }
}

async function showManifest({ objects: all, ...head }: StoredManifest, from: number): Promise<Stored> {
  const objects: ManifestObject[] = [];
  for await (const object of all.from(from)) {
    if (objects.length === MOST_SHOWN) break;
    objects.push(object);
  }
  const segments = objects.map(({ rows, bytes }, at) => segment(from + at, 'done', rows, bytes));
  const counts = { bytes: head.bytes, segmentsTotal: all.length, segmentsDone: all.length };
  return { isCommitted: true, manifest: completeManifest(head, objects), segments, ...counts };
}

/** One that cannot be believed is told of where it matters: by the purge. */
async function readPurge(folder: RunFolder): Promise<RunPurge | null> {
  const found = await folder.purge().catch(() => undefined);
  if (found === undefined) return null;
  const { state, startedAt, finishedAt, host, totals, partition } = found.record;
  const how = partition && { partition: { name: partition.name, state: partition.state } };
  return { state, startedAt, finishedAt, host, totals, ...how };
}

async function readJournal(folder: RunFolder, from: number, late: AbortSignal): Promise<Stored> {
  const plan = await folder.outline();
  if (plan === undefined) return { isCommitted: false };
  const shown = Math.min(MOST_SHOWN, Math.max(0, plan.segments.length - from));
  const segments = new Map(Array.from({ length: shown }, (_, at) => [from + at, segment(from + at, 'waiting', 0, 0)]));
  const done = new Uint8Array(plan.segments.length);
  const counts = { bytes: 0, segmentsTotal: plan.segments.length, segmentsDone: 0 };
  await folder.eachReceipt(plan, {
    receipt: ({ segment: index, rows, bytes }) => {
      late.throwIfAborted();
      if (done[index] !== 0) return;
      done[index] = 1;
      counts.segmentsDone += 1;
      counts.bytes += bytes;
      if (segments.has(index)) segments.set(index, segment(index, 'done', rows, bytes));
    },
  });
  const failure = plan.ended?.failure;
  const error = failure && { code: failure.code, message: failure.message, hint: failure.hint };
  return { isCommitted: false, segments: [...segments.values()], ...counts, error };
}

async function untilLate<T>(work: Promise<T>, late: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const giveUp = (): void => {
    reject(new Error(`the destination did not answer within ${TIMEOUT_MS / 1000} s`));
  };
  late.addEventListener('abort', giveUp, { once: true });
  // What comes too late is of no interest, nor is why it failed.
  work.catch(() => undefined);
  try {
    return await Promise.race([promise, work]);
  } finally {
    late.removeEventListener('abort', giveUp);
  }
}

function segment(index: number, state: SegmentDetail['state'], rows: number, bytes: number): SegmentDetail {
  return { index, state, attempts: state === 'done' ? 1 : 0, rows, bytes, error: null };
}

/** What the destination does not say: how often a segment was tried, and why it failed. */
function withTroubles(segments: SegmentDetail[], last: RunEnding | undefined): SegmentDetail[] {
  const troubles = new Map((last?.troubles ?? []).map((trouble) => [trouble.index, trouble]));
  return segments.map((segment) => {
    const trouble = troubles.get(segment.index);
    if (trouble === undefined) return segment;
    const failed = segment.state === 'waiting' && trouble.error !== null;
    return { ...segment, state: failed ? 'failed' : segment.state, attempts: trouble.attempts, error: trouble.error };
  });
}
