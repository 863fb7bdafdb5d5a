/**
 * All that is known of one run: from the board while it is in progress, else from its destination, and from the
 * history.
 */
import { errorText, FailureError } from '../../base/errors.ts';
import { scrub } from '../../base/secrets.ts';
import { formatBytes } from '../../base/units.ts';
import { archiveNamed, destinationOf } from '../../config/resolve.ts';
import type { ArchiveConfig, Config } from '../../config/schema.ts';
import type { Manifest } from '../../ledger/manifest.ts';
import { RunFolder } from '../../ledger/run-folder.ts';
import { openStore } from '../../store/open.ts';
import { FairQueue } from '../../work/fair-queue.ts';
import type { History } from '../history/history.ts';
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

export interface RunDetail {
  archive: string;
  run: string;
  status: 'waiting' | 'running' | 'committed' | 'failed' | 'skipped' | 'unfinished';
  startedAt: string | null;
  finishedAt: string | null;
  rows: number;
  segments: SegmentDetail[];
  error: ShownFailure | null;
  manifest: Manifest | null;
  /** Rows of the history, newest first. */
  attempts: RunEnding[];
  /** Why the destination could not be asked; absent when it was. */
  destinationError?: string;
}

/** Reading a destination that does not answer ends after this. */
const TIMEOUT_MS = 10_000;
/** A larger plan or manifest is not shown: parsed, it takes some five times as much. */
const MOST_SHOWN_BYTES = 8 * 1024 ** 2;

/** Whoever may see the page may ask, as often as he likes: so one run is read at a time. */
const reading = new FairQueue(1);

/** Undefined when nothing is known of the run. The destination is not read any more once the signal aborts. */
export async function describeRun(
  config: Config,
  entry: BoardEntry | undefined,
  history: History,
  archive: string,
  run: string,
  signal: AbortSignal,
): Promise<RunDetail | undefined> {
  const attempts = history.attemptsOf(archive, run);
  if (entry?.run === run && entry.state !== 'standby') return describeLive(entry, entry.state, attempts);
  const stored = await readStored(config, archive, run, signal);
  const [last] = attempts;
  if (last === undefined && !stored.isCommitted && stored.segments === undefined) return undefined;
  return {
    archive,
    run,
    status: stored.isCommitted ? 'committed' : (last?.status ?? 'unfinished'),
    startedAt: stored.manifest?.startedAt ?? last?.startedAt ?? null,
    finishedAt: stored.manifest?.finishedAt ?? last?.finishedAt ?? null,
    rows: stored.manifest?.rows ?? last?.rows ?? 0,
    segments: withTroubles(stored.segments ?? [], last),
    error: !stored.isCommitted ? (last?.error ?? stored.error ?? null) : null,
    manifest: stored.manifest ?? null,
    attempts,
    ...(stored.destinationError === undefined ? {} : { destinationError: stored.destinationError }),
  };
}

function describeLive(
  { archive, run, startedAt, progress }: BoardEntry,
  state: 'waiting' | 'running',
  attempts: RunEnding[],
): RunDetail {
  return {
    archive,
    run,
    status: state,
    startedAt: startedAt.toISOString(),
    finishedAt: null,
    rows: progress?.snapshot()?.rows ?? 0,
    segments: (progress?.segments ?? []).map(({ index, state, attempts, rows, bytes, failure }) => ({
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
  };
}

interface Stored {
  isCommitted: boolean;
  manifest?: Manifest | undefined;
  segments?: SegmentDetail[] | undefined;
  error?: ShownFailure | undefined;
  destinationError?: string;
}

async function readStored(config: Config, name: string, run: string, signal: AbortSignal): Promise<Stored> {
  const archive = archiveNamed(config, name);
  if (archive === undefined) return { isCommitted: false };
  const late = AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), signal]);
  // The place is given back when the reading has ended, and not when nobody waits for it any more.
  const stored = reading.run(name, late, () => readFromDestination(config, archive, run, late));
  try {
    return await untilLate(stored, late);
  } catch (error) {
    return { isCommitted: false, destinationError: scrub(errorText(error)) };
  }
}

async function readFromDestination(
  config: Config,
  archive: ArchiveConfig,
  run: string,
  late: AbortSignal,
): Promise<Stored> {
  const store = openStore(destinationOf(config, archive), late);
  const folder = new RunFolder(store, archive.name, run);
  try {
    return await readFrom(folder, late);
  } catch (error) {
    if (!(error instanceof FailureError) || error.failure.code !== 'object-too-large') throw error;
    return { isCommitted: await folder.isCommitted(), segments: [], destinationError: TOO_LARGE };
  } finally {
    store.close();
  }
}

const TOO_LARGE = `the run has a plan or a manifest of more than ${formatBytes(MOST_SHOWN_BYTES)}, which is not shown here; \`pgsluice list\` and \`pgsluice verify\` read it`;

async function readFrom(folder: RunFolder, late: AbortSignal): Promise<Stored> {
  const manifest = await folder.manifest(MOST_SHOWN_BYTES);
  if (manifest !== undefined) {
    const segments = manifest.objects.map(({ rows, bytes }, index) => segment(index, 'done', rows, bytes));
    return { isCommitted: true, manifest, segments };
  }
  const plan = (await folder.plan(MOST_SHOWN_BYTES))?.plan;
  if (plan === undefined) return { isCommitted: false };
  const done = new Map<number, { rows: number; bytes: number }>();
  await folder.eachReceipt(plan, {
    receipt: ({ segment, rows, bytes }) => {
      late.throwIfAborted();
      done.set(segment, { rows, bytes });
    },
  });
  const segments = plan.segments.map(({ index }) => {
    const receipt = done.get(index);
    return receipt === undefined
      ? segment(index, 'waiting', 0, 0)
      : segment(index, 'done', receipt.rows, receipt.bytes);
  });
  const failure = plan.ended?.failure;
  const error = failure && { code: failure.code, message: failure.message, hint: failure.hint };
  return { isCommitted: false, segments, error };
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
