/** `pgsluice verify`: reads the objects of a run again and proves them against its manifest. */
import { UsageError } from '../base/errors.ts';
import { countOf, formatBytes, formatCount, formatDuration } from '../base/units.ts';
import { readableWindowBytes } from '../config/memory-sum.ts';
import { destinationOf } from '../config/resolve.ts';
import type { ArchiveConfig, DestinationConfig } from '../config/schema.ts';
import { problemOfManifest } from '../ledger/manifest-problem.ts';
import { describeMissingRun } from '../ledger/missing-run.ts';
import { findLatestCommitted } from '../ledger/runs.ts';
import { fullKey } from '../ledger/names.ts';
import { readChoices } from '../ledger/partitions.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import type { StoredManifest } from '../ledger/stored-manifest.ts';
import { byWindow, chooseRuns, type WindowChoice } from '../windows/choose.ts';
import { committedRuns, type KnownRuns } from '../windows/committed.ts';
import { chooseDamaged } from '../windows/damaged.ts';
import { openKnownRuns } from '../windows/known-runs.ts';
import { isChoice, requireOneChoice } from './window-choice.ts';
import { verifyChain, type ChainReport } from '../verify/chain.ts';
import { hasExpired } from '../verify/gone.ts';
import { describeHolds } from '../verify/holds.ts';
import { verifyRun, type Verification } from '../verify/run.ts';
import { VerifyThreads } from '../verify/threads.ts';
import type { Problem } from '../segment/verify/problems.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import { watchInterrupts } from './interrupt.ts';
import { EXIT } from './entry.ts';
import { chooseArchives, openConfig, type Invocation } from './invocation.ts';
import { openProgressBar } from './terminal/bar.ts';
import { JsonList, printJson, printJsonWithList, printLines, type WithList } from './terminal/print.ts';
import { progressOfBytes } from './terminal/progress.ts';

export interface VerifyCommandOptions extends WindowChoice {
  run?: string;
  /** How many objects to read, as it was typed. */
  sample?: string;
  /** Each as it was typed, such as `domain_id=42`. */
  partition?: readonly string[];
  chain?: boolean;
  /** The digest that was noted elsewhere, as it was typed. */
  head?: string;
}

/** What `verify --json` prints, with all objects at its end. Rows and sizes are those of the objects that were read. */
interface VerifyReport extends Verification {
  archive: string;
  /** Null when there is no committed run. */
  run: string | null;
  seconds: number;
  /** Its data objects are gone, as mayExpireAfter lets them be; absent else. */
  expired?: true;
}

export async function verifyCommand(
  invocation: Invocation,
  name: string,
  options: VerifyCommandOptions,
): Promise<number> {
  const sample = parseSample(options.sample);
  const head = parseHead(options);
  const config = openConfig(invocation);
  const [archive] = chooseArchives(config, [name]);
  if (archive === undefined) throw new UsageError(`there is no archive "${name}"`);
  requireOneChoice(archive, options);
  const destination = destinationOf(config, archive);
  const interrupt = watchInterrupts();
  const store = openStore(destination, interrupt.signal);
  const windowBytes = readableWindowBytes(config);
  const { partition = [] } = options;
  const threads = new VerifyThreads(config, archive);
  const { signal } = interrupt;
  const work: Work = { archive, destination, store, sample, partition, windowBytes, threads, signal };
  try {
    if (options.chain === true) return await verifyChainOf(invocation, work, head);
    if (isChoice(options)) return await verifyWindows(invocation, work, openKnownRuns(config, archive), options);
    const report = await verify(invocation, work, options.run);
    if (partition.length > 0 && lacksPartition(report))
      throw new UsageError(`run ${report.run ?? ''} has no rows of ${partition.join(', ')}`);
    if (invocation.json) await printJsonWithList(invocation, asJson(report));
    else await printReport(invocation, report);
    return report.ok ? EXIT.done : EXIT.different;
  } catch (error) {
    if (!interrupt.interrupted) throw error;
    return EXIT.interrupted;
  } finally {
    interrupt.release();
    await threads.close();
    store.close();
  }
}

async function verifyChainOf(
  invocation: Invocation,
  { store, archive }: Work,
  noted: string | undefined,
): Promise<number> {
  const report = await verifyChain(store, archive.name, noted);
  const isThere = report.runs + report.beforeChain.length + report.problems.length > 0;
  const isOk = report.ok && isThere;
  if (invocation.json) printJson(invocation, { archive: archive.name, ...report, ok: isOk });
  else printLines(invocation, describeChain(archive.name, report, isThere));
  return isOk ? EXIT.done : EXIT.different;
}

