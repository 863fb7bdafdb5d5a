/** The report: the same Markdown on the terminal and in docs/benchmarks.md. */
import { format } from 'prettier';
import { formatBytes, formatCount } from '../src/base/units.ts';
import { cpuPerFurtherGb, cpuPerGb, type Linearity } from './linear.ts';
import type { ErrandFigures } from './errands.ts';
import type { RestoreOfTable } from './restore.ts';
import type { PurgeOfTable } from './purge.ts';
import { ROUND_TRIPS_MS, type DistanceFigures } from './distance.ts';
import type { Figures } from './rounds.ts';
import type { BenchTable } from './site.ts';
import type { StagesOfTable } from './stages.ts';
import { judge, perGb, quotient, type Verdict } from './targets.ts';

export interface Report {
  rounds: number;
  tables: readonly BenchTable[];
  figures: readonly Figures[];
  errands: readonly ErrandFigures[];
  stages: readonly StagesOfTable[];
  restores: readonly RestoreOfTable[];
  purges: readonly PurgeOfTable[];
  distance: readonly DistanceFigures[];
  linearity: Linearity | undefined;
  machine: [string, string][];
}

const INTRODUCTION = `# Benchmarks

<!-- Written by \`npm run bench -- --linear --write\`; changes here are lost. -->

Run it again with \`npm run bench\` (\`-- --help\` lists its options). It starts an embedded Postgres and an S3 endpoint, each in processes
of their own on the same machine, fills the tables, and lets pgsluice and what people would script take turns: one round to
warm up, in which the lines of every object are counted, then the rounds that are measured. All upload to the same endpoint, which
shares the cores with everything else: it checks the digests of what it gets, drops data, and costs little (\`--endpoint embedded\` has
one that keeps it).`;

const COLUMNS = `Time is the median of the rounds, with the fastest and the slowest. CPU is user and system time of the whole process tree,
its start included; beside it that of Postgres. GB is 10^9 bytes of JSON Lines. Memory is the sum of the largest resident sets of the
processes.`;

const NOTES = `- pgsluice runs with two threads and a heap of 64 MiB for each, the defaults. It cuts a table into segments of 256 MiB and works on two at
  once; "one stream" has a single segment.
- \`psql\` runs \`COPY (SELECT row_to_json(t) FROM …) TO STDOUT\`, as scripts do. COPY's text form doubles every backslash, so lines with
  an escape in them are **not valid JSON**; only their number was checked. Nothing of it is resumed, proved or committed.
- The plain script is [plain-node.ts](../bench/alternatives/plain-node.ts): its timestamps lose their microseconds.
- The limit is what Postgres takes to send the table in its binary form to a client that drops it.`;

/** The whole report as formatted Markdown. */
export async function renderReport(report: Report): Promise<string> {
  const parts = [
    INTRODUCTION,
    ...(report.figures.length === 0 ? [] : ['![Seconds by contender](images/bench.svg)', COLUMNS]),
    ...report.tables.flatMap((table) => tableSection(report, table)),
    ...(report.figures.length === 0 ? [] : [NOTES]),
    ...errandsSection(report.errands),
    ...stagesSection(report),
    ...restoreSection(report.restores),
    ...purgeSection(report.purges),
    ...distanceSection(report.distance),
    ...zstdSection(),
    ...smallSegmentsSection(),
    ...linearSection(report.linearity),
    ...verdictSection(judge(report)),
    '## Machine',
    markdownTable(['', ''], report.machine),
  ];
  return format(parts.join('\n\n'), { parser: 'markdown', printWidth: 120 });
}

function tableSection({ figures, rounds }: Report, table: BenchTable): string[] {
  const own = figures.filter((one) => one.table === table);
  if (own.length === 0) return [];
  const jsonBytes = own.find((one) => one.jsonBytes !== undefined)?.jsonBytes;
  const baseline = own.find(({ contender }) => contender.name === 'pgsluice')?.seconds.median;
  const limit = own.find(({ contender }) => contender.kind === 'limit')?.seconds.median;
  const size = jsonBytes === undefined ? '' : `, ${formatBytes(jsonBytes)} of JSON Lines`;
  return [
    `## ${capitalize(table.what)}: ${formatCount(table.rows)} rows${size}`,
    rounds === 1 ? 'One round.' : `${rounds} rounds.`,
    markdownTable(
      ['', 'seconds', 'min to max', 'x pgsluice', 'x limit', 'CPU s', 'CPU s/GB', 'Postgres CPU s', 'memory', 'stored'],
      own.map((one) => row(one, jsonBytes, baseline, limit)),
    ),
  ];
}

