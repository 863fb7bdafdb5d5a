/** `npm run bench:memory`: peak memory of the real program by number of rows; says whether it stays flat, exit 1 if not. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { Closers } from '../src/base/closers.ts';
import { UsageError } from '../src/base/errors.ts';
import { BUDGET } from '../src/base/memory-budget.ts';
import { formatBytes, formatCount } from '../src/base/units.ts';
import { watchInterrupts } from '../src/commands/interrupt.ts';
import type { Reader } from '../src/config/reader.ts';
import { PROGRAM } from './compiled.ts';
import { pgsluiceCommand } from './contenders.ts';
import { repeat } from './linear.ts';
import { measure } from './measure.ts';
import { resultOf, runIds } from './rounds.ts';
import { emptyStore, openSite, say, type BenchTable, type Site } from './site.ts';
import { usageExit } from './tools.ts';

const HELP = `npm run bench:memory -- [options]

  --rows N   the most rows (default 10000000; the article's rows of 1 KB stop at 1000000, but for COPY in one stream to S3)
  --quick    100000 and 1000000 rows of the narrow table only, to S3
`;

const SIZES = [100_000, 1_000_000, 10_000_000];
const ARTICLE_MAX_ROWS = 1_000_000;
const QUICK_MAX_ROWS = 1_000_000;
const STREAMS = [1, 4];
const READERS: readonly Reader[] = ['copy', 'cursor'];

/** As in the config of site.ts; an object shorter than the parts in flight cannot use them all. */
const PART_BYTES = 5 * 1024 * 1024;

/** What has to hold. */
const MAX_ONE_STREAM_BYTES = 170e6;
const MAX_GROWTH = 0.1;

interface Case {
  table: BenchTable;
  reader: Reader;
  streams: number;
  destination: 's3' | 'file';
  rows: number;
}

interface Peak extends Case {
  rssBytes: number;
  heapBytes: number;
  /** What `check` prints as the most that this config can need. */
  sumBytes: number;
  seconds: number;
  jsonBytes: number;
  storedBytes: number;
}

process.exitCode = await main().catch(usageExit);

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rows: { type: 'string', default: String(SIZES.at(-1)) },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (!/^[1-9]\d*$/.test(values.rows))
    throw new UsageError(`--rows takes a whole number above zero, not "${values.rows}"`);
  const maxRows = values.quick ? Math.min(QUICK_MAX_ROWS, Number(values.rows)) : Number(values.rows);
  const interrupt = watchInterrupts();
  const closers = new Closers();
  try {
    const problems = await measureAll(maxRows, values.quick, closers, interrupt.signal);
    for (const problem of problems) process.stdout.write(`not flat: ${problem}\n`);
    if (problems.length === 0) process.stdout.write('memory stays flat\n');
    return problems.length === 0 ? 0 : 1;
  } catch (error) {
    if (!interrupt.interrupted) throw error;
    say('interrupted');
    return 130;
  } finally {
    await closers.close();
    interrupt.release();
  }
}

async function measureAll(maxRows: number, quick: boolean, closers: Closers, signal: AbortSignal): Promise<string[]> {
  const wanted = [
    ...(quick ? [] : [{ name: 'article' as const, rows: Math.min(maxRows, ARTICLE_MAX_ROWS) }]),
    { name: 'narrow' as const, rows: maxRows },
  ];
  const site = await openSite(wanted, closers, signal);
  const ids = runIds();
  const problems: string[] = [];
  for (const series of seriesOf(site.tables, maxRows, quick)) {
    const peaks: Peak[] = [];
    for (const one of series) peaks.push(await measureCase(site, one, ids.next().value, signal));
    process.stdout.write(describe(peaks));
    problems.push(...judge(peaks));
  }
  return problems;
}

/** Cases that differ in nothing but their rows. */
function seriesOf(tables: readonly BenchTable[], maxRows: number, quick: boolean): Case[][] {
  const destinations = quick ? (['s3'] as const) : (['s3', 'file'] as const);
  return tables.flatMap((table) =>
    READERS.flatMap((reader) =>
      STREAMS.flatMap((streams) =>
        destinations.map((destination) => {
          // Where it is quick enough, the wide table goes on beyond its rows.
          const goesOn = reader === 'copy' && streams === 1 && destination === 's3';
          return sizesOf(goesOn ? maxRows : table.rows).map((rows) => ({ table, reader, streams, destination, rows }));
        }),
      ),
    ),
  );
}

function sizesOf(maxRows: number): number[] {
  return [...SIZES.filter((rows) => rows < maxRows), maxRows];
}

async function measureCase(site: Site, one: Case, runId: string, signal: AbortSignal): Promise<Peak> {
  const fileFolder = path.join(site.folder, 'archive');
  mkdirSync(fileFolder, { recursive: true });
  const options = { threads: one.streams, ...(one.destination === 'file' ? { fileFolder } : {}) };
  const configFile = site.writeConfig('memory', { flat: await archiveOf(site, one) }, options);
  const { environment, postmaster } = site;
  const sumBytes = memorySum(configFile, environment);
  try {
    const run = await measure(pgsluiceCommand('flat', configFile, runId), { environment, postmaster, signal });
    const result = resultOf(run);
    if (result.rows !== one.rows) throw new Error(`${result.rows} rows were archived instead of ${one.rows}`);
    if (result.objects !== one.streams) throw new Error(`${result.objects} segments instead of ${one.streams}`);
    return {
      ...one,
      sumBytes,
      rssBytes: Math.max(run.peakRssBytes, result.peakRssBytes),
      heapBytes: result.peakHeapBytes,
      seconds: run.seconds,
      jsonBytes: result.jsonBytes,
      storedBytes: result.bytes,
    };
  } finally {
    rmSync(fileFolder, { recursive: true, force: true });
    await emptyStore(site);
  }
}

