/** `pgsluice run`: archives now, in the foreground. */
import { UsageError } from '../base/errors.ts';
import { countOf, formatBytes } from '../base/units.ts';
import { sourceOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { tellTlsMeanings } from '../config/tls-meaning.ts';
import { engineFallbacks } from '../run/engines.ts';
import type { ProgressSnapshot } from '../work/progress.ts';
import { Bindings } from '../work/bindings.ts';
import { openPlace } from '../work/open-place.ts';
import type { Place } from '../work/place.ts';
import { neverBegun, runArchive, type RunResult } from '../run/run-archive.ts';
import { runArchives } from '../run/run-all.ts';
import { isWindowed } from '../run/subject.ts';
import { formatRunId, generationOf, parseRunId } from '../ledger/run-id.ts';
import type { WindowsProgress } from '../windows/ahead.ts';
import { requireWindowChoice } from '../windows/choose.ts';
import { openKnownRuns } from '../windows/known-runs.ts';
import { makeWindows, type WindowRequest } from '../windows/make.ts';
import { describeFailure } from './terminal/failure.ts';
import { watchInterrupts } from './interrupt.ts';
import { EXIT } from './entry.ts';
import { chooseWithTables, openConfig, openLog, type Invocation } from './invocation.ts';
import { nextCommands } from './without-file.ts';
import { printJson, printLines } from './terminal/print.ts';
import { progressOfRows, progressOfWindows } from './terminal/progress.ts';
import { openProgressBar } from './terminal/bar.ts';

export interface RunOptions extends WindowRequest {
  all: boolean;
  runId?: string;
  /** Whether the archive is compared with its source before the commit. */
  verifySource?: boolean;
}

export async function runCommand(
  invocation: Invocation,
  names: readonly string[],
  options: RunOptions,
): Promise<number> {
  const written = openConfig(invocation);
  requireNames(names, options);
  const { config, archives, failures } = await chooseWithTables(written, names);
  requireWindowOptions(archives, options);
  const interrupt = watchInterrupts();
  try {
    const results = await runWithBar(invocation, config, archives, interrupt.signal, options);
    const run = options.runId ?? formatRunId(new Date());
    results.push(...failures.map((error) => neverBegun(error.archive ?? '', run, error)));
    if (invocation.json) printJson(invocation, results);
    else printLines(invocation, [...results.flatMap(describeResult), ...describeNext(invocation, results)]);
    if (interrupt.interrupted) return EXIT.interrupted;
    return results.every((result) => result.status !== 'failed') ? EXIT.done : EXIT.failed;
  } finally {
    interrupt.release();
  }
}

function requireNames(names: readonly string[], options: RunOptions): void {
  if (options.all === names.length > 0) {
    throw new UsageError('name the archives to run, or give --all (one of the two); example: pgsluice run fetch_queue');
  }
}

/** A run id names one window, or one run; the other options choose among windows. */
function requireWindowOptions(archives: readonly ArchiveConfig[], options: RunOptions): void {
  const { runId, all: _everyArchive, verifySource: _isCompared, ...request } = options;
  if (runId !== undefined) parseRunId(runId);
  const given = (['from', 'to', 'again'] as const).filter((name) => request[name] !== undefined);
  if (given.length > 0 && runId !== undefined) throw new UsageError(`--run-id names one run; leave --${given[0]} out`);
  for (const archive of archives) {
    requireWindowChoice(archive, request);
    if (!isWindowed(archive) && runId !== undefined && generationOf(runId) > 1)
      throw new UsageError(`${runId} is a further run of a window, and ${archive.name} is no archive of windows`);
  }
}

/** On a terminal the bar says how it goes, and the log only what is wrong. */
export async function runWithBar(
  invocation: Invocation,
  config: Config,
  archives: readonly ArchiveConfig[],
  signal: AbortSignal,
  { runId, verifySource = false, ...request }: Partial<RunOptions> = {},
): Promise<RunResult[]> {
  const id = runId ?? formatRunId(new Date());
  const bar = openProgressBar(invocation.stderr, signal);
  const bindings = new Bindings();
  const generation = bindings.add(config);
  let place: Place | undefined;
  const onProgress = (snapshot: ProgressSnapshot): void => {
    bar.update(progressOfRows(snapshot));
  };
  const startedAt = performance.now();
  const progress = (windows: WindowsProgress): void => {
    bar.update(progressOfWindows(windows, performance.now() - startedAt));
  };
  const quiet = invocation.stderr.isTTY && config.log.level === 'info';
  try {
    const log = openLog(invocation, config, { ...(quiet ? { level: 'warn' } : {}), above: bar.above });
    place = openPlace(config, bindings, log, { doesEmptyHere: true });
    for (const fallback of engineFallbacks(config)) log.info(fallback);
    tellTlsMeanings(
      log,
      archives.map((archive) => sourceOf(config, archive)),
    );
    const how = { config, generation, place, log, signal, onProgress, verifySource };
    return await runArchives(how, archives, async (archive, aside) =>
      isWindowed(archive) && runId === undefined
        ? makeWindows({ ...how, aside }, archive, openKnownRuns(config, archive), request, { progress })
        : [await runArchive({ ...how, aside }, archive, id)],
    );
  } finally {
    bar.close();
    await place?.close();
  }
}

/** Nothing else knows where the archive lies that was made without a config file. */
function describeNext({ typed }: Invocation, results: readonly RunResult[]): string[] {
  const isThere = results.every(({ error }) => error === undefined);
  return typed !== undefined && isThere ? nextCommands(typed) : [];
}

/** What a person wants to know of a run. */
export function describeResult(result: RunResult): string[] {
  if (result.error !== undefined) return describeFailure(result.error, `${result.archive} ${result.run}`);
  return [
    `${result.archive} ${result.run}: ${result.status}, ${countOf(result.rows, 'row')} in ${countOf(result.objects, 'object')}`,
    `  JSONL ${formatBytes(result.jsonBytes)}, stored ${formatBytes(result.bytes)}, ${result.seconds.toFixed(1)} s`,
    `  peak worker heap ${formatBytes(result.peakHeapBytes)}, peak RSS ${formatBytes(result.peakRssBytes)}`,
    `  ${result.manifest ?? ''}`,
  ];
}