function row(one: Figures, jsonBytes: number | undefined, baseline: number | undefined, limit: number | undefined) {
  const { contender, seconds, cpuSeconds, serverCpuSeconds, peakRssBytes, storedBytes } = one;
  return [
    contender.kind === 'pgsluice' ? `**${contender.label}**` : inCode(contender.label),
    seconds.median.toFixed(2),
    `${seconds.min.toFixed(2)} to ${seconds.max.toFixed(2)}`,
    decimals(quotient(seconds.median, baseline)),
    decimals(quotient(seconds.median, limit)),
    cpuSeconds.toFixed(2),
    decimals(perGb({ ...one, jsonBytes })),
    serverCpuSeconds.toFixed(2),
    formatBytes(peakRssBytes),
    storedBytes === undefined ? '' : formatBytes(storedBytes),
  ];
}

function errandsSection(errands: readonly ErrandFigures[]): string[] {
  if (errands.length === 0) return [];
  return [
    '## Small runs, and verify',
    `In turn, with the same endpoint. \`verify\` proves each object by its digest, and counts and checks each of its lines; those beside it
count lines alone.`,
    markdownTable(
      ['', 'seconds', 'min to max', 'CPU s', 'Postgres CPU s', 'memory'],
      errands.map(({ label, seconds, cpuSeconds, serverCpuSeconds, peakRssBytes }) => [
        label.startsWith('pgsluice') ? `**${label}**` : `\`${label}\``,
        seconds.median.toFixed(2),
        `${seconds.min.toFixed(2)} to ${seconds.max.toFixed(2)}`,
        cpuSeconds.toFixed(2),
        serverCpuSeconds.toFixed(2),
        formatBytes(peakRssBytes),
      ]),
    ),
  ];
}

function stagesSection({ stages, figures }: Report): string[] {
  if (stages.length === 0) return [];
  return [
    '## Stage by stage',
    `One segment read by COPY and compressed by default, up to each stage, in a process that does what a worker thread does. A stage's CPU, the
least of all rounds, is the difference to the one before; seconds are up to and with the stage. "The rest" is what the whole program takes besides: its start, the
plan, the journal, the manifest.`,
    ...stages.flatMap((one) => [`### ${capitalize(one.table.what)}`, stageTable(one, figures)]),
  ];
}

function stageTable({ table, jsonBytes, costs }: StagesOfTable, figures: readonly Figures[]): string {
  const gb = jsonBytes / 1e9;
  const sum = costs.reduce((total, { cpuSeconds }) => total + cpuSeconds, 0);
  const whole = figures.find((one) => one.contender.name === 'pgsluice-one-stream' && one.table === table);
  const rest = whole === undefined ? [] : [['the rest', whole.cpuSeconds - sum, whole.seconds.median] as const];
  const rows = [...costs.map(({ stage, cpuSeconds, seconds }) => [stage, cpuSeconds, seconds] as const), ...rest];
  const total = rows.reduce((all, [, cpuSeconds]) => all + cpuSeconds, 0);
  return markdownTable(
    ['stage', 'CPU s', 'CPU s/GB', 'share', 'seconds up to here'],
    rows.map(([stage, cpuSeconds, seconds]) => [
      stage,
      cpuSeconds.toFixed(2),
      (cpuSeconds / gb).toFixed(2),
      `${((100 * cpuSeconds) / total).toFixed(0)} %`,
      seconds.toFixed(2),
    ]),
  );
}

function restoreSection(restores: readonly RestoreOfTable[]): string[] {
  if (restores.length === 0) return [];
  return [
    '## The way back',
    `Into a table that is there with its primary key, made anew before each turn. \`psql\` copies from table to table on the same server:
it reads no object, proves nothing, and compresses nothing. Each round of pgsluice is compared to that of psql beside it.`,
    ...restores.flatMap(({ table, jsonBytes, figures }) => [
      `### ${capitalize(table.what)}`,
      markdownTable(
        ['', 'seconds', 'min to max', 'x psql', 'CPU s', 'CPU s/GB', 'Postgres CPU s', 'memory'],
        figures.map(({ label, seconds, timesPsql, cpuSeconds, serverCpuSeconds, peakRssBytes }) => [
          label.startsWith('psql') ? inCode(label) : `**${label}**`,
          seconds.median.toFixed(2),
          `${seconds.min.toFixed(2)} to ${seconds.max.toFixed(2)}`,
          timesPsql.median.toFixed(2),
          cpuSeconds.toFixed(2),
          (cpuSeconds / (jsonBytes / 1e9)).toFixed(2),
          serverCpuSeconds.toFixed(2),
          formatBytes(peakRssBytes),
        ]),
      ),
    ]),
  ];
}

