/** What exact deleting costs: pgsluice's purge, and the two DELETEs that people script instead, on the same cold pages. */
import path from 'node:path';
import pg from 'pg';
import { purgeKey } from '../src/ledger/names.ts';
import type { PurgeResult } from '../src/purge/request.ts';
import { PROGRAM } from './compiled.ts';
import { measure, type Measurement } from './measure.ts';
import { pgsluiceCommand } from './contenders.ts';
import { resultOf, runIds } from './rounds.ts';
import { emptyStore, say, type BenchTable, type Site } from './site.ts';
import { medianOf, summaryOf, type Summary } from './statistics.ts';

export interface PurgeFigures extends Summary {
  name: PurgerName;
  label: string;
  walBytes: number;
}

export interface PurgeOfTable {
  table: BenchTable;
  rows: number;
  jsonBytes: number;
  figures: PurgeFigures[];
}

export type PurgerName = 'purge' | 'by-key' | 'by-date';

interface Purger {
  name: PurgerName;
  label: string;
  commandLine: (configFile: string, run: string) => string;
}

const TARGET = 'public.purged';
const ARCHIVE = 'purged';
/** As many as a purge of rows of this size comes to. */
const ROWS_A_BATCH = 5000;
/** Of all rows, the smallest first: memory is to be as flat. */
const SHARES = [1 / 24, 1 / 3, 1];

const BY_KEY = path.join(import.meta.dirname, 'alternatives', 'delete-by-key.ts');

const PURGERS: readonly Purger[] = [
  {
    name: 'purge',
    label: 'pgsluice purge',
    commandLine: (configFile, run) =>
      `"$NODE" '${PROGRAM}' purge ${ARCHIVE} ${run} --execute --yes --json --config '${configFile}'`,
  },
  {
    name: 'by-key',
    label: `DELETE … WHERE id IN (…), ${ROWS_A_BATCH} a batch`,
    commandLine: () => `"$NODE" '${BY_KEY}' ${TARGET} ${ROWS_A_BATCH}`,
  },
  {
    name: 'by-date',
    label: 'DELETE … WHERE created_at < …',
    commandLine: () =>
      `psql "$DATABASE_URL" -X -q -v ON_ERROR_STOP=1 -c "DELETE FROM ${TARGET} WHERE created_at < 'infinity'"`,
  },
];

/** Purges the article's table, and shares of it, the smallest first. Throws when a row stays. */
export async function measurePurge(site: Site, rounds: number, signal: AbortSignal): Promise<PurgeOfTable[]> {
  const table = site.tables.find(({ name }) => name === 'article');
  if (table === undefined) return [];
  const client = new pg.Client({ connectionString: site.environment['DATABASE_URL'] });
  await client.connect();
  try {
    // As on servers that are to survive a loss of power: the first change of a page puts it into the WAL whole.
    await client.query('ALTER SYSTEM SET full_page_writes = on');
    await client.query('SELECT pg_reload_conf()');
    const measured: PurgeOfTable[] = [];
    for (const share of SHARES) {
      const part = { ...table, rows: Math.ceil(table.rows * share) };
      measured.push(await measureTable(site, client, part, share === 1 ? rounds : 1, signal));
    }
    return measured;
  } finally {
    await client.query('ALTER SYSTEM RESET full_page_writes');
    await client.query('SELECT pg_reload_conf()');
    await client.end();
  }
}

async function measureTable(
  site: Site,
  client: pg.Client,
  table: BenchTable,
  rounds: number,
  signal: AbortSignal,
): Promise<PurgeOfTable> {
  const { environment, postmaster } = site;
  const configFile = site.writeConfig('purge', { [ARCHIVE]: `table: ${TARGET}, purge: { after: 1h }` });
  const run = runIds().next().value;
  await makeTarget(client, table);
  const archiving = await measure(pgsluiceCommand(ARCHIVE, configFile, run), { environment, postmaster, signal });
  const { jsonBytes } = resultOf(archiving);
  const measured = PURGERS.map((): (Measurement & { walBytes: number })[] => []);
  for (let round = 1; round <= rounds; round += 1) {
    for (const [at, { name, label, commandLine }] of PURGERS.entries()) {
      await makeTarget(client, table);
      // A run is purged once.
      await site.store.remove([purgeKey(ARCHIVE, run)]);
      const before = await walPosition(client);
      const result = await measure(commandLine(configFile, run), { environment, postmaster, signal });
      const walBytes = (await walPosition(client)) - before;
      if (name === 'purge') checkResult(JSON.parse(result.stdout) as PurgeResult[], table);
      await checkEmpty(client, label);
      measured[at]?.push({ ...result, walBytes });
      const { seconds, cpuSeconds, serverCpuSeconds } = result;
      const figures = `${seconds.toFixed(2)} s, CPU ${cpuSeconds.toFixed(2)} s, of Postgres ${serverCpuSeconds.toFixed(2)} s`;
      say(
        `round ${round} of ${rounds}: ${label}, ${table.rows} rows: ${figures}, WAL ${Math.round(walBytes / 1e6)} MB`,
      );
    }
  }
  await client.query(`DROP TABLE ${TARGET}`);
  await emptyStore(site);
  return { table, rows: table.rows, jsonBytes, figures: PURGERS.map((one, at) => figuresOf(one, measured[at] ?? [])) };
}

/** With cold pages, as those are that are old enough to be purged, and with nobody at them but who is measured. */
async function makeTarget(client: pg.Client, { relation, rows }: BenchTable): Promise<void> {
  await client.query(`DROP TABLE IF EXISTS ${TARGET}`);
  await client.query(`CREATE TABLE ${TARGET} (LIKE ${relation} INCLUDING ALL) WITH (autovacuum_enabled = false)`);
  await client.query(`INSERT INTO ${TARGET} SELECT * FROM ${relation} WHERE id <= ${rows}`);
  await client.query(`VACUUM (ANALYZE) ${TARGET}`);
  await client.query('CHECKPOINT');
}

async function walPosition(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ bytes: string }>(
    `SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0') AS bytes`,
  );
  return Number(rows[0]?.bytes);
}

function checkResult([result]: readonly PurgeResult[], { rows }: BenchTable): void {
  if (result?.totals.deleted !== rows) throw new Error(`the purge did not delete all: ${JSON.stringify(result)}`);
}

async function checkEmpty(client: pg.Client, label: string): Promise<void> {
  const { rows } = await client.query<{ n: string }>(`SELECT count(*) AS n FROM ${TARGET}`);
  if (rows[0]?.n !== '0') throw new Error(`${label} left ${rows[0]?.n ?? 'no count'} rows`);
}

function figuresOf({ name, label }: Purger, runs: readonly (Measurement & { walBytes: number })[]): PurgeFigures {
  return {
    name,
    label,
    ...summaryOf(runs),
    walBytes: medianOf(runs.map(({ walBytes }) => walBytes)),
  };
}
