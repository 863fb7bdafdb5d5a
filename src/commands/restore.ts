/** `pgsluice restore`: brings the rows of a run back into Postgres. */
import { FailureError, UsageError } from '../base/errors.ts';
import { countOf, formatBytes, formatCount } from '../base/units.ts';
import { destinationOf, sourceNamed, sourceOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config, SourceConfig } from '../config/schema.ts';
import { tellTlsMeanings } from '../config/tls-meaning.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import { parseTableName } from '../postgres/identifiers.ts';
import { hasKey } from '../restore/judge-skip.ts';
import { restoreArchive } from '../restore/restore-archive.ts';
import {
  type KeyBounds,
  type RestoreRequest,
  type RestoreResult,
  SELF_REFERENCE_RULES,
  type TogetherRequest,
} from '../restore/request.ts';
import { openStore } from '../store/open.ts';
import type { ProgressSnapshot } from '../work/progress.ts';
import { Bindings } from '../work/bindings.ts';
import { Threads } from '../work/threads.ts';
import { chooseRuns, type WindowChoice } from '../windows/choose.ts';
import { readCommitted } from '../windows/committed.ts';
import { chooseDamaged } from '../windows/damaged.ts';
import { openKnownRuns } from '../windows/known-runs.ts';
import { isChoice, requireOneChoice } from './window-choice.ts';
import { describeFailure } from './terminal/failure.ts';
import { watchInterrupts } from './interrupt.ts';
import { EXIT } from './entry.ts';
import { chooseArchives, openConfig, openLog, type Invocation } from './invocation.ts';
import { printJson, printLines } from './terminal/print.ts';
import { progressOfRows } from './terminal/progress.ts';
import { openProgressBar } from './terminal/bar.ts';

/** The options as they were written. */
export interface RestoreOptions extends WindowChoice {
  run?: string;
  into?: string;
  source?: string;
  create: boolean;
  onConflict: string;
  selfReferences: string;
  keyFrom?: string;
  keyTo?: string;
  /** Each as it was typed, such as `domain_id=42`. */
  partition?: readonly string[];
}

export async function restoreCommand(invocation: Invocation, name: string, options: RestoreOptions): Promise<number> {
  const config = openConfig(invocation);
  const request = readRequest(config, name, options);
  const interrupt = watchInterrupts();
  try {
    const requests = isChoice(options) ? await requestWindows(config, request, options, interrupt.signal) : [request];
    const results = await restoreWithBar(invocation, config, requests, interrupt.signal);
    if (invocation.json) printJson(invocation, isChoice(options) ? results : results[0]);
    else for (const result of results) printResult(invocation, result);
    if (interrupt.interrupted) return EXIT.interrupted;
    requireSome(requests, results);
    return exitOf(results);
  } finally {
    interrupt.release();
  }
}

/** A value that no window has is a slip of the pen, and a few that lack it are not. Throws UsageError. */
function requireSome([request]: readonly RestoreRequest[], results: readonly RestoreResult[]): void {
  const { wanted = [], mayLack = false } = request?.partition ?? {};
  if (!mayLack || results.some(({ status, objects }) => status !== 'restored' || objects > 0)) return;
  throw new UsageError(`none of the windows has rows of ${wanted.join(', ')}`);
}

/** A window that is refused behind others that are back is no refusal of the whole, of which nothing would be there. */
function exitOf(results: readonly RestoreResult[]): number {
  const last = results.at(-1);
  if (last === undefined) return EXIT.done;
  return last.status === 'refused' && results.length > 1 ? EXIT.failed : EXITS[last.status];
}

const EXITS = { restored: EXIT.done, refused: EXIT.usage, failed: EXIT.failed } as const;

/**
 * A request for each run of the windows, oldest window first. What a later generation of a window has is newer than what the
 * one before it has: it goes first, and keys that are there then are skipped.
 */
async function requestWindows(
  config: Config,
  request: RestoreRequest,
  choice: WindowChoice,
  signal: AbortSignal,
): Promise<RestoreRequest[]> {
  const { archive } = request;
  const found = await readCommitted(config, archive, openKnownRuns(config, archive), signal);
  const [damaged] = chooseDamaged(archive, found, choice);
  // Rows would be left out without a word.
  if (damaged !== undefined) throw new FailureError(damaged.failure);
  const runs = chooseRuns(archive, found.committed, choice);
  if (runs.length === 0) throw new UsageError(`${archive.name} has no committed window of these dates`);
  const before = runs.slice(0, -1).map(({ run, finishedAt }) => ({ archive: archive.name, run, finishedAt }));
  // Of several generations of a window, those behind the newest.
  const further = new Set(runs.filter(({ window }, index) => window?.from === runs[index - 1]?.window?.from));
  const [first] = further;
  if (first !== undefined) await requireKey(config, archive, first.run, signal);
  return runs.map((chosen, index) => {
    const together: TogetherRequest = index === runs.length - 1 ? { isLast: true, before } : { isLast: false };
    const onConflict = further.has(chosen) ? 'skip' : request.onConflict;
    return { ...request, run: chosen.run, create: request.create && index === 0, onConflict, together };
  });
}

