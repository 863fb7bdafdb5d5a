/** Runs one archive and says how it ended: the one place where a run is logged, however it ends. */
import { toFailure, type Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { retrying } from '../base/retry.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { executeRun, type Commit, type Execution } from './execute.ts';
import type { Manifest } from '../ledger/manifest.ts';
import type { Place } from '../work/place.ts';
import { RunProgress, type ProgressListener } from '../work/progress.ts';
import { openRun, type Run } from './run.ts';

/** What a run needs besides its archive and its id. */
export interface RunContext {
  config: Config;
  /** Of the config, as the place knows it. */
  generation: number;
  place: Place;
  log: Log;
  /** Aborts the run at once. */
  signal: AbortSignal;
  /** Lets the segments that are on end, and begins no other. */
  drain?: AbortSignal;
  onProgress?: ProgressListener;
  /** Whether the server's digest of the rows is compared with the archive's before the commit. */
  verifySource?: boolean;
  /** Gets the run's progress, to be looked at while the run goes on and after it. */
  onBegin?: (progress: RunProgress) => void;
}

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
  error?: Failure;
}

interface Ending extends Commit {
  url: string;
}

/** Runs one archive under a run id. Never throws: how it ended is in the result, and has been logged. */
export async function runArchive(context: RunContext, archive: ArchiveConfig, id: string): Promise<RunResult> {
  const log = context.log.child({ archive: archive.name, run: id });
  const execution: Execution = {
    config: context.config,
    generation: context.generation,
    place: context.place,
    progress: new RunProgress(archive.name, id, context.onProgress),
    signal: context.signal,
    drain: context.drain ?? new AbortController().signal,
    verifySource: context.verifySource ?? false,
  };
  context.onBegin?.(execution.progress);
  const started = performance.now();
  log.info('run starts');
  const ending = await endRun(openAndRun(context.config, archive, id, log, execution));
  execution.progress.end();
  const result: RunResult = {
    archive: archive.name,
    run: id,
    ...ending,
    seconds: Math.round(performance.now() - started) / 1000,
    peakHeapBytes: execution.progress.counts.peakHeapBytes,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    resumed: execution.progress.resumed,
    ...(ending.error === undefined ? {} : { error: { ...ending.error, archive: archive.name, run: id } }),
  };
  logResult(log, result, execution.progress.counts.retries);
  return result;
}

async function openAndRun(
  config: Config,
  archive: ArchiveConfig,
  id: string,
  log: Log,
  execution: Execution,
): Promise<Ending> {
  const run = openRun(config, archive, id, log);
  try {
    const committed = await findManifest(run, execution.signal);
    const commit: Commit =
      committed === undefined ? await executeRun(run, execution) : { status: 'already-committed', manifest: committed };
    if (commit.status === 'already-committed') await clearLeftJournal(run);
    return { ...commit, url: run.folder.manifestUrl };
  } finally {
    run.store.close();
  }
}

/** A destination that is busy for a moment must not cost the whole run before it has begun. */
async function findManifest(run: Run, signal: AbortSignal): Promise<Manifest | undefined> {
  const policy = run.archive.retry;
  return retrying(
    policy,
    signal,
    () => run.folder.manifest(),
    (error, attempt, isLast) => {
      const failure = toFailure(error, 'journal');
      if (failure.transient && !isLast)
        run.log.warn({ failure, attempt, attempts: policy.attempts }, 'the destination failed, it is tried again');
      return failure.transient;
    },
  );
}

/** A process that was killed right after its commit, or could not read its manifest back, left its journal. */
async function clearLeftJournal(run: Run): Promise<void> {
  try {
    await run.folder.clearJournal();
  } catch (error) {
    run.log.warn({ failure: toFailure(error, 'journal') }, 'the journal of a committed run could not be removed');
  }
}

type EndingFigures = Pick<RunResult, 'status' | 'rows' | 'objects' | 'jsonBytes' | 'bytes' | 'manifest' | 'error'>;

async function endRun(running: Promise<Ending>): Promise<EndingFigures> {
  try {
    const { status, manifest, url } = await running;
    const { rows, jsonBytes, bytes, objects } = manifest;
    return { status, rows, objects: objects.length, jsonBytes, bytes, manifest: url };
  } catch (error) {
    const failure = toFailure(error, 'worker');
    return { status: 'failed', rows: 0, objects: 0, jsonBytes: 0, bytes: 0, manifest: null, error: failure };
  }
}

/** The line's context names the archive and the run already. */
function logResult(log: Log, { archive: _archive, run: _run, ...figures }: RunResult, retries: number): void {
  switch (figures.status) {
    case 'committed':
      log.info({ ...figures, retries }, 'run committed');
      break;
    case 'already-committed':
      log.info(figures, 'run was committed before');
      break;
    case 'failed':
      if (figures.error?.code === 'locked') log.warn(figures, 'run skipped: another process runs this archive');
      else if (figures.error?.code === 'drained')
        log.warn({ ...figures, retries }, 'run stopped, to be taken up again');
      else log.error({ ...figures, retries }, 'run failed');
      break;
  }
}
