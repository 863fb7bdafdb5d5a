/** `pgsluice check`: validates the config; with --online also what it names. */
import { checkRehearsals } from '../audit/rehearsal/check.ts';
import { UsageError } from '../base/errors.ts';
import { BUDGET } from '../base/memory-budget.ts';
import { countOf, formatBytes } from '../base/units.ts';
import { memorySum } from '../config/memory-sum.ts';
import { memoryLimit } from '../config/memory-limit.ts';
import { readerOf } from '../config/reader.ts';
import type { Config } from '../config/schema.ts';
import { allEntries } from '../config/tables.ts';
import { chooseCompressor, describeCompressor } from '../format/compress/codec.ts';
import { checkPurges } from '../purge/outlook.ts';
import { checkOnline, type OnlineFinding } from '../run/check-online.ts';
import { expandEntries, withExpanded, type Expanded } from '../run/expand.ts';
import { checkWindows } from '../windows/check.ts';
import { EXIT } from './entry.ts';
import { offlineWarnings, openConfig, type Invocation } from './invocation.ts';
import { describeNextSlots, nextSlots, type NextSlot } from './next-slots.ts';
import { describeExpanded } from './tables.ts';
import { printJson, printLines } from './terminal/print.ts';

/** What `check --json` prints. Sizes in bytes. */
interface ArchiveReport {
  name: string;
  reads: string;
  schedule: string | null;
  /** The next three slots; none of an archive that runs by hand. */
  next: NextSlot[];
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
  const print = new Printer(invocation);
  const report = await check(invocation, options.online, print);
  print.end(report);
  if (report.ok) return EXIT.done;
  return report.online === null ? EXIT.usage : EXIT.failed;
}

/** Prints each thing as soon as it is known; as JSON, all of it in the end. */
class Printer {
  readonly #invocation: Invocation;

  constructor(invocation: Invocation) {
    this.#invocation = invocation;
  }

  config(report: CheckReport): void {
    this.#print([...describeReport(report), ...report.warnings.map((warning) => `warning: ${warning}`)]);
  }

  finding(finding: OnlineFinding): void {
    if (finding.level === 'error') this.#print([describeFinding(finding)], this.#invocation.stderr);
    else this.#print([`${finding.level}: ${describeFinding(finding)}`]);
  }

  /** Where the largest run that was planned takes more than was said. */
  memory(totalBytes: number): void {
    this.#print([`memory, at most, with the largest run that was planned: ${formatBytes(totalBytes)}`]);
  }

  end(report: CheckReport): void {
    if (this.#invocation.json) printJson(this.#invocation, report);
    else if (report.memory === null) this.#print(report.problems, this.#invocation.stderr);
    else if (report.ok) this.#print(['the config is good']);
    else this.#print(['the config is good, but not all that it names answers, is there and is granted: see above']);
  }

  #print(lines: readonly string[], stream?: Invocation['stdout']): void {
    if (!this.#invocation.json) printLines(this.#invocation, lines, stream);
  }
}

async function check(invocation: Invocation, online: boolean, print: Printer): Promise<CheckReport> {
  try {
    const config = openConfig(invocation);
    const report: CheckReport = {
      ...describeConfig(invocation, config, BUDGET.segments.planned),
      ok: true,
      problems: [],
      warnings: offlineWarnings(invocation, config),
      online: null,
    };
    print.config(report);
    return online ? await lookAround(invocation, config, report, print) : report;
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

async function lookAround(
  invocation: Invocation,
  written: Config,
  report: CheckReport,
  print: Printer,
): Promise<CheckReport> {
  const tell = (finding: OnlineFinding): void => {
    print.finding(finding);
  };
  const expanded = await expandEntries(written);
  const config = withExpanded(written, expanded);
  const ofTables = expanded.flatMap(findingsOf);
  ofTables.forEach(tell);
  const online = [
    ...ofTables,
    ...(await checkOnline(config, tell)),
    ...(await checkWindows(config, tell)),
    ...(await checkPurges(config, tell)),
    ...(await checkRehearsals(config, tell)),
  ];
  const textsOf = (level: OnlineFinding['level']): string[] =>
    online.filter((finding) => finding.level === level).map(describeFinding);
  const problems = textsOf('error');
  const { memory } = describeConfig(invocation, config, mostSegments(online));
  if (memory !== null && memory.totalBytes !== report.memory?.totalBytes) print.memory(memory.totalBytes);
  return {
    ...report,
    memory,
    ok: problems.length === 0,
    problems,
    warnings: [...report.warnings, ...textsOf('warning')],
    online,
  };
}

/** What an entry with `tables` stands for. */
function findingsOf(one: Expanded): OnlineFinding[] {
  const subject = `archives.${one.entry.name}`;
  const found: OnlineFinding[] = one.isAnswered ? [{ level: 'ok', subject, message: describeExpanded(one) }] : [];
  return [...found, ...one.failures.map(({ message, hint }) => ({ level: 'error' as const, subject, message, hint }))];
}

/** Of the largest run that was planned, as far as one is known; and no fewer than a plan may have by itself. */
export function mostSegments(findings: readonly OnlineFinding[]): number {
  return Math.max(BUDGET.segments.planned, ...findings.map(({ segments = 0 }) => segments));
}

function describeConfig(
  invocation: Invocation,
  config: Config,
  segments: number,
): Pick<CheckReport, 'config' | 'memory' | 'archives'> {
  const { terms, totalBytes } = memorySum(config, BUDGET, segments);
  const limit = memoryLimit();
  const now = new Date();
  return {
    config: invocation.configFile,
    memory: { terms: [...terms], totalBytes, limitBytes: limit.bytes, limitFrom: limit.from },
    archives: allEntries(config).map((archive) => ({
      name: archive.name,
      reads: archive.table ?? (archive.tables === undefined ? 'query' : `tables ${archive.tables.join(', ')}`),
      schedule: archive.schedule === undefined ? null : `${archive.schedule} (${archive.timezone})`,
      next: nextSlots(archive, now),
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
    ...report.archives.flatMap(({ name, reads, schedule, next, compression, reader }) => [
      `  ${name}: ${reads}, ${schedule ?? 'by hand only'}, ${compression}, read by ${reader}`,
      ...describeNextSlots(next),
    ]),
    'memory, at most:',
    ...terms.map(({ name, bytes }) => `  ${formatBytes(bytes).padStart(10)}  ${name}`),
    `  ${formatBytes(totalBytes).padStart(10)}  in all, of ${formatBytes(limitBytes)} (${limitFrom})`,
  ];
}

function describeFinding({ subject, message, hint }: OnlineFinding): string {
  return `${subject}: ${message}${hint === undefined ? '' : ` (${hint})`}`;
}