/** Before the first row comes back: a run beside another one of its window would bring most of its rows twice. */
async function requireKey(config: Config, archive: ArchiveConfig, run: string, signal: AbortSignal): Promise<void> {
  const store = openStore(destinationOf(config, archive), signal);
  try {
    const manifest = await new RunFolder(store, archive.name, run).manifest();
    if (manifest === undefined || hasKey(manifest)) return;
  } finally {
    store.close();
  }
  throw new UsageError(
    `the window of run ${run} has several runs, and the archive has no key, by which rows that they have in common come once: restore the runs that are wanted one by one, each by its id`,
  );
}

/** On a terminal the bar says how it goes, and the log only what is wrong. */
async function restoreWithBar(
  invocation: Invocation,
  config: Config,
  requests: readonly RestoreRequest[],
  signal: AbortSignal,
): Promise<RestoreResult[]> {
  const bar = openProgressBar(invocation.stderr, signal);
  const bindings = new Bindings();
  const generation = bindings.add(config);
  const threads = new Threads(config.workers, bindings, { use: 'restore' });
  const onProgress = (snapshot: ProgressSnapshot): void => {
    bar.update(progressOfRows(snapshot));
  };
  const quiet = invocation.stderr.isTTY && config.log.level === 'info';
  try {
    const log = openLog(invocation, config, { ...(quiet ? { level: 'warn' } : {}), above: bar.above });
    const results: RestoreResult[] = [];
    for (const request of requests) {
      tellTlsMeanings(log, [request.source]);
      const result = await restoreArchive({ config, generation, place: threads, log, signal, onProgress }, request);
      results.push(result);
      if (result.status !== 'restored') break;
    }
    return results;
  } finally {
    bar.close();
    await threads.close();
  }
}

function readRequest(config: Config, name: string, options: RestoreOptions): RestoreRequest {
  const [archive] = chooseArchives(config, [name]);
  if (archive === undefined) throw new UsageError(`there is no archive "${name}"`);
  const { run, onConflict, keyFrom, keyTo, partition: wanted = [] } = options;
  const selfReferences = SELF_REFERENCE_RULES.find((rule) => rule === options.selfReferences);
  requireOneChoice(archive, options);
  if (archive.window !== undefined && run === undefined && !isChoice(options))
    throw new UsageError(`${archive.name} is an archive of windows: name a run, or give --from and --to, or --all`);
  if (onConflict !== 'skip' && onConflict !== 'fail') {
    throw new UsageError(`--on-conflict ${onConflict}: must be skip or fail`);
  }
  if (selfReferences === undefined)
    throw new UsageError(`--self-references ${options.selfReferences}: must be ${SELF_REFERENCE_RULES.join(', ')}`);
  if (selfReferences === 'later' && isChoice(options))
    throw new UsageError(
      '--self-references later goes with one run: the rows of a window may refer to those of a later one',
    );
  const keys: KeyBounds = {
    ...(keyFrom === undefined ? {} : { from: keyFrom }),
    ...(keyTo === undefined ? {} : { to: keyTo }),
  };
  return {
    archive,
    run,
    source: chooseSource(config, archive, options.source),
    into: parseInto(options.into),
    create: options.create,
    onConflict,
    selfReferences,
    keys,
    ...(wanted.length === 0 ? {} : { partition: { wanted, mayLack: isChoice(options) } }),
  };
}

function chooseSource(config: Config, archive: ArchiveConfig, name: string | undefined): SourceConfig {
  if (name === undefined) return sourceOf(config, archive);
  const source = sourceNamed(config, name);
  if (source !== undefined) return source;
  throw new UsageError(`there is no source "${name}"; the config has ${Object.keys(config.sources).join(', ')}`);
}

/** Without a schema, where the rows go would depend on the search path of a role. */
function parseInto(text: string | undefined): { schema: string; table: string } {
  if (text === undefined) throw new UsageError('say where the rows go: --into schema.table');
  try {
    const { schema, table } = parseTableName(text);
    if (schema !== undefined) return { schema, table };
  } catch (error) {
    if (!(error instanceof FailureError)) throw error;
  }
  throw new UsageError(
    `--into ${text}: must be schema.table, with double quotes around names with capitals, blanks or dots`,
  );
}

function printResult(invocation: Invocation, result: RestoreResult): void {
  if (result.status === 'refused') {
    printLines(invocation, [`${nameOf(result)}: not restored, nothing was written`]);
    printLines(invocation, result.problems, invocation.stderr);
  } else printLines(invocation, describeResult(result));
}

/** Where no run was found there is none to name. */
function nameOf({ archive, run }: RestoreResult): string {
  return run === '' ? archive : `${archive} ${run}`;
}

function describeResult(result: RestoreResult): string[] {
  if (result.error !== undefined) {
    const dropped = (result.dropped ?? []).map((statement) => `  until it is done, or by hand: ${statement}`);
    return [...describeFailure(result.error, nameOf(result)), ...dropped];
  }
  const skipped = result.skipped === 0 ? '' : `, ${formatCount(result.skipped)} were there already`;
  const counted =
    result.counted === undefined ? '; counted as they went in' : `; counted there now: ${formatCount(result.counted)}`;
  return [
    `${result.archive} ${result.run}: ${countOf(result.rows, 'row')} in ${result.into}${skipped}${counted}`,
    `  ${countOf(result.objects, 'object')}, ${result.seconds.toFixed(1)} s, ${formatCount(result.rows / Math.max(result.seconds, 0.001))} rows/s`,
    `  peak worker heap ${formatBytes(result.peakHeapBytes)}, peak RSS ${formatBytes(result.peakRssBytes)}`,
    ...result.warnings.map((warning) => `  warning ${warning}`),
  ];
}
