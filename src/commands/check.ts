/** `pgsluice check`: validates the config; with --online also what it names. */
import { UsageError } from '../base/errors.ts';
import { countOf, formatBytes } from '../base/units.ts';
import { memorySum } from '../config/memory-sum.ts';
import { memoryLimit } from '../config/memory-limit.ts';
import { readerOf } from '../config/reader.ts';
import type { Config } from '../config/schema.ts';
import { chooseCompressor, describeCompressor } from '../format/compress/codec.ts';
import { checkOnline, type OnlineFinding } from '../run/check-online.ts';
import { checkWindows } from '../windows/check.ts';
import { EXIT } from './entry.ts';
import { offlineWarnings, openConfig, type Invocation } from './invocation.ts';
import { printJson, printLines } from './terminal/print.ts';

/** What `check --json` prints. Sizes in bytes. */
interface ArchiveReport {
  name: string;
  reads: string;
  schedule: string | null;
  /** What will be used on this machine. */
  compression: string;
  reader: string;
}

interface CheckReport {
  config: string;
  ok: boolean;
  problems: string[];
  warnings: string[];
  memory: {
    terms: { name: string; bytes: number }[];
    totalBytes: number;
    limitBytes: number;
    limitFrom: string;
  } | null;
  archives: ArchiveReport[];
  online: OnlineFinding[] | null;
}

export async function checkCommand(invocation: Invocation, options: { online: boolean }): Promise<number> {
  const report = await check(invocation, options.online);
  if (invocation.json) printJson(invocation, report);
  else {
    printLines(invocation, describeReport(report));
    printLines(invocation, report.problems, invocation.stderr);
  }
  return report.ok ? EXIT.done : EXIT.usage;
}

async function check(invocation: Invocation, online: boolean): Promise<CheckReport> {
  try {
    const config = openConfig(invocation);
    const findings = online ? [...(await checkOnline(config)), ...(await checkWindows(config))] : null;
    const problems = (findings ?? []).filter((finding) => finding.level === 'error').map(describeFinding);
    const warnings = (findings ?? []).filter((finding) => finding.level === 'warning').map(describeFinding);
    return {
      ...describeConfig(invocation, config),
      ok: problems.length === 0,
      problems,
      warnings: [...offlineWarnings(invocation, config), ...warnings],
      online: findings,
    };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return {
      config: invocation.configFile,
      ok: false,
      problems: [...error.problems],
      warnings: [],
      memory: null,
      archives: [],
      online: null,
    };
  }
}

function describeConfig(invocation: Invocation, config: Config): Pick<CheckReport, 'config' | 'memory' | 'archives'> {
  const { terms, totalBytes } = memorySum(config);
  const limit = memoryLimit();
  return {
    config: invocation.configFile,
    memory: { terms: [...terms], totalBytes, limitBytes: limit.bytes, limitFrom: limit.from },
    archives: Object.values(config.archives).map((archive) => ({
      name: archive.name,
      reads: archive.table ?? 'query',
      schedule: archive.schedule === undefined ? null : `${archive.schedule} (${archive.timezone})`,
      compression: describeCompressor(archive.compression.codec, chooseCompressor(archive.compression)),
      reader: readerOf(archive),
    })),
  };
}

function describeReport(report: CheckReport): string[] {
  if (report.memory === null) return [];
  const { terms, totalBytes, limitBytes, limitFrom } = report.memory;
  return [
    `${report.config}: ${countOf(report.archives.length, 'archive')}`,
    ...report.archives.map(
      ({ name, reads, schedule, compression, reader }) =>
        `  ${name}: ${reads}, ${schedule ?? 'by hand only'}, ${compression}, read by ${reader}`,
    ),
    'memory, at most:',
    ...terms.map(({ name, bytes }) => `  ${formatBytes(bytes).padStart(10)}  ${name}`),
    `  ${formatBytes(totalBytes).padStart(10)}  in all, of ${formatBytes(limitBytes)} (${limitFrom})`,
    ...(report.online ?? []).filter(({ level }) => level === 'ok').map((finding) => `ok: ${describeFinding(finding)}`),
    ...report.warnings.map((warning) => `warning: ${warning}`),
    report.ok ? 'the config is good' : 'the config is bad',
  ];
}

function describeFinding({ subject, message, hint }: OnlineFinding): string {
  return `${subject}: ${message}${hint === undefined ? '' : ` (${hint})`}`;
}
