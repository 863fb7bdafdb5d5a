/**
 * Daily windows of many tenants, each in a folder of its own: what they cost, and whether they come back by tenant and by day.
 * By hand, `DAYS=365 node bench/tenants.ts`: the article's rows over a year, or that part of it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { json, text } from 'node:stream/consumers';
import type pg from 'pg';
import { Closers } from '../src/base/closers.ts';
import { createArticleTable } from '../src/demo/article-table.ts';
import { openCountedSite } from './counted-site.ts';
import type { Counted } from './request-counter.ts';

const DAYS = Number(process.env['DAYS'] ?? 7);
const TENANTS = Number(process.env['TENANTS'] ?? 200);
const ROWS = Number(process.env['ROWS'] ?? Math.round((466_000 * DAYS) / 365));
const FIRST_DAY = Date.UTC(2025, 0, 1);

async function fillTable(client: pg.Client): Promise<void> {
  await createArticleTable(client, { rows: ROWS });
  await client.query(`
    CREATE TABLE visits AS SELECT a.*, (a.id / ${DAYS} % ${TENANTS})::int AS tenant,
      '2025-01-01 00:00:00+00'::timestamptz + (a.id % ${DAYS}) * interval '1 day' + (a.id % 86399) * interval '1 s' AS at
    FROM fetch_queue a;
    ALTER TABLE visits ADD PRIMARY KEY (id);
    CREATE INDEX ON visits (tenant, at);
    CREATE INDEX ON visits (at);
    CREATE TABLE back (LIKE visits INCLUDING ALL)`);
  await client.query('VACUUM (ANALYZE) visits');
}

interface Ended {
  status: string;
  rows: number;
  objects: number;
}

const closers = new Closers();
try {
  const { folder, client, counted, ends } = await openCountedSite('tenants', closers);
  await fillTable(client);
  const configFile = path.join(folder, 'config.yaml');
  const config = {
    ...ends,
    archives: { visits: { table: 'visits', window: { column: 'at', every: 'day' }, partitionBy: ['tenant'] } },
    state: path.join(folder, 'state'),
    log: { level: 'warn' },
  };
  writeFileSync(configFile, JSON.stringify(config));
  const archived = await measure('archived', configFile, counted, ['run', 'visits']);
  if (archived.some(({ status }) => status !== 'committed')) throw new Error(JSON.stringify(archived));
  const tenant = 17 % TENANTS;
  await restore(`tenant ${tenant} restored`, `tenant = ${tenant}`, ['--all', '--partition', `tenant=${tenant}`]);
  const days = [0, 1].map((day) => new Date(FIRST_DAY + day * 86_400_000).toISOString().slice(0, 10));
  await restore(`${days[0]} restored`, `at < '${days[1]} 00:00:00+00'`, [
    '--from',
    days[0] ?? '',
    '--to',
    days[1] ?? '',
  ]);
  await restore('all restored', 'true', ['--all']);

  /** Throws unless the rows that came back are those of the table. */
  async function restore(what: string, condition: string, options: readonly string[]): Promise<void> {
    await client.query('TRUNCATE back');
    await measure(what, configFile, counted, ['restore', 'visits', '--into', 'public.back', ...options]);
    const { rows } = await client.query<{ differ: string }>(
      `SELECT count(*) AS differ FROM (
         (SELECT * FROM visits WHERE ${condition} EXCEPT ALL SELECT * FROM back)
         UNION ALL (SELECT * FROM back EXCEPT ALL SELECT * FROM visits WHERE ${condition})) AS d`,
    );
    if (rows[0]?.differ !== '0') throw new Error(`${what}: ${rows[0]?.differ ?? '?'} rows differ`);
  }
} finally {
  await closers.close();
}

/** Runs a command, and prints what it took. */
async function measure(what: string, configFile: string, counted: Counted, args: readonly string[]): Promise<Ended[]> {
  const [requests, started] = [counted.requests, performance.now()];
  const program = path.join(import.meta.dirname, '../src/cli.ts');
  const child = spawn(process.execPath, [program, ...args, '--json', '--config', configFile], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [ended, said] = await Promise.all([
    json(child.stdout) as Promise<Ended[]>,
    text(child.stderr),
    once(child, 'close'),
  ]);
  if (child.exitCode !== 0) throw new Error(said);
  const sum = (field: 'rows' | 'objects'): number => ended.reduce((total, one) => total + one[field], 0);
  const figures = {
    runs: ended.length,
    rows: sum('rows'),
    objects: sum('objects'),
    requests: counted.requests - requests,
  };
  // What it is run for.
  console.log(what, { ...figures, seconds: Math.round((performance.now() - started) / 100) / 10 });
  return ended;
}
