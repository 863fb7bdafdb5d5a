/** What a run costs that has hardly a row, or many small segments; and what it costs to prove one again. */
import pg from 'pg';
import { PROGRAM } from './compiled.ts';
import { archiveName, AWS, IGZIP, pgsluiceCommand } from './contenders.ts';
import type { LightSite } from './light-site.ts';
import { measure, type Measurement } from './measure.ts';
import { resultOf, runIds } from './rounds.ts';
import { DESTINATION, emptyStore, say } from './site.ts';
import { summaryOf, type Summary } from './statistics.ts';
import { areThere } from './tools.ts';

export interface ErrandFigures extends Summary {
  name: string;
  label: string;
}

export const EMPTY_NAME = 'empty';
export const verifyName = (table: string): string => `verify-${table}`;

const SMALL_SEGMENTS = 1000;
const ROWS_A_SEGMENT = 50;
const VERIFIED_RUN = '20250101T000000Z';

interface Errand {
  name: string;
  label: string;
  commandLine: (configFile: string, runId: string) => string;
  /** Of the result of a run that was measured. */
  objects?: number;
}

/** Measures them in turn, after one round to warm up. Only what is verified is kept meanwhile. */
export async function measureErrands(site: LightSite, rounds: number, signal: AbortSignal): Promise<ErrandFigures[]> {
  await createTables(site);
  const configFile = site.writeConfig('errands', {
    [EMPTY_NAME]: 'table: public.no_rows',
    small: 'table: public.tenants, partitionBy: [tenant]',
    ...Object.fromEntries(site.tables.map((table) => [archiveName('verify', table), `table: ${table.relation}`])),
  });
  await site.keepData(true);
  for (const table of site.tables)
    await run(site, pgsluiceCommand(archiveName('verify', table), configFile, VERIFIED_RUN), signal);
  await site.keepData(false);
  const errands: Errand[] = [
    {
      name: EMPTY_NAME,
      label: 'pgsluice run, no row',
      commandLine: (file, id) => pgsluiceCommand(EMPTY_NAME, file, id),
    },
    {
      name: 'small',
      label: `pgsluice run, 1,000 segments of ${ROWS_A_SEGMENT} rows`,
      commandLine: (file, id) => pgsluiceCommand('small', file, id),
      objects: SMALL_SEGMENTS,
    },
    ...site.tables.map((table) => ({
      name: verifyName(table.name),
      label: `pgsluice verify, ${table.what}`,
      commandLine: (file: string): string =>
        `"$NODE" '${PROGRAM}' verify ${archiveName('verify', table)} ${VERIFIED_RUN} --config '${file}' --json`,
    })),
    ...(await peers(site)),
  ];
  const ids = runIds();
  const measured = new Map<string, Measurement[]>(errands.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round += 1) {
    for (const { name, label, commandLine, objects } of errands) {
      const result = await run(site, commandLine(configFile, ids.next().value), signal);
      if (objects !== undefined && resultOf(result).objects !== objects) throw new Error(`${label}: ${result.stdout}`);
      if (round > 0) measured.get(name)?.push(result);
      say(`${round === 0 ? 'warm-up' : `round ${round} of ${rounds}`}: ${label}: ${result.seconds.toFixed(2)} s`);
    }
  }
  await emptyStore(site);
  return errands.map(({ name, label }) => figuresOf(name, label, measured.get(name) ?? []));
}

/** Who only counts the lines of the same objects. */
async function peers(site: LightSite): Promise<Errand[]> {
  if (!areThere([AWS, IGZIP], 'those who only count lines')) return [];
  const found: Errand[] = [];
  for (const table of site.tables) {
    const keys: string[] = [];
    for await (const { key } of site.store.list(`${archiveName('verify', table)}/`))
      if (key.endsWith('.gz')) keys.push(key);
    const reads = keys.map((key) => `"$AWS" s3 cp '${DESTINATION}/${key}' - --endpoint-url "$S3_ENDPOINT"`);
    found.push({
      name: `count-${table.name}`,
      label: `aws s3 cp - | igzip -dc | wc -l, ${table.what}`,
      commandLine: () => reads.map((read) => `${read} | igzip -dc | wc -l`).join(' && '),
    });
  }
  return found;
}

async function createTables({ environment }: LightSite): Promise<void> {
  const client = new pg.Client({ connectionString: environment['DATABASE_URL'] });
  await client.connect();
  await client.query(`
    CREATE TABLE public.no_rows (id bigint PRIMARY KEY, note text);
    CREATE TABLE public.tenants AS SELECT g AS id, (g / ${ROWS_A_SEGMENT})::int AS tenant, md5(g::text) AS note
      FROM generate_series(0, ${SMALL_SEGMENTS * ROWS_A_SEGMENT - 1}) AS g;
    ALTER TABLE public.tenants ADD PRIMARY KEY (id);
    CREATE INDEX ON public.tenants (tenant, id)`);
  await client.query('VACUUM (ANALYZE) public.tenants, public.no_rows');
  await client.end();
}

function run({ environment, postmaster }: LightSite, commandLine: string, signal: AbortSignal): Promise<Measurement> {
  return measure(commandLine, { environment, postmaster, signal });
}

function figuresOf(name: string, label: string, runs: readonly Measurement[]): ErrandFigures {
  return { name, label, ...summaryOf(runs) };
}
