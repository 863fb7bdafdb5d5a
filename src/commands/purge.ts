/** `pgsluice purge`: deletes from the source what a run was proved to hold. */
import { UsageError } from '../base/errors.ts';
import { countOf, formatCount, formatDuration } from '../base/units.ts';
import { sourceNamed, sourceOf } from '../config/resolve.ts';
import type { Config } from '../config/schema.ts';
import { tellTlsMeanings } from '../config/tls-meaning.ts';
import { isRunId } from '../ledger/run-id.ts';
import { OUTCOMES, type Outcome } from '../ledger/purge.ts';
import { purgeRun } from '../purge/purge-run.ts';
import type { PurgeContext, PurgeQuestion, PurgeRequest, PurgeResult, PurgeStatus } from '../purge/request.ts';
import { linesOf } from '../purge/tally.ts';
import { EXIT } from './entry.ts';
import { watchInterrupts } from './interrupt.ts';
import { chooseArchives, openConfig, openLog, type Invocation } from './invocation.ts';
import { describeFailure } from './terminal/failure.ts';
import { printJson, printLines } from './terminal/print.ts';
import { PurgeBar } from './terminal/purge-bar.ts';
import { askYesOrNo } from './terminal/question.ts';

export interface PurgeOptions {
  runs: readonly string[];
  execute: boolean;
  /** Purges anew what was purged or restored before. */
  again?: boolean;
  /** Does not ask at a terminal. */
  yes: boolean;
}

const EXITS: Readonly<Record<PurgeStatus, number>> = {
  purged: EXIT.done,
  counted: EXIT.done,
  stopped: EXIT.failed,
  failed: EXIT.failed,
  refused: EXIT.usage,
  different: EXIT.different,
};
/** The worst first. */
const ORDER: readonly number[] = [EXIT.different, EXIT.failed, EXIT.usage, EXIT.done];

export async function purgeCommand(invocation: Invocation, name: string, options: PurgeOptions): Promise<number> {
  const config = openConfig(invocation);
  const interrupt = watchInterrupts();
  try {
    const requests = readRequests(invocation, config, name, options, interrupt.signal);
    const results: PurgeResult[] = [];
    for (const request of requests) {
      if (interrupt.interrupted) break;
      const result = await purgeWithBar(invocation, config, request, interrupt.signal);
      results.push(result);
      if (!invocation.json) printResult(invocation, result);
    }
    if (invocation.json) printJson(invocation, results);
    if (interrupt.interrupted) return EXIT.interrupted;
    const codes = new Set(results.map(({ status }) => EXITS[status]));
    return ORDER.find((code) => codes.has(code)) ?? EXIT.done;
  } finally {
    interrupt.release();
  }
}

function readRequests(
  invocation: Invocation,
  config: Config,
  name: string,
  { runs, execute, yes, again = false }: PurgeOptions,
  signal: AbortSignal,
): PurgeRequest[] {
  const [archive] = chooseArchives(config, [name]);
  if (archive === undefined) throw new UsageError(`there is no archive "${name}"`);
  const { purge } = archive;
  if (purge === undefined)
    throw new UsageError(
      `${name} has no purge in the config, so that nothing of it is ever deleted; see docs/purge.md`,
    );
  if (again && (runs.length === 0 || runs.includes('latest')))
    throw new UsageError('--again is for a run that is named');
  const bad = runs.filter((run) => run !== 'latest' && !isRunId(run));
  if (bad.length > 0) throw new UsageError(bad.map((run) => `${run} is no run id, such as 20261123T021500Z`));
  const source = purge.source === undefined ? sourceOf(config, archive) : sourceNamed(config, purge.source);
  if (source === undefined) throw new UsageError(`there is no source "${purge.source ?? ''}"`);
  const isAsked = execute && !yes && !invocation.json && process.stdin.isTTY && invocation.stdout.isTTY;
  return [...new Set(runs.length === 0 ? ['latest'] : runs)].map((run) => ({
    archive: { ...archive, purge },
    run: run === 'latest' ? undefined : run,
    byAge: run === 'latest',
    source,
    execute,
    again,
    ...(isAsked ? { confirm: (what) => ask(archive.name, what, signal) } : {}),
  }));
}

async function ask(
  archive: string,
  { run, table, lines, partition }: PurgeQuestion,
  signal: AbortSignal,
): Promise<boolean> {
  const wanted =
    partition === undefined
      ? `Delete from ${table} those that are unchanged?`
      : `${partition.then === 'drop' ? 'Drop' : 'Detach'} the partition ${partition.name} of ${table}, which holds these alone?`;
  return askYesOrNo(`${archive} ${run}: all ${countOf(lines, 'row')} are proved. ${wanted}`, signal);
}

