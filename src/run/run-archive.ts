/** Runs one archive and says how it ended: the one place where a run is logged, however it ends. */
import { fail, toFailure, type Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { peakRssBytes } from '../base/peak-rss.ts';
import { retrying } from '../base/retry.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import { executeRun, type Commit } from './execute.ts';
import type { ManifestSummary } from '../ledger/manifest.ts';
import { JOURNAL_STAYS, unlessDenied } from '../ledger/optional-rights.ts';
import { RunProgress } from '../work/progress.ts';
import { watchStall } from '../work/trouble-log.ts';
import { parseTableName } from '../postgres/identifiers.ts';
import { writeTableName } from '../postgres/table-pattern.ts';
import { openRun, type Run, type RunOptions } from './run.ts';
import { isTable } from './same-table.ts';

/** How a run ended: what `run --json` prints for it. Sizes in bytes. */
export interface RunResult {
  archive: string;
  run: string;
  status: 'committed' | 'already-committed' | 'failed';
  rows: number;
  objects: number;
  jsonBytes: number;
  bytes: number;
  seconds: number;
  /** URL of the manifest; null when there is none. */
  manifest: string | null;
  /** Largest heap of a worker thread that was seen. */
  peakHeapBytes: number;
  /** Largest resident set of the whole process so far. */
  peakRssBytes: number;
  /** Whether the run went on from receipts: of an earlier try, or of a session that was lost. */
  resumed: boolean;
  /** The host whose process had begun the run, where another one did. */
  takenUpFrom?: string;
  /** How long it was held up by the archive's pace; absent where it never was. */
  pausedSeconds?: number;
  error?: Failure;
}

interface Ending extends Commit {
  url: string;
}

/** The result of what kept a run from being begun: no such table, no answer. It was told of by who found it. */
export function neverBegun(archive: string, run: string, error: Failure): RunResult {
  return {
    ...{ archive, run, status: 'failed', rows: 0, objects: 0, jsonBytes: 0, bytes: 0, seconds: 0 },
    ...{ manifest: null, peakHeapBytes: 0, peakRssBytes: peakRssBytes(), resumed: false },
    error,
  };
}

/** Runs one archive under a run id. Never throws: how it ended is in the result, and has been logged. */
export async function runArchive(options: RunOptions, archive: ArchiveConfig, id: string): Promise<RunResult> {
  const log = options.log.child({ archive: archive.name, run: id });
  const progress = new RunProgress(archive.name, id, options.onProgress);
  options.onBegin?.(progress);
  const started = performance.now();
  log.info('run starts');
  const stopWatching = watchStall(log, progress, options.stalledAfterMs);
  const ending = await endRun(() => openAndRun(openRun({ ...options, log }, archive, id, progress)));
  stopWatching();
  progress.end();
  const pausedSeconds = Math.round(progress.pauses?.totalMs ?? 0) / 1000;
  const result: RunResult = {
    archive: archive.name,
    run: id,
    ...ending,
    seconds: Math.round(performance.now() - started) / 1000,
    peakHeapBytes: progress.counts.peakHeapBytes,
    peakRssBytes: peakRssBytes(),
    resumed: progress.resumed,
    ...(progress.takenUpFrom === undefined ? {} : { takenUpFrom: progress.takenUpFrom }),
    ...(pausedSeconds === 0 ? {} : { pausedSeconds }),
    ...(ending.error === undefined ? {} : { error: { ...ending.error, archive: archive.name, run: id } }),
  };
  logResult(log, result, progress);
  return result;
}

async function openAndRun(run: Run): Promise<Ending> {
  try {
    const { isNew, committed } = await lookAtFolder(run);
    const commit: Commit =
      committed === undefined ? await executeRun(run, isNew) : { status: 'already-committed', manifest: committed };
    if (commit.status === 'already-committed') {
      requireSameTable(run, commit.manifest);
      await clearLeftJournal(run);
    }
    return { ...commit, url: run.folder.manifestUrl };
  } finally {
    await run.close();
  }
}

/** Whether nothing lies there yet; and the manifest, when the run is committed. */
interface FolderLook {
  isNew: boolean;
  committed?: ManifestSummary | undefined;
}

/** A destination that is busy for a moment must not cost the whole run before it has begun. */
async function lookAtFolder(run: Run): Promise<FolderLook> {
  const policy = run.archive.retry;
  return retrying(
    policy,
    run.signal,
    async () =>
      (await run.folder.isEmpty()) ? { isNew: true } : { isNew: false, committed: await run.folder.manifest() },
    (error, attempt, isLast) => {
      const failure = toFailure(error, 'journal');
      if (failure.transient && !isLast)
        run.log.warn({ failure, attempt, attempts: policy.attempts }, 'the destination failed, it is tried again');
      return failure.transient;
    },
  );
}

/** The name of an archive may have come to another table, or stand for two that were named by hand: the rows asked for are not there. */
function requireSameTable({ archive, id }: Run, { table: committed }: ManifestSummary): void {
  if (archive.table === undefined) return;
  if (committed !== undefined && isTable(archive.table, committed)) return;
  const found = committed === undefined ? 'a query' : `table ${committed}`;
  throw fail('other-table', {
    stage: 'journal',
    message: `run ${id} is committed, but holds the rows of ${found}, and not those of ${writeTableName(parseTableName(archive.table))}`,
  });
}

/** A process that was killed right after its commit, or could not read its manifest back, left its journal. */
async function clearLeftJournal(run: Run): Promise<void> {
  try {
    await unlessDenied(run.log, run.folder.store, JOURNAL_STAYS, () => run.folder.clearJournal());
  } catch (error) {
    run.log.warn({ failure: toFailure(error, 'journal') }, 'the journal of a committed run could not be removed');
  }
}

type EndingFigures = Pick<RunResult, 'status' | 'rows' | 'objects' | 'jsonBytes' | 'bytes' | 'manifest' | 'error'>;

async function endRun(work: () => Promise<Ending>): Promise<EndingFigures> {
  try {
    const { status, manifest, url } = await work();
    const { rows, jsonBytes, bytes, objects } = manifest;
    return { status, rows, objects: objects.length, jsonBytes, bytes, manifest: url };
  } catch (error) {
    const failure = toFailure(error, 'worker');
    return { status: 'failed', rows: 0, objects: 0, jsonBytes: 0, bytes: 0, manifest: null, error: failure };
  }
}

/** The line's context names the archive and the run already. */
function logResult(
  log: Log,
  { archive: _archive, run: _run, ...figures }: RunResult,
  { counts: { retries }, headSha256 }: RunProgress,
): void {
  switch (figures.status) {
    case 'committed':
      log.info({ ...figures, retries, headSha256 }, 'run committed');
      break;
    case 'already-committed':
      log.info(figures, 'run was committed before');
      break;
    case 'failed':
      logFailed(log, { ...figures, retries });
      break;
  }
}

/** What was ended from outside, or is in progress elsewhere, is no fault. */
function logFailed(log: Log, figures: Pick<RunResult, 'error'> & { retries: number }): void {
  switch (figures.error?.code) {
    case 'locked':
      log.warn(figures, 'run skipped: another process runs this archive');
      break;
    case 'taken-over':
      log.warn(figures, 'run given up: another process goes on with it');
      break;
    case 'cancelled-elsewhere':
    case 'failed-elsewhere':
      log.warn(figures, `run skipped: ${figures.error.message}`);
      break;
    case 'drained':
    case 'stopped':
      log.warn(figures, 'run stopped, to be taken up again');
      break;
    case 'cancelled':
    case 'interrupted':
      log.info(figures, `run ${figures.error.code}`);
      break;
    default:
      log.error(figures, 'run failed');
  }
}
