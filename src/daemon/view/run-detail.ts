/**
 * All that is known of one run: from the board while it is in progress, else from its destination, and from the
 * history.
 */
import { errorText } from '../../base/errors.ts';
import { scrub } from '../../base/secrets.ts';
import { archiveNamed, destinationOf } from '../../config/resolve.ts';
import type { Config } from '../../config/schema.ts';
import type { Manifest } from '../../ledger/manifest.ts';
import { RunFolder } from '../../ledger/run-folder.ts';
import { openStore } from '../../store/open.ts';
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

/** Undefined when nothing is known of the run. */
export async function describeRun(
  config: Config,
  entry: BoardEntry | undefined,
  history: History,
  archive: string,
  run: string,
): Promise<RunDetail | undefined> {
  const attempts = history.attemptsOf(archive, run);
  if (entry?.run === run) return describeLive(entry, attempts);
  const stored = await readStored(config, archive, run);
  const [last] = attempts;
  if (last === undefined && stored.manifest === undefined && stored.segments === undefined) return undefined;
  return {
    archive,
    run,
    status: stored.manifest !== undefined ? 'committed' : (last?.status ?? 'unfinished'),
    startedAt: stored.manifest?.startedAt ?? last?.startedAt ?? null,
    finishedAt: stored.manifest?.finishedAt ?? last?.finishedAt ?? null,
    rows: stored.manifest?.rows ?? last?.rows ?? 0,
    segments: withTroubles(stored.segments ?? [], last),
    error: stored.manifest === undefined ? (last?.error ?? stored.error ?? null) : null,
    manifest: stored.manifest ?? null,
    attempts,
    ...(stored.destinationError === undefined ? {} : { destinationError: stored.destinationError }),
  };
}

function describeLive({ archive, run, state, startedAt, progress }: BoardEntry, attempts: RunEnding[]): RunDetail {
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
  manifest?: Manifest | undefined;
  segments?: SegmentDetail[] | undefined;
  error?: ShownFailure | undefined;
  destinationError?: string;
}

async function readStored(config: Config, name: string, run: string): Promise<Stored> {
  const archive = archiveNamed(config, name);
  if (archive === undefined) return {};
  const store = openStore(destinationOf(config, archive));
  try {
    return await withDeadline(readFrom(new RunFolder(store, name, run)));
  } catch (error) {
    return { destinationError: scrub(errorText(error)) };
  } finally {
    store.close();
  }
}

async function readFrom(folder: RunFolder): Promise<Stored> {
  const manifest = await folder.manifest();
  if (manifest !== undefined) {
    const segments = manifest.objects.map(({ rows, bytes }, index) => segment(index, 'done', rows, bytes));
    return { manifest, segments };
  }
  const plan = (await folder.plan())?.plan;
  if (plan === undefined) return {};
  const { receipts } = await folder.receipts(plan.fingerprint);
  const done = new Map(receipts.map((receipt) => [receipt.segment, receipt]));
  const segments = plan.segments.map(({ index }) => {
    const receipt = done.get(index);
    return receipt === undefined
      ? segment(index, 'waiting', 0, 0)
      : segment(index, 'done', receipt.rows, receipt.bytes);
  });
  const failure = plan.ended?.failure;
  const error = failure && { code: failure.code, message: failure.message, hint: failure.hint };
  return { segments, error };
}

async function withDeadline<T>(reading: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new Error(`the destination did not answer within ${TIMEOUT_MS / 1000} s`));
  }, TIMEOUT_MS);
  try {
    return await Promise.race([reading, late.promise]);
  } finally {
    clearTimeout(timer);
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