/** As many segments as streams, all at once, so that each thread is busy for all of the time. */
async function archiveOf(site: Site, { table, reader, streams, rows }: Case): Promise<string> {
  if (rows > table.rows) return `query: '${repeat(table, rows)}', read: ${reader}`;
  const source = `table: ${table.relation}, where: id <= ${rows}, read: ${reader}`;
  if (streams === 1) return `${source}, segments: { by: none }`;
  const tableBytes = await relationBytes(site, table.relation);
  const targetBytes = Math.ceil(((rows / table.rows) * tableBytes) / streams);
  return `${source}, segments: { by: key, targetSize: ${targetBytes}, parallel: ${streams} }`;
}

async function relationBytes({ environment }: Site, relation: string): Promise<number> {
  const client = new pg.Client({ connectionString: environment['DATABASE_URL'] });
  await client.connect();
  try {
    const { rows } = await client.query<{ bytes: string }>('select pg_relation_size($1) as bytes', [relation]);
    return Number(rows[0]?.bytes);
  } finally {
    await client.end();
  }
}

function memorySum(configFile: string, environment: Record<string, string>): number {
  const { stdout, stderr } = spawnSync(process.execPath, [PROGRAM, 'check', '--config', configFile, '--json'], {
    env: environment,
    encoding: 'utf8',
  });
  const report = JSON.parse(stdout) as { memory: { totalBytes: number } | null; problems: string[] };
  if (report.memory === null) throw new Error(`check: ${report.problems.join('; ')}${stderr}`);
  return report.memory.totalBytes;
}

function describe(peaks: readonly Peak[]): string {
  const [first] = peaks;
  if (first === undefined) return '';
  const { table, reader, streams, destination } = first;
  const lines = peaks.map(({ rows, jsonBytes, rssBytes, heapBytes, sumBytes, seconds }) =>
    [
      formatCount(rows).padStart(12),
      formatBytes(jsonBytes).padStart(12),
      megabytes(rssBytes).padStart(12),
      formatBytes(heapBytes).padStart(12),
      megabytes(sumBytes).padStart(12),
      `${seconds.toFixed(1)} s`.padStart(10),
    ].join(''),
  );
  const head = ['rows', 'JSON Lines', 'peak RSS', 'worker heap', 'sum']
    .map((name) => name.padStart(12))
    .join('')
    .concat('time'.padStart(10));
  const threads = streams === 1 ? 'one stream' : `${streams} threads`;
  return `${table.what}, read by ${reader}, ${threads}, to ${destination}${describeGrowth(peaks)}\n${head}\n${lines.join('\n')}\n\n`;
}

function judge(peaks: readonly Peak[]): string[] {
  const problems = peaks.flatMap((peak) => {
    const where = `${nameOf(peak)}, ${formatCount(peak.rows)} rows`;
    const found: string[] = [];
    if (peak.streams === 1 && peak.rssBytes > MAX_ONE_STREAM_BYTES)
      found.push(`${where}: ${megabytes(peak.rssBytes)} are more than ${megabytes(MAX_ONE_STREAM_BYTES)}`);
    if (peak.rssBytes > peak.sumBytes)
      found.push(`${where}: ${megabytes(peak.rssBytes)} are more than the sum of ${megabytes(peak.sumBytes)}`);
    return found;
  });
  const [first] = peaks;
  const growth = growthOf(peaks.filter(fillsParts));
  if (first !== undefined && growth > MAX_GROWTH)
    problems.push(`${nameOf(first)}: grows by ${percent(growth)}, more than ${percent(MAX_GROWTH)}`);
  return problems;
}

/** Growth counts from where all parts are in use that may be in flight: below that, an object is too short to need them. */
function fillsParts({ storedBytes, streams }: Peak): boolean {
  return storedBytes / streams >= (BUDGET.parts.onTheWay + BUDGET.parts.inTheMaking) * PART_BYTES;
}

function describeGrowth(peaks: readonly Peak[]): string {
  if (peaks.length < 2) return '';
  const filled = peaks.filter(fillsParts);
  const settled =
    filled.length < 2
      ? 'too few sizes fill all parts in flight to judge it'
      : `${percent(growthOf(filled))} once all parts in flight are filled`;
  return `, growth ${percent(growthOf(peaks))}, ${settled}`;
}

/** From the fewest rows to the most, as a part of the former. */
function growthOf(peaks: readonly Peak[]): number {
  const [first, last] = [peaks[0], peaks.at(-1)];
  return first === undefined || last === undefined ? 0 : last.rssBytes / first.rssBytes - 1;
}

function nameOf({ table, reader, streams, destination }: Case): string {
  return `${table.name}, ${reader}, ${streams === 1 ? 'one stream' : `${streams} threads`}, ${destination}`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}