async function purgeWithBar(
  invocation: Invocation,
  config: Config,
  request: PurgeRequest,
  signal: AbortSignal,
): Promise<PurgeResult> {
  const quiet = invocation.stderr.isTTY && config.log.level === 'info';
  const bar = new PurgeBar(invocation.stderr, request, signal);
  const context: PurgeContext = {
    config,
    log: openLog(invocation, config, { ...(quiet ? { level: 'error' } : {}), above: (text) => bar.above(text) }),
    signal,
    onProof: (progress) => bar.proof(progress),
    onProgress: (progress) => bar.progress(progress),
    onPauses: (pauses) => bar.watch(pauses),
  };
  try {
    tellTlsMeanings(context.log, [request.source]);
    const { confirm } = request;
    if (confirm === undefined) return await purgeRun(context, request);
    const askBetween: typeof confirm = async (what) => bar.aside(() => confirm(what));
    return await purgeRun(context, { ...request, confirm: askBetween });
  } finally {
    bar.close();
  }
}

const WHY: Readonly<Record<Exclude<Outcome, 'deleted'>, string>> = {
  absent: 'are not there any more',
  changed: 'were changed since',
  locked: 'are locked by somebody: purge again',
  referenced: 'are referred to by other rows',
  inexact: 'hold what a line does not tell, such as JSON null',
  kept: 'were kept by a trigger',
};

function printResult(invocation: Invocation, result: PurgeResult): void {
  const subject = `${result.archive} ${result.run}`.trimEnd();
  const { status, problems, differences, error } = result;
  if (status === 'refused') {
    const { partition } = result;
    const stands = partition === undefined ? '' : `; partition ${partition.name} is ${partition.state}`;
    printLines(invocation, [`${subject}: refused, nothing was deleted${stands}`]);
    const lines = problems.flatMap((problem) => describeFailure(problem));
    printLines(invocation, lines, invocation.stderr);
  } else if (status === 'different') {
    printLines(invocation, [`${subject}: the archive is not what its manifest says; from then on nothing was deleted`]);
    printLines(invocation, differences, invocation.stderr);
  } else if (error === undefined) printLines(invocation, describeTotals(subject, result));
  else printLines(invocation, describeFailure(error, subject));
}

function describeTotals(subject: string, result: PurgeResult): string[] {
  const { status, lines, totals, seconds, mayGoOn, vacuum, partition, warnings } = result;
  if (partition !== undefined && status !== 'stopped') return [describePartition(subject, result, partition)];
  const did = status === 'counted' ? 'would be deleted (dry run; --execute deletes)' : 'deleted';
  const stopped = status === 'stopped' ? `; ${describeStop(result)}` : '';
  const stayed = OUTCOMES.flatMap((outcome) =>
    outcome === 'deleted' || totals[outcome] === 0 ? [] : [`  ${formatCount(totals[outcome])} ${WHY[outcome]}`],
  );
  return [
    `${subject}: ${formatCount(totals.deleted)} of ${countOf(lines, 'row')} ${did}, ${formatDuration(seconds * 1000)}${stopped}`,
    ...stayed,
    ...warnings.map((warning) => `  ${warning}`),
    ...(mayGoOn ? ['  some of these may go by a further purge of this run'] : []),
    ...(vacuum === undefined
      ? []
      : [
          `  about ${countOf(vacuum.deadRows, 'row')} of the table are dead: ${vacuum.statement}; the file does not shrink`,
        ]),
  ];
}

function describeStop({ totals, stoppedBy }: PurgeResult): string {
  if (linesOf(totals) === 0) return 'it was not begun';
  const why = stoppedBy === 'maxDuration' ? 'its purge.maxDuration is over' : 'broken off';
  return `${why}, give the same command again to go on`;
}

/** It goes whole, or not at all. */
function describePartition(
  subject: string,
  { status, lines, seconds, archive }: PurgeResult,
  { name, state }: NonNullable<PurgeResult['partition']>,
): string {
  const rows = countOf(lines, 'row');
  const took = formatDuration(seconds * 1000);
  if (state === 'gone') return `${subject}: its partition ${name} is not there any more, ${took}`;
  if (status === 'counted')
    return `${subject}: ${name} holds the ${rows} of the run alone, and would go (dry run; --execute does it), ${took}`;
  const kept = state === 'detached' ? `; it is a table of its own now, no more part of ${archive}` : '';
  return `${subject}: partition ${name} with its ${rows} was ${state}${kept}, ${took}`;
}
