/** `pgsluice run`: archives now, in the foreground. */
import { UsageError } from '../base/errors.ts';
import { countOf, formatBytes } from '../base/units.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { engineFallbacks } from '../run/engines.ts';
import type { ProgressSnapshot } from '../work/progress.ts';
import { Bindings } from '../work/bindings.ts';
import { Threads } from '../work/threads.ts';
import type { RunResult } from '../run/run-archive.ts';
import { runArchives } from '../run/run-all.ts';
import { formatRunId, parseRunId } from '../ledger/run-id.ts';
import { describeFailure } from './terminal/failure.ts';
import { watchInterrupts } from './interrupt.ts';
import { EXIT } from './entry.ts';
import { chooseArchives, openConfig, openLog, type Invocation } from './invocation.ts';
import { printJson, printLines } from './terminal/print.ts';
import { progressOfRows } from './terminal/progress.ts';
import { openProgressBar } from './terminal/bar.ts';

export interface RunOptions {
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
  const config = openConfig(invocation);
  const archives = archivesToRun(config, names, options);
  const id = options.runId ?? formatRunId(new Date());
  parseRunId(id);
  const interrupt = watchInterrupts();
  try {
    const results = await runWithBar(invocation, config, archives, id, interrupt.signal, options.verifySource);
    if (invocation.json) printJson(invocation, results);
    else printLines(invocation, results.flatMap(describeResult));
    if (interrupt.interrupted) return EXIT.interrupted;
    return results.every((result) => result.status !== 'failed') ? EXIT.done : EXIT.failed;
  } finally {
    interrupt.release();
  }
}

function archivesToRun(config: Config, names: readonly string[], options: RunOptions): ArchiveConfig[] {
  if (options.all === names.length > 0) {
    throw new UsageError('name the archives to run, or give --all (one of the two); example: pgsluice run fetch_queue');
  }
  return options.all ? Object.values(config.archives) : chooseArchives(config, names);
}

/** On a terminal the bar says how it goes, and the log only what is wrong. */
export async function runWithBar(
  invocation: Invocation,
  config: Config,
  archives: readonly ArchiveConfig[],
  id: string,
  signal: AbortSignal,
  verifySource = false,
): Promise<RunResult[]> {
  const bar = openProgressBar(invocation.stderr, signal);
  const bindings = new Bindings();
  const generation = bindings.add(config);
  const threads = new Threads(config.workers, bindings);
  threads.warmUp();
  const onProgress = (snapshot: ProgressSnapshot): void => {
    bar.update(progressOfRows(snapshot));
  };
  const quiet = invocation.stderr.isTTY && config.log.level === 'info';
  try {
    const log = openLog(invocation, quiet ? 'warn' : config.log.level);
    for (const fallback of engineFallbacks(config)) log.info(fallback);
    return await runArchives(
      { config, generation, place: threads, log, signal, onProgress, verifySource },
      archives,
      id,
    );
  } finally {
    bar.close();
    await threads.close();
  }
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