function describeChain(archive: string, report: ChainReport, isThere: boolean): string[] {
  const { ok, head, runs, beforeChain, notes, problems } = report;
  if (!isThere) return [`${archive}: there is no committed run of this archive`];
  const how = ok ? 'the chain is whole' : 'the chain is different';
  return [
    `${archive}: ${how}, ${countOf(runs, 'run')}`,
    ...(head === null ? [] : [`  head: ${head.sha256}, run ${head.run}`]),
    ...(beforeChain.length === 0
      ? []
      : [
          `  ${countOf(beforeChain.length, 'run')} from before the chain (${beforeChain[0] ?? ''} to ${beforeChain.at(-1) ?? ''}): nothing tells whether others are missing`,
        ]),
    ...notes.map((note) => `  ${note}`),
    ...problems.map(({ kind, message }) => `  ${kind}: ${message}`),
  ];
}

/** Windows one by one; a difference in one, or a manifest that cannot be believed, does not hide those of the next. */
async function verifyWindows(
  invocation: Invocation,
  work: Work,
  known: KnownRuns,
  choice: WindowChoice,
): Promise<number> {
  const found = await committedRuns(work.store, work.archive.name, known);
  const chosen = [
    ...chooseRuns(work.archive, found.committed, choice),
    ...chooseDamaged(work.archive, found, choice),
  ].sort(byWindow);
  const list = new JsonList(invocation);
  let [isOk, told] = [true, 0];
  for (const { run } of chosen) {
    const report = await verify(invocation, work, run).catch((error: unknown) => {
      list.breakOff();
      throw error;
    });
    // Not every window has rows of it.
    if (work.partition.length > 0 && lacksPartition(report)) continue;
    isOk &&= report.ok;
    told += 1;
    if (invocation.json) await list.addWithList(asJson(report));
    else await printReport(invocation, report);
  }
  if (told === 0 && chosen.length > 0)
    throw new UsageError(`none of the windows has rows of ${work.partition.join(', ')}`);
  if (invocation.json) list.end();
  else if (told === 0) printLines(invocation, [`${work.archive.name}: no committed window is chosen`]);
  // What proves nothing must not look like a proof.
  return isOk && told > 0 ? EXIT.done : EXIT.different;
}

function lacksPartition({ ok, expired, objectsTotal }: VerifyReport): boolean {
  return ok && expired === undefined && objectsTotal === 0;
}

interface Work {
  archive: ArchiveConfig;
  destination: DestinationConfig;
  store: Store;
  sample: number | undefined;
  partition: readonly string[];
  windowBytes: number;
  threads: VerifyThreads;
  signal: AbortSignal;
}

async function verify(invocation: Invocation, work: Work, id: string | undefined): Promise<VerifyReport> {
  const { archive, store } = work;
  const started = performance.now();
  const folder =
    id === undefined ? await findLatestCommitted(store, archive.name) : new RunFolder(store, archive.name, id);
  if (folder === undefined) return nothingToVerify(archive.name, null, 'there is no committed run of this archive');
  const { run } = folder;
  const manifest = await manifestOrProblem(folder);
  if ('message' in manifest) return nothingToVerify(archive.name, run, manifest.message);
  const choices = readChoices(work.partition, manifest.partitionBy ?? []);
  if (typeof choices === 'string') throw new UsageError(`run ${run}: ${choices}`);
  if (await hasExpired(archive, folder, manifest))
    return { ...nothingToVerify(archive.name, run), ok: true, expired: true };
  const bar = openProgressBar(invocation.stderr, work.signal);
  const read = performance.now();
  try {
    const verification = await verifyRun(folder, manifest, {
      keyPrefix: fullKey(work.destination, ''),
      sample: work.sample,
      choices,
      windowBytes: work.windowBytes,
      threads: work.threads,
      objectLock: work.destination.objectLock,
      retry: archive.retry,
      signal: work.signal,
      onProgress: (progress) => {
        bar.update(progressOfBytes(`verify ${archive.name}`, progress, performance.now() - read));
      },
    });
    const seconds = Math.round(performance.now() - started) / 1000;
    return { archive: archive.name, run, ...verification, seconds };
  } finally {
    bar.close();
  }
}

