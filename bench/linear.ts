/** Whether cost grows with the rows and with nothing else: CPU seconds per GB at 10^5, 10^6 and 10^7 rows. */
import { formatCount } from '../src/base/units.ts';
import { pgsluiceCommand } from './contenders.ts';
import { measure } from './measure.ts';
import { resultOf, runIds } from './rounds.ts';
import { emptyStore, say, type BenchTable, type Site } from './site.ts';
import { medianOf } from './statistics.ts';

export interface LinearPoint {
  rows: number;
  jsonBytes: number;
  seconds: number;
  cpuSeconds: number;
  peakRssBytes: number;
}

export interface Linearity {
  table: BenchTable;
  /** CPU of a run without rows: starting Node and the thread, loading the SDK, planning, the manifest. */
  startCpuSeconds: number;
  points: LinearPoint[];
}

export const LINEAR_ROWS = [100_000, 1_000_000, 10_000_000];

/** The article's rows again and again, one copy of the table behind the other, so that 10^7 of them need no disk. */
export async function measureLinearity(site: Site, rounds: number, signal: AbortSignal): Promise<Linearity> {
  const table = site.tables.find(({ name }) => name === 'article');
  if (table === undefined) throw new Error('--linear needs the article table');
  const configFile = site.writeConfig('linear', {
    start: `table: ${table.relation}, where: 'false'`,
    ...Object.fromEntries(LINEAR_ROWS.map((rows) => [archiveOf(rows), `query: '${repeat(table, rows)}'`])),
  });
  const ids = runIds();
  const measureOnce = async (archive: string) => {
    const { environment, postmaster } = site;
    const commandLine = pgsluiceCommand(archive, configFile, ids.next().value);
    const run = await measure(commandLine, { environment, postmaster, signal });
    await emptyStore(site);
    return { ...run, ...resultOf(run), seconds: run.seconds };
  };
  const starts: number[] = [];
  const points: LinearPoint[] = [];
  for (const rows of LINEAR_ROWS) {
    const runs: Awaited<ReturnType<typeof measureOnce>>[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      starts.push((await measureOnce('start')).cpuSeconds);
      runs.push(await measureOnce(archiveOf(rows)));
      say(`linear: ${formatCount(rows)} rows, round ${round} of ${rounds}`);
    }
    if (runs[0]?.rows !== rows) throw new Error(`${runs[0]?.rows ?? 0} rows were archived instead of ${rows}`);
    points.push({
      rows,
      jsonBytes: runs[0].jsonBytes,
      seconds: medianOf(runs.map((run) => run.seconds)),
      cpuSeconds: medianOf(runs.map((run) => run.cpuSeconds)),
      peakRssBytes: Math.max(...runs.map((run) => run.peakRssBytes)),
    });
  }
  return { table, startCpuSeconds: medianOf(starts), points };
}

/** CPU seconds per GB, without what a run takes that has no rows. */
export function cpuPerGb({ startCpuSeconds }: Linearity, point: LinearPoint): number {
  return (point.cpuSeconds - startCpuSeconds) / (point.jsonBytes / 1e9);
}

/**
 * CPU seconds for each further GB, from one size to the next. What a run takes only once falls out here: also V8's compiling of
 * the hot loops and the first request to S3, which a run without rows never comes to.
 */
export function cpuPerFurtherGb({ points }: Linearity): number[] {
  return points.slice(1).map((point, index) => {
    const before = points[index] ?? point;
    return (point.cpuSeconds - before.cpuSeconds) / ((point.jsonBytes - before.jsonBytes) / 1e9);
  });
}

function archiveOf(rows: number): string {
  return `rows-${rows}`;
}

/** A query for more rows than the table has: one copy of it behind the other. */
export function repeat({ relation, rows: tableRows }: BenchTable, rows: number): string {
  const copies = Array.from({ length: Math.ceil(rows / tableRows) }, () => `SELECT * FROM ${relation}`);
  return `${copies.join(' UNION ALL ')} LIMIT ${rows}`;
}
