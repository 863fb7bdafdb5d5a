/** `pgsluice list`: the runs that the destination holds. */
import type { FormerArchive } from '../audit/former-archives.ts';
import { toFailure, UsageError, type Failure } from '../base/errors.ts';
import { ownEntry } from '../base/own.ts';
import { NEVER } from '../base/signals.ts';
import { formatBytes, formatCount } from '../base/units.ts';
import { destinationOf, withArchives } from '../config/resolve.ts';
import type { ArchiveConfig, Config, DestinationConfig } from '../config/schema.ts';
import { archiveOfPatterns } from '../config/tables.ts';
import { isChosen, readChoices } from '../ledger/partitions.ts';
import type { ManifestSummary } from '../ledger/manifest.ts';
import { readRehearsals, type RehearsalResult } from '../ledger/rehearsals.ts';
import { listRuns, type StoredRun } from '../ledger/runs.ts';
import { expandByFolders } from '../run/expand.ts';
import { isWindowed } from '../run/subject.ts';
import { calendarLines } from '../windows/calendar-lines.ts';
import { openKnownRuns } from '../windows/known-runs.ts';
import { showWindows, survey, type Survey } from '../windows/survey.ts';
import type { WindowedArchive } from '../windows/window-source.ts';
import { openStore } from '../store/open.ts';
import { EXIT } from './entry.ts';
import { describeFormer, listedFormer } from './list-former.ts';
import { chooseArchives, openConfig, openLog, type Invocation } from './invocation.ts';
import { JsonList, printJson, printLines } from './terminal/print.ts';
import { Grid } from './terminal/grid.ts';

/** What `list --json` prints for a run; figures are null for a run that is not committed. Sizes in bytes. */
interface ListedRun {
  archive: string;
  run: string;
  status: 'committed' | 'unfinished' | 'failed';
  rows: number | null;
  objects: number | null;
  jsonBytes: number | null;
  bytes: number | null;
  finishedAt: string | null;
  /** Segments that are done, and that the plan has; null before a plan was made. */
  segmentsDone: number;
  segments: number | null;
  /** How the last try failed; null when it did not. */
  error: string | null;
  /** Its latest rehearsal; null where it was never rehearsed, and absent where audits.rehearse is. */
  rehearsal?: Pick<RehearsalResult, 'at' | 'status'> | null;
  /** Only of an archive that is not in the config, though its folder is there: and the destination that it lies in. */
  inConfig?: false;
  destination?: string;
}

/** An archive, and where its runs lie. */
interface Listed {
  archive: string;
  destination: DestinationConfig;
  isFormer: boolean;
}

export async function listCommand(
  invocation: Invocation,
  name: string | undefined,
  options: { windows: boolean; partition?: readonly string[] } = { windows: false },
): Promise<number> {
  const { partition = [] } = options;
  if (options.windows && partition.length > 0)
    throw new UsageError('--windows and --partition do not go together: leave one of them out');
  const written = openConfig(invocation);
  if (options.windows) return listWindows(invocation, written, name);
  const config = await withTablesThere(written, name);
  const log = openLog(invocation, config);
  const isEntry = name !== undefined && ownEntry(config.patterns, name) !== undefined;
  const former = isEntry ? [] : await listedFormer(config, name, log);
  const printer = invocation.json ? new JsonList(invocation) : new Table(invocation, partition, isRehearsed(config));
  /** Of archives that could not be listed: the others are what somebody looks for when one of several destinations is away. */
  const failures: { archive: string; destination: DestinationConfig; error: unknown; failure: Failure }[] = [];
  let block: ListedRun[] = [];
  for (const listed of archivesOf(config, name, former)) {
    const { archive, destination } = listed;
    // One that does not answer is not waited for again for each of its archives.
    const away = failures.find((failed) => failed.destination === destination && failed.failure.transient);
    if (away !== undefined) {
      failures.push({ ...away, archive });
      continue;
    }
    try {
      const rehearsed = isRehearsed(config) ? await readResults(invocation, config, listed) : undefined;
      for await (const run of listArchive(listed, partition)) {
        block.push(rehearsed === undefined ? run : { ...run, rehearsal: rehearsed.get(run.run) ?? null });
        if (block.length < PRINTED_AT_ONCE) continue;
        printer.add(block);
        block = [];
      }
    } catch (error) {
      failures.push({ archive, destination, error, failure: toFailure(error, 'verify') });
    }
  }
  printer.add(block);
  if (failures.length === 0) printer.end();
  else if (printer instanceof JsonList) printer.breakOff();
  if (!invocation.json) printLines(invocation, former.map(describeFormer));
  const [first, ...others] = failures;
  for (const { archive, failure } of others) log.warn({ archive, failure }, 'its runs cannot be listed');
  if (first !== undefined) throw first.error;
  return EXIT.done;
}