function purgeSection(purges: readonly PurgeOfTable[]): string[] {
  if (purges.length === 0) return [];
  return [
    '## Deleting exactly',
    `All rows of the article's table, of a third and of a 24th of it, with its key and its indexes, after a checkpoint: cold pages, which go into the
WAL whole. A purge reads all objects again, proves them, and deletes a row only if its line is the archived one. The DELETEs delete what has the key, or
the date, whatever became of it.`,
    ...purges.flatMap(({ rows, jsonBytes, figures }) => [
      `### ${formatCount(rows)} rows, ${formatBytes(jsonBytes)} of JSON Lines`,
      markdownTable(
        ['', 'seconds', 'rows/s', 'CPU s', 'CPU s/GB', 'Postgres CPU s', 'x by key', 'WAL', 'memory'],
        figures.map(({ label, seconds, cpuSeconds, serverCpuSeconds, walBytes, peakRssBytes }) => [
          label.startsWith('DELETE') ? `\`${label}\`` : `**${label}**`,
          seconds.median.toFixed(2),
          formatCount(Math.round(rows / seconds.median)),
          cpuSeconds.toFixed(2),
          (cpuSeconds / (jsonBytes / 1e9)).toFixed(2),
          serverCpuSeconds.toFixed(2),
          decimals(quotient(serverCpuSeconds, figures.find(({ name }) => name === 'by-key')?.serverCpuSeconds)),
          formatBytes(walBytes),
          formatBytes(peakRssBytes),
        ]),
      ),
    ]),
  ];
}

function distanceSection(distance: readonly DistanceFigures[]): string[] {
  if (distance.length === 0) return [];
  return [
    '## Over distance',
    `MB/s of all threads together, by the round trip to the server; the best of the rounds. Only the upload: each thread sends noise from
memory, as fast as it is taken, as one segment of 128 MiB or as eight of 16 MiB. The endpoint checks digests and drops the bytes; a proxy
in front of it passes each byte on half a round trip later, and lets a new connection wait for a whole one. It limits no bandwidth,
and its connections need not get up to speed, so that it is kind to few large parts.`,
    markdownTable(
      ['', 'threads', ...ROUND_TRIPS_MS.map((ms) => `${ms} ms`)],
      distance.map(({ threads, segments, setting, megabytesPerSecond }) => [
        `${segments}; ${setting}`,
        String(threads),
        ...megabytesPerSecond.map((speed) => speed.toFixed(0)),
      ]),
    ),
  ];
}

/** Measured by hand, with the tools alone. */
function zstdSection(): string[] {
  return [
    '## Levels of zstd',
    `Measured by hand with \`zstd\` 1.5.4, \`igzip\` 2.30 and \`gzip\` 1.12 on 2026-11-27, on busy cores: MB of each kind of lines, and user CPU seconds of the two
levels. The first two are 100,000 and 800,000 rows of the tables above; of the others, the texts are source files and manuals in pieces of
1,500 characters, and the rest is made up: a web server's log, audit rows with the record before and after, UUIDs with digests.`,
    markdownTable(
      ['', 'lines', 'igzip -1', 'gzip -6', 'zstd -1', 'zstd -2', 'zstd -3', 'CPU s, -1', 'CPU s, -3'],
      [
        ["the article's table", '101.4', '18.1', '15.3', '**15.2**', '15.6', '15.5', '0.18', '0.34'],
        ['the narrow table', '54.5', '16.5', '15.3', '**13.7**', '14.1', '14.5', '0.27', '0.31'],
        ["a web server's log", '68.6', '10.4', '8.7', '**8.6**', '9.1', '9.2', '0.13', '0.32'],
        ['audit rows', '51.8', '4.8', '3.5', '**3.8**', '3.9', '4.0', '0.09', '0.11'],
        ['UUIDs and digests', '59.7', '28.7', '29.4', '**25.4**', '26.0', '27.2', '0.29', '0.46'],
        ['texts', '35.9', '9.3', '7.8', '8.4', '8.1', '**7.6**', '0.15', '0.22'],
      ],
    ),
  ];
}

