/** `pgsluice plan --late`: tells which archived windows have more rows in the source than were archived. Writes nothing. */
import { toFailure, UsageError, type Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { countOf, formatCount } from '../base/units.ts';
import { destinationOf, sourceOf } from '../config/resolve.ts';
import type { Stretch } from '../calendar/windows.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { withConnection, type Client } from '../postgres/connect.ts';
import { isWindowed } from '../run/subject.ts';
import { openStore } from '../store/open.ts';
import { rangeOf, requireWindowChoice, type WindowChoice } from '../windows/choose.ts';
import {
  archivedWindows,
  countWindows,
  type ArchivedWindow,
  type CountedWindow,
  type Incomparable,
} from '../windows/count-late.ts';
import { readInput } from '../windows/look.ts';
import { nextGeneration, takenIds, type MissingInput } from '../windows/missing.ts';
import type { WindowedArchive } from '../windows/window-source.ts';
import { EXIT } from './entry.ts';
import { watchInterrupts } from './interrupt.ts';
import { chooseWithTables, openConfig, openLog, type Invocation } from './invocation.ts';
import { openProgressBar, type ProgressBar } from './terminal/bar.ts';
import { bothEnds } from './terminal/both-ends.ts';
import { describeFailure } from './terminal/failure.ts';
import { printJson, printLines } from './terminal/print.ts';
import { progressOfWindows } from './terminal/progress.ts';

/** A window with more rows than were archived, or than its purge left. */
interface LateWindow {
  /** Its latest run. */
  run: string;
  from: string;
  to: string;
  expected: number;
  rows: number;
  late: number;
  /** What archives them. */
  command: string;
}

/** What `plan --late --json` prints for an archive. */
export interface LateReport {
  archive: string;
  window: { column: string; every: string; timezone: string };
  /** False where each count would read the whole table. */
  counted: boolean;
  /** Windows that are archived, and what was counted of them in the source. */
  windows: number;
  rows: number;
  lateRows: number;
  late: LateWindow[];
  /** Windows with fewer rows than were archived, but some; and rows that they lack. Late ones may hide behind them. */
  fewer: { windows: number; rows: number };
  /** Windows without any row now. */
  emptied: number;
  incomparable: { run: string; why: Incomparable }[];
  /** The same as of each window, with one command for those that follow one another. */
  commands: string[];
  warnings: string[];
}

type AnyReport = LateReport | { archive: string; error: Failure };

interface How {
  config: Config;
  options: WindowChoice;
  bar: ProgressBar;
  log: Log;
  signal: AbortSignal;
}

export async function planLateCommand(
  invocation: Invocation,
  names: readonly string[],
  { runId, ...options }: WindowChoice & { runId?: string },
): Promise<number> {
  if (runId !== undefined) throw new UsageError('--late counts windows by their dates; leave --run-id out');
  const { config, archives: chosen, failures } = await chooseWithTables(openConfig(invocation), names);
  const archives = archivesOf(chosen, names, options);
  const interrupt = watchInterrupts();
  const bar = openProgressBar(invocation.stderr, interrupt.signal);
  const log = openLog(invocation, config, { above: bar.above });
  const reports: AnyReport[] = [];
  try {
    for (const archive of archives)
      if (!interrupt.interrupted)
        reports.push(await reportLate({ config, options, bar, log, signal: interrupt.signal }, archive));
  } finally {
    bar.close();
    interrupt.release();
  }
  if (interrupt.interrupted) return EXIT.interrupted;
  reports.push(...failures.map((error) => ({ archive: error.archive ?? '', error })));
  if (invocation.json) printJson(invocation, reports);
  else printLines(invocation, reports.flatMap(describeReport));
  return reports.some((report) => 'error' in report) ? EXIT.usage : EXIT.done;
}

/** Those with windows, unless others are named. Throws UsageError. */
function archivesOf(
  chosen: readonly ArchiveConfig[],
  names: readonly string[],
  options: WindowChoice,
): WindowedArchive[] {
  const windowed = chosen.filter(isWindowed);
  const [other] = names.length === 0 ? [] : chosen.filter((archive) => !isWindowed(archive));
  if (other !== undefined) throw new UsageError(`--late is for archives with window:, and ${other.name} has none`);
  if (windowed.length === 0) throw new UsageError('--late is for archives with window:, and the config has none');
  for (const archive of windowed) requireWindowChoice(archive, options);
  return windowed;
}

async function reportLate(how: How, archive: WindowedArchive): Promise<AnyReport> {
  const target = { url: sourceOf(how.config, archive).url, applicationName: `pgsluice plan ${archive.name}` };
  try {
    return await withConnection(target, (client) => countLate(how, client, archive), how.signal);
  } catch (error) {
    return { archive: archive.name, error: { ...toFailure(error, 'plan'), archive: archive.name } };
  }
}

async function countLate(how: How, client: Client, archive: WindowedArchive): Promise<LateReport> {
  const { config, options, bar, log, signal } = how;
  const found = await readInput(client, config, archive);
  const input: MissingInput = { ...found, range: rangeOf(found.source.calendar, options) };
  const windows = archivedWindows(input);
  const { createIndex } = input.source;
  if (createIndex !== undefined) return notCounted(archive, windows.length, createIndex);
  const rows = windows.reduce((sum, { latest }) => sum + (latest?.rows ?? 0), 0);
  log.info(
    { archive: archive.name, windows: windows.length, rows },
    'counting the rows of archived windows in the source',
  );
  const startedAt = performance.now();
  const store = openStore(destinationOf(config, archive), signal);
  const counted: CountedWindow[] = [];
  const onWindow = (done: number): void => {
    const run = windows[done]?.latest?.run;
    const progress = { archive: archive.name, run, done, total: windows.length };
    bar.update(progressOfWindows(progress, performance.now() - startedAt));
  };
  try {
    for await (const window of countWindows(input, windows, store, onWindow)) {
      signal.throwIfAborted();
      counted.push(window);
    }
  } finally {
    store.close();
  }
  return judge(input, windows, counted);
}

function emptyReport({ name, window, timezone }: WindowedArchive, windows: number): LateReport {
  return {
    ...{ archive: name, window: { column: window.column, every: window.every, timezone }, counted: true, windows },
    ...{ rows: 0, lateRows: 0, late: [], fewer: { windows: 0, rows: 0 }, emptied: 0, incomparable: [] },
    ...{ commands: [], warnings: [] },
  };
}

function notCounted(archive: WindowedArchive, windows: number, createIndex: string): LateReport {
  const why = `not counted: no index leads with ${archive.window.column}, so that each window would read the whole table: ${createIndex}`;
  return { ...emptyReport(archive, windows), counted: false, warnings: [why] };
}

function judge(input: MissingInput, windows: readonly ArchivedWindow[], counted: readonly CountedWindow[]): LateReport {
  const report = emptyReport(input.archive, windows.length);
  let together: Late | undefined;
  const commands: Late[] = [];
  for (const window of counted) {
    if ('incomparable' in window) {
      report.incomparable.push({ run: window.run, why: window.incomparable });
      together = undefined;
      continue;
    }
    const { run, stretch, rows, expected, isPurged } = window;
    report.rows += rows;
    if (rows <= expected) {
      together = undefined;
      if (rows === 0) report.emptied += expected === 0 ? 0 : 1;
      else if (rows < expected)
        report.fewer = { windows: report.fewer.windows + 1, rows: report.fewer.rows + expected - rows };
      continue;
    }
    const { calendar } = input.source;
    const [from, to] = [calendar.format(stretch.fromMs), calendar.format(stretch.toMs)];
    report.lateRows += rows - expected;
    const command = commandFor(input, { isPurged, ...stretch });
    report.late.push({ run, from, to, expected, rows, late: rows - expected, command });
    if (together?.isPurged === isPurged && !needsId(input, together)) together.toMs = stretch.toMs;
    else commands.push((together = { isPurged, ...stretch }));
  }
  report.commands = commands.map((one) => commandFor(input, one));
  return report;
}

/** Windows with late rows that follow one another, purged or not. */
interface Late extends Stretch {
  isPurged: boolean;
}

/** Of what was purged, and is purged no more by the config, nobody makes a further run but by its id. */
function needsId({ archive }: MissingInput, { isPurged }: Late): boolean {
  return isPurged && archive.purge === undefined;
}

/** Of what was purged, each slot makes a further run, and so does `run`; `--again` leaves it alone. */
function commandFor(input: MissingInput, late: Late): string {
  const { archive, source } = input;
  const { isPurged, fromMs, toMs } = late;
  const { calendar } = source;
  if (needsId(input, late))
    return `pgsluice run ${archive.name} --run-id ${nextGeneration(late, takenIds(input).get(fromMs) ?? [])}`;
  const dates = `--from ${calendar.format(fromMs)} --to ${calendar.format(toMs)}`;
  return `pgsluice run ${archive.name} ${dates}${isPurged ? '' : ' --again'}`;
}

const INCOMPARABLE: Readonly<Record<Incomparable, string>> = {
  damaged: 'the manifest of their latest run cannot be believed',
  filter: 'they were made with another `where` or `query` than that of now',
  purging: 'they are being purged',
  restored: 'their rows were restored into the table',
  'bad-purge-record': 'what was noted of their purge cannot be believed',
};

function describeReport(report: AnyReport): string[] {
  if ('error' in report) return describeFailure(report.error, report.archive);
  const { archive, windows, rows, late, lateRows, fewer, emptied, counted, commands, warnings, incomparable } = report;
  const all = countOf(windows - incomparable.length, 'archived window');
  if (!counted) return [`${archive}: ${all}`, ...warnings.map((warning) => `  warning  ${warning}`)];
  const lines = late.map(
    (window) =>
      `  ${window.run}  from ${window.from} to ${window.to}: ${formatCount(window.late)} late, ${formatCount(window.expected)} expected, ${formatCount(window.rows)} there`,
  );
  return [
    late.length === 0
      ? `${archive}: no late rows, by numbers: ${countOf(rows, 'row')} counted in ${all}`
      : `${archive}: ${countOf(lateRows, 'late row')} in ${formatCount(late.length)} of ${all}, ${countOf(rows, 'row')} counted`,
    ...bothEnds(lines),
    ...bothEnds(commands.map((command) => `  archive them by: ${command}`)),
    ...(fewer.windows === 0
      ? []
      : [
          `  ${countOf(fewer.windows, 'window')} ${fewer.windows === 1 ? 'has' : 'have'} fewer rows than were archived (${formatCount(fewer.rows)} in all): late ones may hide behind those that are gone`,
        ]),
    ...(emptied === 0 ? [] : [`  ${countOf(emptied, 'window')} without any row now`]),
    ...describeIncomparable(report),
  ];
}

function describeIncomparable({ incomparable }: LateReport): string[] {
  return [...Map.groupBy(incomparable, ({ why }) => why)].map(
    ([why, runs]) =>
      `  not compared: ${countOf(runs.length, 'window')}, the first one ${runs[0]?.run ?? ''}: ${INCOMPARABLE[why]}`,
  );
}