/** With what entries with `tables` have made, by what lies in their destinations. */
async function withTablesThere(config: Config, name: string | undefined): Promise<Config> {
  const entry = name === undefined ? undefined : ownEntry(config.patterns, name);
  if (name !== undefined && entry === undefined)
    return withArchives(config, [archiveOfPatterns(config, name) ?? []].flat());
  const found: ArchiveConfig[] = [];
  for (const one of entry === undefined ? Object.values(config.patterns) : [entry])
    found.push(...(await expandByFolders(config, one, NEVER)));
  return withArchives(config, found);
}

/** Those of the config first. */
function archivesOf(config: Config, name: string | undefined, former: readonly FormerArchive[]): Listed[] {
  const isNamed = (archive: ArchiveConfig): boolean =>
    ownEntry(config.patterns, name ?? '') === undefined ? archive.name === name : archive.entry === name;
  const archives = Object.values(config.archives).filter((archive) => name === undefined || isNamed(archive));
  return [
    ...archives.map((archive) => {
      return { archive: archive.name, destination: destinationOf(config, archive), isFormer: false };
    }),
    ...former.map(({ archive, destination }) => ({ archive, destination, isFormer: true })),
  ];
}

function isRehearsed({ audits }: Config): boolean {
  return audits?.rehearse !== undefined;
}

type Results = Map<string, NonNullable<ListedRun['rehearsal']>>;

/** By run id. What cannot be believed is told, and keeps no run from being listed. */
async function readResults(invocation: Invocation, config: Config, { archive, destination }: Listed): Promise<Results> {
  const store = openStore(destination, NEVER);
  try {
    const { results } = await readRehearsals(store, archive);
    return new Map(results.map(({ run, at, status }) => [run, { at, status }]));
  } catch (error) {
    const failure = toFailure(error, 'verify');
    openLog(invocation, config).warn({ archive, failure }, 'its rehearsals cannot be read');
    return new Map();
  } finally {
    store.close();
  }
}

/** There may be a million runs: no more than these are held. */
const PRINTED_AT_ONCE = 1000;

/** The windows of one archive as a calendar; with `--json`, as a list. */
async function listWindows(invocation: Invocation, config: Config, name: string | undefined): Promise<number> {
  const [archive] = name === undefined ? [] : chooseArchives(config, [name]);
  if (archive === undefined || !isWindowed(archive))
    throw new UsageError('--windows is for one archive with window:; example: pgsluice list events --windows');
  const { windows, sourceError } = await showWindows(config, archive, await surveyArchive(config, archive));
  if (sourceError !== undefined)
    openLog(invocation, config).warn(
      { archive: archive.name, failure: toFailure(sourceError, 'plan') },
      'the source does not say which windows have no rows: all without a run are shown as missing',
    );
  if (invocation.json) printJson(invocation, windows);
  else printLines(invocation, calendarLines(archive, windows));
  return EXIT.done;
}

async function surveyArchive(config: Config, archive: WindowedArchive): Promise<Survey> {
  const store = openStore(destinationOf(config, archive), NEVER);
  try {
    return await survey(store, archive, openKnownRuns(config, archive));
  } finally {
    store.close();
  }
}

async function* listArchive(listed: Listed, partition: readonly string[]): AsyncGenerator<ListedRun, void, undefined> {
  const place = listed.isFormer ? ({ inConfig: false, destination: listed.destination.name } as const) : {};
  for await (const run of readRuns(listed)) {
    const part = partition.length === 0 ? run : await partOf(run, partition);
    if (part !== undefined) yield { ...describeRun(part), ...place };
  }
}