/** Measured by hand, apart from what is compared here: small-segments.ts. */
function smallSegmentsSection(): string[] {
  return [
    '## Many small segments',
    `Measured by hand with \`VALUES=10000 node bench/small-segments.ts\` and \`VALUES=0 WINDOWS=400 node bench/small-segments.ts\` on 2026-11-26, on
two cores that were busy with other work (load 15 to 30), so that CPU says more than seconds. Each value or window has 50 rows; the
figures are the differences between a run of many and one of 50. A window is a run of its own, with lock, snapshot, journal, proof and manifest.`,
    markdownTable(
      ['', 'CPU ms', 'Postgres CPU ms', 'requests to S3', 'connections', 'round trips to Postgres', 'memory'],
      [
        ['a value, before its memory was kept (800 values)', '20.3', '0.9', '1.07', '0', '3.07', '202 MiB'],
        ['**a value (10,000 values)**', '6.8', '1.2', '1.24', '0', '3.24', '198 MiB'],
        ['a window, before heaps grew in small steps (400 windows)', '46.0', '31.5', '11', '1', '43', '356 MiB'],
        ['a window (200 windows)', '64.9', '34.5', '14', '1', '43', '206 MiB'],
        ['**a window (1,000 windows)**', '56.0', '30.9', '14', '1.12', '43', '202 MiB'],
      ],
    ),
    `Requests and round trips of a value are those of 800 or 1,000 values; the parts above 1 and 3 are receipts, of which there are four in a second
at most, and the questions whether the lock is still held. Between the two
measurements of windows, manifests came to be chained to the ones before them, and the machine to be busier. By the clock, a window of
the 1,000 took 598 ms, under a load of 25.

\`DAYS=10 node bench/tenants.ts\`, 10 daily windows for 200 tenants with a folder each, 12,767 of the article's rows: archived in 19.6 s (2,000 objects,
2,230 requests), one tenant restored in 4.2 s (10 objects, 41 requests), one day in 5.1 s (200 objects), all in 16.0 s; each time equal to the
table.

A year of it, \`DAYS=365 node bench/tenants.ts\` at low priority on the same two cores, under a load of 15 to 30 from others: 365 windows of 200 tenants,
466,000 rows in 73,000 objects, archived in 3,265 s (88,636 requests; all processes together, Postgres and the S3 endpoint with its objects
included, had 1.2 GiB at most). One tenant came back from 365 objects in 355 s (1,461 requests), one day from 200 objects in 80 s (402 requests), each time
equal to the table. To restore all of it was not waited for.`,
  ];
}

function linearSection(linearity: Linearity | undefined): string[] {
  if (linearity === undefined) return [];
  const further = cpuPerFurtherGb(linearity);
  return [
    '## Cost by number of rows',
    `The article's rows again and again, in one stream. A run without any rows takes ${linearity.startCpuSeconds.toFixed(2)} s of CPU,
which one column leaves out. Some more is paid once, such as V8's compiling of the hot loops: the last column is what each GB
costs that the size before did not have.`,
    markdownTable(
      ['rows', 'JSON Lines', 'seconds', 'CPU s', 'memory', 'CPU s/GB without the start', 'CPU s per further GB'],
      linearity.points.map((point, index) => [
        formatCount(point.rows),
        formatBytes(point.jsonBytes),
        point.seconds.toFixed(2),
        point.cpuSeconds.toFixed(2),
        formatBytes(point.peakRssBytes),
        cpuPerGb(linearity, point).toFixed(2),
        further[index - 1]?.toFixed(2) ?? '',
      ]),
    ),
  ];
}

function verdictSection(verdicts: readonly Verdict[]): string[] {
  const measured = verdicts.filter(({ reached }) => reached !== undefined);
  if (measured.length === 0) return [];
  return [
    '## Targets',
    markdownTable(
      ['target', 'found', ''],
      measured.map(({ target, found, reached }) => [target, found, reached === true ? 'reached' : '**not reached**']),
    ),
  ];
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const ruler = head.map((_, index) => (index === 0 || head.length === 2 ? '---' : '---:'));
  return [line(head), line(ruler), ...rows.map(line)].join('\n');
}

/** Only command lines are code. */
function inCode(label: string): string {
  return label.startsWith('psql') ? `\`${label}\`` : label;
}

function decimals(value: number | undefined): string {
  return value === undefined ? '' : value.toFixed(2);
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
