/** `pgsluice plan`: shows what a run would do, and writes nothing. */
import { toFailure, UsageError, type Failure } from '../base/errors.ts';
import { countOf, formatBytes } from '../base/units.ts';
import { destinationOf, sourceOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import type { Column } from '../postgres/columns.ts';
import { withConnection, type Client } from '../postgres/connect.ts';
import { isPooled, POOLER_WARNING } from '../postgres/settings.ts';
import { whileReading } from '../postgres/snapshot.ts';
import { fullKey, manifestKey } from '../ledger/names.ts';
import { partitionOf } from '../ledger/partitions.ts';
import { describeOutlook, lookAhead, type PurgeOutlook } from '../purge/outlook.ts';
import { requireKeysFit, segmentKey, warnOfLayout } from '../run/layout.ts';
import { warnOfObjectSize } from '../run/object-size-warning.ts';
import { planRun } from '../run/plan.ts';
import { warnOfSubject } from '../run/subject-warnings.ts';
import { isWindowed } from '../run/subject.ts';
import { lookAtWindows, windowWarnings } from '../windows/look.ts';
import type { WindowedArchive } from '../windows/window-source.ts';
import { formatRunId, parseRunId } from '../ledger/run-id.ts';
import { describeFailure } from './terminal/failure.ts';
import { EXIT } from './entry.ts';
import { bothEnds } from './terminal/both-ends.ts';
import { describeTables } from './tables.ts';
import { chooseWithTables, openConfig, type Invocation } from './invocation.ts';
import { printJson, printLines } from './terminal/print.ts';

/** What `plan --json` prints for an archive. Sizes in bytes; rows and sizes are the planner's estimates. */
interface PlanReport {
  archive: string;
  run: string;
  subject: string;
  by: string;
  why: string;
  estimatedRows: number;
  estimatedBytes: number;
  columns: { name: string; type: string; encoding: string }[];
  /** `partition` is the value of each column of partitionBy. */
  segments: { segment: number; key: string; rows: string; partition?: Record<string, string | null> }[];
  /** What will not come back as it was. */
  warnings: string[];
  manifest: string;
}

/** The same for an archive of windows; `first` is the plan of the first one that is missing. */
interface WindowsPlanReport {
  archive: string;
  window: { column: string; every: string; timezone: string };
  /** Runs that are committed. */
  committed: number;
  missing: { run: string; from: string; to: string }[];
  /** Whether more are missing than are listed. */
  more: boolean;
  /** Rows that lie in no window; null when they were not counted. */
  rowsInNoWindow: number | null;
  warnings: string[];
  first: PlanReport | null;
}

/** Of an archive that is purged, also what that would be. */
type Planned = (PlanReport | WindowsPlanReport) & { purge?: PurgeOutlook };
type AnyReport = Planned | { archive: string; run: string; error: Failure };

export async function planCommand(
  invocation: Invocation,
  names: readonly string[],
  options: { runId?: string; from?: string; to?: string },
): Promise<number> {
  if (options.from !== undefined || options.to !== undefined)
    throw new UsageError('--from and --to go with --late; without it, all windows that are missing are planned');
  if (options.runId !== undefined) parseRunId(options.runId);
  const { config, archives, expanded, failures } = await chooseWithTables(openConfig(invocation), names);
  if (!invocation.json) printLines(invocation, describeTables(expanded));
  const reports: AnyReport[] = [];
  for (const archive of archives) reports.push(await reportPlan(config, archive, options.runId));
  const run = options.runId ?? formatRunId(new Date());
  reports.push(...failures.map((error) => ({ archive: error.archive ?? '', run, error })));
  if (invocation.json) printJson(invocation, reports);
  else
    printLines(
      invocation,
      reports.flatMap((report) => describeReport(config, report)),
    );
  return reports.some((report) => 'error' in report) ? EXIT.usage : EXIT.done;
}

async function reportPlan(config: Config, archive: ArchiveConfig, runId: string | undefined): Promise<AnyReport> {
  const run = runId ?? formatRunId(new Date());
  const applicationName = `pgsluice plan ${archive.name}`;
  try {
    const plan = (client: Client): Promise<PlanReport | WindowsPlanReport> =>
      isWindowed(archive) && runId === undefined
        ? planWindows(client, config, archive)
        : planOne(client, config, archive, run);
    const planned = await withConnection({ url: sourceOf(config, archive).url, applicationName }, plan);
    const purge = await lookAhead(config, archive);
    return purge === undefined ? planned : { ...planned, purge };
  } catch (error) {
    return { archive: archive.name, run, error: { ...toFailure(error, 'plan'), archive: archive.name } };
  }
}

async function planWindows(client: Client, config: Config, archive: WindowedArchive): Promise<WindowsPlanReport> {
  const look = await lookAtWindows(client, config, archive);
  const { calendar } = look.source;
  const [first] = look.missing;
  return {
    archive: archive.name,
    window: { column: archive.window.column, every: archive.window.every, timezone: archive.timezone },
    committed: look.committed,
    missing: look.missing.map(({ run, stretch }) => ({
      run,
      from: calendar.format(stretch.fromMs),
      to: calendar.format(stretch.toMs),
    })),
    more: look.more,
    rowsInNoWindow: look.outside ?? null,
    warnings: windowWarnings(archive, look),
    first: first === undefined ? null : await planOne(client, config, archive, first.run),
  };
}

async function planOne(client: Client, config: Config, archive: ArchiveConfig, id: string): Promise<PlanReport> {
  const plan = await whileReading(client, () => planRun(client, archive, parseRunId(id)));
  const destination = destinationOf(config, archive);
  const { partitionBy = [] } = archive;
  const place = { destination, archive, run: id };
  requireKeysFit(place, plan.segments);
  return {
    archive: archive.name,
    run: id,
    subject: plan.subject.name,
    by: plan.cut.name,
    why: plan.why,
    estimatedRows: plan.estimate.rows,
    estimatedBytes: plan.estimate.bytes,
    columns: plan.subject.selection.columns.map(({ name, type, encoding }) => ({ name, type, encoding })),
    segments: Array.from(plan.segments, (segment) => ({
      segment: segment.index,
      key: segmentKey(place, segment),
      rows: plan.cut.describe(segment),
      ...(segment.partition === undefined ? {} : { partition: partitionOf(partitionBy, segment.partition) }),
    })),
    warnings: [
      ...warnOfPooler(client),
      ...plan.warnings,
      ...warnOfObjectSize(destination, plan),
      ...(await warnOfLayout(client, archive, plan.subject)),
      ...warnOfNulls(plan.subject.selection.columns),
      ...warnOfSubject(plan.subject),
    ],
    manifest: fullKey(destination, manifestKey(archive.name, id)),
  };
}

function warnOfPooler(client: Client): string[] {
  return isPooled(client) ? [POOLER_WARNING] : [];
}

/** In a column that is NOT NULL, there is only one null that it can be. */
function warnOfNulls(columns: readonly Column[]): string[] {
  return columns
    .filter(({ encoding, nullable }) => (encoding === 'jsonb' || encoding === 'json') && nullable)
    .map(
      ({ name, type }) =>
        `column ${name} (${type}): SQL NULL and JSON null print alike; a restore gives SQL NULL for both`,
    );
}

function describeReport(config: Config, report: AnyReport): string[] {
  if ('error' in report) return describeFailure(report.error, report.archive);
  return [...('missing' in report ? describeWindows(report) : describePlan(report)), ...describePurge(config, report)];
}

function describePurge({ archives }: Config, { archive, purge }: Planned): string[] {
  const found = archives[archive];
  if (purge === undefined || found === undefined) return [];
  return describeOutlook(found, purge).map((line) => `  purge    ${line}`);
}

function describeWindows(report: WindowsPlanReport): string[] {
  const { archive, window, missing, committed, first, warnings, more } = report;
  const shown = bothEnds(missing.map(({ run, from, to }) => `  ${run}  from ${from} to ${to}`));
  return [
    `${archive}: ${countOf(missing.length, 'window')}${more ? ' and more' : ''} of ${window.column} by ${window.every} (${window.timezone}) to make, ${countOf(committed, 'run')} committed`,
    ...shown,
    ...warnings.map((warning) => `  warning  ${warning}`),
    ...(first === null ? [] : describePlan(first)),
  ];
}

function describePlan(report: PlanReport): string[] {
  const segments = report.segments.map(({ segment, key, rows }) => `  ${String(segment).padStart(5)}  ${key}  ${rows}`);
  return [
    `${report.archive} ${report.run}: ${report.subject}, about ${countOf(report.estimatedRows, 'row')}, ${formatBytes(report.estimatedBytes)}`,
    `  ${countOf(report.segments.length, 'segment')} by ${report.by}: ${report.why}`,
    ...(report.by === 'value' ? bothEnds(segments) : segments),
    `         ${report.manifest}`,
    ...report.warnings.map((warning) => `  warning  ${warning}`),
  ];
}