/** A committed run as if it had the objects of these values alone; undefined for one that has none. */
async function partOf(run: StoredRun, partition: readonly string[]): Promise<SummedRun | undefined> {
  if (run.manifest === undefined) return undefined;
  const choices = readChoices(partition, run.manifest.partitionBy ?? []);
  if (typeof choices === 'string') return undefined;
  const sums = { rows: 0, jsonBytes: 0, bytes: 0 };
  let length = 0;
  for await (const { partition: values, rows, jsonBytes, bytes } of run.manifest.objects) {
    if (!isChosen(values, choices)) continue;
    length += 1;
    sums.rows += rows;
    sums.jsonBytes += jsonBytes;
    sums.bytes += bytes;
  }
  if (length === 0) return undefined;
  return { ...run, manifest: { ...run.manifest, ...sums, objects: { length } }, receipts: length };
}

/** A run, and of its manifest how many objects it names. */
type SummedRun = Omit<StoredRun, 'manifest'> & { manifest?: ManifestSummary };

async function* readRuns({ archive, destination }: Listed): AsyncGenerator<StoredRun, void, undefined> {
  // Nothing is to be tidied up: Ctrl-C ends the process.
  const store = openStore(destination, NEVER);
  try {
    yield* listRuns(store, archive);
  } finally {
    store.close();
  }
}

function describeRun({ archive, run, isCommitted, manifest, journal, problem, receipts }: SummedRun): ListedRun {
  const failure = problem ?? journal?.ended?.failure;
  return {
    archive,
    run,
    // A manifest of another run commits that one, and not the run that this folder is named for.
    status:
      isCommitted && problem?.code !== 'misplaced' ? 'committed' : failure === undefined ? 'unfinished' : 'failed',
    rows: manifest?.rows ?? null,
    objects: manifest?.objects.length ?? null,
    jsonBytes: manifest?.jsonBytes ?? null,
    bytes: manifest?.bytes ?? null,
    finishedAt: manifest?.finishedAt ?? null,
    segmentsDone: receipts,
    segments: manifest?.objects.length ?? journal?.segments.length ?? null,
    error: failure === undefined ? null : `${failure.code}: ${failure.message}`,
  };
}

/** For people. */
class Table {
  readonly #invocation: Invocation;
  readonly #grid: Grid;
  readonly #partition: readonly string[];
  #isEmpty = true;

  constructor(invocation: Invocation, partition: readonly string[], isRehearsed: boolean) {
    this.#invocation = invocation;
    this.#partition = partition;
    const columns = ['archive', 'run', 'status', 'segments', 'rows', 'stored', 'finished'];
    this.#grid = new Grid(isRehearsed ? [...columns, 'rehearsed'] : columns, [3, 4, 5]);
  }

  add(runs: readonly ListedRun[]): void {
    if (runs.length === 0) return;
    printLines(this.#invocation, this.#grid.format(runs.map(cellsOf)));
    this.#isEmpty = false;
  }

  end(): void {
    if (!this.#isEmpty) return;
    // Not of an archive that has runs, but none of what was asked for.
    const of = this.#partition.length === 0 ? '' : ` with rows of ${this.#partition.join(', ')}`;
    printLines(this.#invocation, [`no runs${of}`]);
  }
}

function describeRehearsal(rehearsal: NonNullable<ListedRun['rehearsal']> | null): string {
  return rehearsal === null ? 'never' : `${rehearsal.status} ${rehearsal.at}`;
}

function cellsOf(run: ListedRun): string[] {
  return [
    run.archive,
    run.run,
    run.status,
    `${run.segmentsDone}/${run.segments ?? '?'}`,
    run.rows === null ? '' : formatCount(run.rows),
    run.bytes === null ? '' : formatBytes(run.bytes),
    run.finishedAt ?? run.error ?? '',
    ...(run.rehearsal === undefined ? [] : [describeRehearsal(run.rehearsal)]),
  ];
}
