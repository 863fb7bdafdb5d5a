/** The story of one run: lock, snapshot, plan, dispatch, commit. */
import type { Client } from '../postgres/connect.ts';
import { Closers } from '../base/closers.ts';
import { FailureError, toFailure, type Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { maxRowBytes } from '../base/memory.ts';
import { destinationOf, sourceOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config, DestinationConfig, SourceConfig } from '../config/schema.ts';
import { endConnection } from '../postgres/connect.ts';
import { CODEC_FILES } from '../segment/compress/codec.ts';
import type { SegmentTask } from '../segment/task.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import { dispatchSegments } from './dispatch.ts';
import { archivePrefix, dataKey, fullKey, manifestKey } from './keys.ts';
import { buildManifest, commitManifest, readManifest, type Manifest, type ManifestObject } from './manifest.ts';
import { planRun, segmentSelect, type RunPlan } from './plan.ts';
import type { WorkerPool } from './pool.ts';
import { RunProgress, type ProgressListener } from './progress.ts';
import { parseRunId } from './run-id.ts';
import { openLock, openSession, type Session } from './session.ts';
import { sweepUploads } from './sweep.ts';

/** What a run needs besides its archive and its id. */
export interface RunContext {
  config: Config;
  pool: WorkerPool;
  log: Log;
  signal: AbortSignal;
  onProgress?: ProgressListener;
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
  /** Whether the run went on from the receipts of an earlier try. */
  resumed: boolean;
  error?: Failure;
}

/** The parts of one run that do not change while it goes on. */
interface Run {
  archive: ArchiveConfig;
  id: string;
  source: SourceConfig;
  destination: DestinationConfig;
  store: Store;
  log: Log;
  startedAt: Date;
}

/** Runs one archive under a run id. Never throws: how it ended is in the result, and has been logged. */
export async function runArchive(context: RunContext, archive: ArchiveConfig, id: string): Promise<RunResult> {
  const log = context.log.child({ archive: archive.name, run: id });
  const progress = new RunProgress(archive.name, id, context.onProgress);
  const started = performance.now();
  const summary = { peakHeapBytes: 0 };
  const describe = (): Pick<
    RunResult,
    'archive' | 'run' | 'seconds' | 'peakHeapBytes' | 'peakRssBytes' | 'resumed'
  > => ({
    archive: archive.name,
    run: id,
    seconds: Math.round(performance.now() - started) / 1000,
    peakHeapBytes: Math.max(summary.peakHeapBytes, progress.peakHeapBytes),
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    resumed: false,
  });
  log.info('run starts');
  try {
    const { manifest, url, status } = await execute(context, archive, id, log, progress, summary);
    const { rows, jsonBytes, bytes, objects } = manifest;
    const result: RunResult = { ...describe(), status, rows, objects: objects.length, jsonBytes, bytes, manifest: url };
    log.info(figures(result), status === 'committed' ? 'run committed' : 'run was committed before');
    return result;
  } catch (error) {
    const failure: Failure = { ...toFailure(error, 'worker'), archive: archive.name, run: id };
    const result: RunResult = {
      ...describe(),
      status: 'failed',
      rows: 0,
      objects: 0,
      jsonBytes: 0,
      bytes: 0,
      manifest: null,
      error: failure,
    };
    log.error(figures(result), 'run failed');
    return result;
  } finally {
    progress.end();
  }
}

/** The line of the log names the archive and the run already. */
function figures(result: RunResult): Omit<RunResult, 'archive' | 'run'> {
  const { archive: _archive, run: _run, ...rest } = result;
  return rest;
}

interface Ending {
  manifest: Manifest;
  url: string;
  status: 'committed' | 'already-committed';
}

async function execute(
  context: RunContext,
  archive: ArchiveConfig,
  id: string,
  log: Log,
  progress: RunProgress,
  summary: { peakHeapBytes: number },
): Promise<Ending> {
  const closers = new Closers();
  try {
    const run = openRun(context.config, archive, id, log);
    closers.add('the destination', () => {
      run.store.close();
    });
    const url = run.store.url + manifestKey(archive.name, id);
    const committed = await readManifest(run.store, archive.name, id);
    if (committed !== undefined) return { manifest: committed, url, status: 'already-committed' };

    const client = await openLock(run.source, archive.name, run.store.url + archivePrefix(archive.name));
    closers.add('the lock', () => endConnection(client));
    await sweepUploads(run.store, archive.name, log);
    const session = await openSession(client);
    const plan = await planOnce(client, run);
    progress.begin(plan);
    const objects = await archiveSegments(context, run, session, plan, progress, summary);
    const manifest = buildManifest({
      archive: archive.name,
      run: id,
      plan,
      source: session.identity,
      snapshot: session.snapshot,
      objects,
      startedAt: run.startedAt,
    });
    context.signal.throwIfAborted();
    await commitManifest(run.store, manifest);
    return { manifest, url, status: 'committed' };
  } finally {
    await closers.close();
  }
}

function openRun(config: Config, archive: ArchiveConfig, id: string, log: Log): Run {
  const destination = destinationOf(config, archive);
  return {
    archive,
    id,
    source: sourceOf(config, archive),
    destination,
    store: openStore(destination),
    log,
    startedAt: new Date(),
  };
}

async function planOnce(client: Client, run: Run): Promise<RunPlan> {
  const plan = await planRun(client, run.archive, parseRunId(run.id));
  run.log.debug({ by: plan.by, why: plan.why, segments: plan.segments.length, estimate: plan.estimate }, 'run planned');
  return plan;
}

async function archiveSegments(
  context: RunContext,
  run: Run,
  session: Session,
  plan: RunPlan,
  progress: RunProgress,
  summary: { peakHeapBytes: number },
): Promise<ManifestObject[]> {
  const objects: ManifestObject[] = [];
  const tasks = plan.segments.map((segment) => segmentTask(context.config, run, session, plan, segment));
  const done = await dispatchSegments(tasks, {
    pool: context.pool,
    log: run.log,
    retry: { attempts: run.archive.retry.attempts, backoffMs: run.archive.retry.backoff },
    parallel: run.archive.segments.parallel,
    signal: context.signal,
    onProgress: (segment, at) => {
      progress.update(segment, at);
    },
    onFinished: async (task, facts) => {
      progress.finish(task.segment, facts);
      objects[task.segment] = { ...facts, key: fullKey(run.destination, facts.key), snapshot: session.snapshot.id };
      return Promise.resolve();
    },
  });
  summary.peakHeapBytes = done.peakHeapBytes;
  return requireAll(objects, plan);
}

function segmentTask(
  config: Config,
  run: Run,
  session: Session,
  plan: RunPlan,
  segment: RunPlan['segments'][number],
): SegmentTask {
  const { archive, id } = run;
  const { subject } = plan;
  return {
    archive: archive.name,
    run: id,
    segment: segment.index,
    attempt: 1,
    source: { url: run.source.url, applicationName: `pgsluice ${archive.name}/${id}/${segment.index}` },
    snapshot: session.snapshot.id,
    select: segmentSelect(plan, segment),
    columns: subject.source.columns,
    subject: subject.name,
    keyColumns: keyColumnIndexes(plan),
    destination: run.destination,
    key: dataKey(archive.name, id, segment.index, CODEC_FILES[archive.compression.codec].extension),
    compression: archive.compression,
    ...(archive.contentEncoding === undefined ? {} : { contentEncoding: archive.contentEncoding }),
    maxRowBytes: maxRowBytes(config.workers.maxOldGenerationSizeMb),
  };
}

/** Where the key's columns stand among those that are read; none when a part of the key is left out. */
function keyColumnIndexes({ subject }: RunPlan): number[] {
  const indexes = subject.key.map((name) => subject.source.columns.findIndex((column) => column.name === name));
  return indexes.includes(-1) ? [] : indexes;
}

/** The plan and the objects must match one to one before a manifest may name them. */
function requireAll(objects: readonly ManifestObject[], plan: RunPlan): ManifestObject[] {
  const complete = plan.segments.flatMap((segment) => objects[segment.index] ?? []);
  if (complete.length === plan.segments.length) return complete;
  throw new FailureError({
    code: 'segment-missing',
    stage: 'commit',
    transient: false,
    message: `${complete.length} of ${plan.segments.length} segments have an object; the run is not committed`,
    hint: 'This is a defect in pgsluice. Please report it, with the log of the run.',
  });
}