/** A manifest that cannot be read is a difference too; what helps is said with it, as with any failure. */
async function manifestOrProblem(folder: RunFolder): Promise<StoredManifest | Problem> {
  try {
    return (await folder.manifest()) ?? (await missingOrUnfinished(folder));
  } catch (error) {
    const problem = problemOfManifest(error);
    if (problem !== undefined) return { message: `${problem.message} (${problem.hint})` };
    throw error;
  }
}

/** A run that was begun is different from an archive; one that nobody began is a slip of the pen. */
async function missingOrUnfinished(folder: RunFolder): Promise<Problem> {
  const { wasBegun, message } = await describeMissingRun(folder);
  if (!wasBegun) throw new UsageError(message);
  return { message: 'this run is not committed: it has no manifest' };
}

function nothingToVerify(archive: string, run: string | null, message?: string): VerifyReport {
  const nothing = { rows: 0, jsonBytes: 0, bytes: 0, objectsRead: 0, objectsTotal: 0, seconds: 0 };
  const problems = message === undefined ? [] : [{ message }];
  return { archive, run, ok: false, ...nothing, objects: noObjects, problems, warnings: [] };
}

function parseSample(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`--sample must be a number of objects, not "${text}"`);
  return Number(text);
}

/** Throws UsageError for what cannot go together, or is no digest. */
function parseHead(options: VerifyCommandOptions): string | undefined {
  const { chain = false, head } = options;
  if (!chain && head !== undefined) throw new UsageError('--head goes with --chain');
  const others: [option: string, isGiven: boolean][] = [
    ['a run', options.run !== undefined],
    ['--sample', options.sample !== undefined],
    ['--partition', (options.partition ?? []).length > 0],
    ['--from, --to and --all', isChoice(options)],
  ];
  const other = others.find(([, isGiven]) => isGiven)?.[0];
  if (chain && other !== undefined)
    throw new UsageError(`--chain is about all runs of the archive, and reads no data: leave ${other} out`);
  if (head !== undefined && !/^[0-9a-f]{64}$/i.test(head))
    throw new UsageError(`--head must be a SHA-256 of 64 hex digits, as --chain prints it, not "${head}"`);
  return head?.toLowerCase();
}

async function* noObjects(): AsyncGenerator<never, undefined> {
  // There are none.
  return undefined;
}

/** `warnings` are of holds, and stand beside them. */
function asJson({ objects, warnings, ...rest }: VerifyReport): WithList {
  const document = rest.holds === undefined ? rest : { ...rest, warnings };
  return { document, field: 'objects', items: objects('all') };
}

async function printReport(invocation: Invocation, report: VerifyReport): Promise<void> {
  printLines(invocation, describeReport(report));
  if (report.ok) return;
  for await (const { key, problems } of report.objects('different'))
    printLines(
      invocation,
      problems.map((problem) => `  ${key}: ${describeProblem(problem)}`),
    );
}

function describeReport(report: VerifyReport): string[] {
  const subject = report.run === null ? report.archive : `${report.archive} ${report.run}`;
  const { objectsRead, objectsTotal } = report;
  const part =
    objectsRead === objectsTotal
      ? countOf(objectsTotal, 'object')
      : `a sample of ${formatCount(objectsRead)} of ${countOf(objectsTotal, 'object')}`;
  const [rows, bytes, took] = [
    countOf(report.rows, 'row'),
    formatBytes(report.bytes),
    formatDuration(report.seconds * 1000),
  ];
  // Of what differs, the manifest's figures are not what was found.
  const read = `read: ${formatCount(objectsRead)} of ${countOf(objectsTotal, 'object')}, by the manifest ${rows}, ${bytes}; ${took}`;
  const differences = report.problems.map((problem) => `  ${describeProblem(problem)}`);
  const notes = [
    ...(report.holds === undefined ? [] : [`  ${describeHolds(report.holds)}`]),
    ...report.warnings.map((warning) => `  warning: ${warning}`),
  ];
  if (report.expired === true)
    return [`${subject}: expired, nothing is left to be verified: its data is gone, as mayExpireAfter lets it be`];
  if (report.ok) return [`${subject}: verified, ${rows} in ${part}, ${bytes}, ${took}`, ...notes];
  return [`${subject}: different${objectsTotal === 0 ? '' : `; ${read}`}`, ...notes, ...differences];
}

function describeProblem({ line, message }: Problem): string {
  return line === undefined ? message : `line ${formatCount(line)}: ${message}`;
}
