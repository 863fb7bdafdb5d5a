/** `pgsluice plan`: shows what a run would do, and writes nothing. */
import { toFailure, type Failure } from '../base/errors.ts';
import { countOf, formatBytes } from '../base/units.ts';
import { destinationOf, sourceOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import type { Column } from '../postgres/columns.ts';
import { connectPostgres, endConnection, type Client } from '../postgres/connect.ts';
import { isPooled, POOLER_WARNING } from '../postgres/settings.ts';
import { whileReading } from '../postgres/snapshot.ts';
import { CODEC_FILES } from '../format/compress/codec.ts';
import { dataKey, fullKey, manifestKey } from '../ledger/names.ts';
import { planRun } from '../run/plan.ts';
import { warnOfSubject } from '../run/subject-warnings.ts';
import { formatRunId, parseRunId } from '../ledger/run-id.ts';
import { describeFailure } from './terminal/failure.ts';
import { EXIT } from './entry.ts';
import { chooseArchives, openConfig, type Invocation } from './invocation.ts';
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
  segments: { segment: number; key: string; rows: string }[];
  /** What will not come back as it was. */
  warnings: string[];
  manifest: string;
}

export async function planCommand(
  invocation: Invocation,
  names: readonly string[],
  options: { runId?: string },
): Promise<number> {
  const config = openConfig(invocation);
  const archives = names.length === 0 ? Object.values(config.archives) : chooseArchives(config, names);
  const id = options.runId ?? formatRunId(new Date());
  parseRunId(id);
  const reports: (PlanReport | { archive: string; run: string; error: Failure })[] = [];
  for (const archive of archives) reports.push(await reportPlan(config, archive, id));
  if (invocation.json) printJson(invocation, reports);
  else
    printLines(
      invocation,
      reports.flatMap((report) =>
        'error' in report ? describeFailure(report.error, report.archive) : describePlan(report),
      ),
    );
  return reports.some((report) => 'error' in report) ? EXIT.usage : EXIT.done;
}

async function reportPlan(
  config: Config,
  archive: ArchiveConfig,
  id: string,
): Promise<PlanReport | { archive: string; run: string; error: Failure }> {
  try {
    return await planOne(config, archive, id);
  } catch (error) {
    return { archive: archive.name, run: id, error: { ...toFailure(error, 'plan'), archive: archive.name } };
  }
}

async function planOne(config: Config, archive: ArchiveConfig, id: string): Promise<PlanReport> {
  const client = await connectPostgres({
    url: sourceOf(config, archive).url,
    applicationName: `pgsluice plan ${archive.name}`,
  });
  try {
    const plan = await whileReading(client, () => planRun(client, archive, parseRunId(id)));
    const destination = destinationOf(config, archive);
    const { extension } = CODEC_FILES[archive.compression.codec];
    return {
      archive: archive.name,
      run: id,
      subject: plan.subject.name,
      by: plan.cut.name,
      why: plan.why,
      estimatedRows: plan.estimate.rows,
      estimatedBytes: plan.estimate.bytes,
      columns: plan.subject.selection.columns.map(({ name, type, encoding }) => ({ name, type, encoding })),
      segments: plan.segments.map((segment) => ({
        segment: segment.index,
        key: fullKey(destination, dataKey(archive.name, id, segment.index, extension)),
        rows: plan.cut.describe(segment),
      })),
      warnings: [
        ...warnOfPooler(client),
        ...plan.warnings,
        ...warnOfNulls(plan.subject.selection.columns),
        ...warnOfSubject(plan.subject),
      ],
      manifest: fullKey(destination, manifestKey(archive.name, id)),
    };
  } finally {
    await endConnection(client);
  }
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

function describePlan(report: PlanReport): string[] {
  return [
    `${report.archive} ${report.run}: ${report.subject}, about ${countOf(report.estimatedRows, 'row')}, ${formatBytes(report.estimatedBytes)}`,
    `  ${countOf(report.segments.length, 'segment')} by ${report.by}: ${report.why}`,
    ...report.segments.map(({ segment, key, rows }) => `  ${String(segment).padStart(5)}  ${key}  ${rows}`),
    `         ${report.manifest}`,
    ...report.warnings.map((warning) => `  warning  ${warning}`),
  ];
}
