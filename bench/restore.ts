/** The way back: pgsluice's restore into a table with its key, and `psql COPY | psql COPY` into the same one, in turn. */
import pg from 'pg';
import type { RestoreResult } from '../src/restore/request.ts';
import { PROGRAM } from './compiled.ts';
import { archiveName, pgsluiceCommand } from './contenders.ts';
import { measure, type Measurement } from './measure.ts';
import { resultOf, runIds } from './rounds.ts';
import { emptyStore, say, type BenchTable, type Site } from './site.ts';
import { spreadOf, summaryOf, type Spread, type Summary } from './statistics.ts';

export interface RestoreFigures extends Summary {
  name: string;
  label: string;
  /** Seconds of a round, as a multiple of what psql took in the same one. */
  timesPsql: Spread;
}

export interface RestoreOfTable {
  table: BenchTable;
  jsonBytes: number;
  figures: RestoreFigures[];
}

interface Restorer {
  name: string;
  label: string;
  commandLine: (table: BenchTable, configFile: string) => string;
}

const TARGET = 'public.restored';
const PSQL_NAME = 'psql-copy';
export const RESTORE_NAME = 'restore';

/** How the archives that are restored are cut; each is one of pgsluice's restorers. */
const CUTS = [
  { name: RESTORE_NAME, label: 'pgsluice restore, defaults', yaml: '' },
  { name: 'restore-one-stream', label: 'pgsluice restore, one object', yaml: ', segments: { by: none }' },
];

const RESTORERS: readonly Restorer[] = [
  {
    name: PSQL_NAME,
    label: 'psql COPY | psql COPY',
    commandLine: ({ relation }) => `${copy(`COPY ${relation} TO STDOUT`)} | ${copy(`COPY ${TARGET} FROM STDIN`)}`,
  },
  ...CUTS.map(({ name, label }) => ({
    name,
    label,
    commandLine: (table: BenchTable, configFile: string) =>
      `"$NODE" '${PROGRAM}' restore ${archiveName(name, table)} --into ${TARGET} --config '${configFile}' --json`,
  })),
];

/** Archives every table, then brings it back. Throws when rows are missing, or other ones. */
export async function measureRestore(site: Site, rounds: number, signal: AbortSignal): Promise<RestoreOfTable[]> {
  const client = new pg.Client({ connectionString: site.environment['DATABASE_URL'] });
  await client.connect();
  try {
    const found: RestoreOfTable[] = [];
    for (const table of site.tables) found.push(await measureTable(site, client, table, rounds, signal));
    return found;
  } finally {
    await client.end();
  }
}

async function measureTable(
  site: Site,
  client: pg.Client,
  table: BenchTable,
  rounds: number,
  signal: AbortSignal,
): Promise<RestoreOfTable> {
  const archives = CUTS.map(({ name, yaml }) => [archiveName(name, table), `table: ${table.relation}${yaml}`] as const);
  const configFile = site.writeConfig(`restore-${table.name}`, Object.fromEntries(archives));
  const { environment, postmaster } = site;
  let jsonBytes = 0;
  const ids = runIds();
  for (const [archive] of archives) {
    const commandLine = pgsluiceCommand(archive, configFile, ids.next().value);
    jsonBytes = resultOf(await measure(commandLine, { environment, postmaster, signal })).jsonBytes;
  }
  const runs: Measurement[][] = RESTORERS.map(() => []);
  for (let round = 0; round <= rounds; round += 1) {
    for (const [at, { name, label, commandLine }] of RESTORERS.entries()) {
      await makeTarget(client, table);
      const result = await measure(commandLine(table, configFile), { environment, postmaster, signal });
      await checkRows(client, table, label, round === 0);
      if (round > 0) runs[at]?.push(name === PSQL_NAME ? result : withPeak(result));
      const which = round === 0 ? 'warm-up' : `round ${round} of ${rounds}`;
      say(`${which}: ${table.name}, ${label}: ${result.seconds.toFixed(2)} s, CPU ${result.cpuSeconds.toFixed(2)} s`);
    }
  }
  await client.query(`DROP TABLE ${TARGET}`);
  await emptyStore(site);
  return { table, jsonBytes, figures: RESTORERS.map((one, at) => figuresOf(one, runs[at] ?? [], runs[0] ?? [])) };
}

async function makeTarget(client: pg.Client, { relation }: BenchTable): Promise<void> {
  await client.query(`DROP TABLE IF EXISTS ${TARGET}`);
  await client.query(`CREATE TABLE ${TARGET} (LIKE ${relation} INCLUDING INDEXES)`);
  await client.query('CHECKPOINT');
}

async function checkRows(client: pg.Client, table: BenchTable, label: string, byContent: boolean): Promise<void> {
  const content = byContent ? 'sum(hashtextextended(t::text, 0))::text' : 'null';
  const ask = async (relation: string): Promise<string> => {
    const { rows } = await client.query(`SELECT count(*)::int8, ${content} AS content FROM ${relation} AS t`);
    return JSON.stringify(rows[0]);
  };
  const [expected, found] = [await ask(table.relation), await ask(TARGET)];
  if (expected !== found) throw new Error(`${label} brought back ${found} instead of ${expected}`);
}

/** Between the last sample and its end a process may still grow; pgsluice asks the system at its end. */
function withPeak(run: Measurement): Measurement {
  const { status, peakRssBytes } = JSON.parse(run.stdout) as RestoreResult;
  if (status !== 'restored') throw new Error(`a restore failed: ${run.stdout}`);
  return { ...run, peakRssBytes: Math.max(run.peakRssBytes, peakRssBytes) };
}

function figuresOf(
  { name, label }: Restorer,
  runs: readonly Measurement[],
  psql: readonly Measurement[],
): RestoreFigures {
  return {
    name,
    label,
    ...summaryOf(runs),
    timesPsql: spreadOf(runs.map(({ seconds }, at) => seconds / (psql[at]?.seconds ?? Number.NaN))),
  };
}

function copy(sql: string): string {
  return `psql "$DATABASE_URL" -X -q -v ON_ERROR_STOP=1 -c '${sql}'`;
}
