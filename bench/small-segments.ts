/**
 * What a small segment costs: many values, and many windows, of 50 rows each. CPU, requests to S3 and questions to Postgres a
 * segment are the differences between a run of many and one of few. By hand: `VALUES=10000 WINDOWS=1000 node bench/small-segments.ts`.
 */
import pg from 'pg';
import { Closers } from '../src/base/closers.ts';
import { NEVER } from '../src/base/signals.ts';
import { PROGRAM } from './compiled.ts';
import { countQuestions } from './question-counter.ts';
import { countRequests } from './request-counter.ts';
import { measure, type Measurement } from './measure.ts';
import { emptyStore, openSite, say, type Site } from './site.ts';

const VALUES = Number(process.env['VALUES'] ?? 10_000);
const WINDOWS = Number(process.env['WINDOWS'] ?? 1000);
const ROWS = Number(process.env['ROWS'] ?? 50);
const THREADS = Number(process.env['THREADS'] ?? 2);
const ROUNDS = Number(process.env['ROUNDS'] ?? 1);
/** So many segments a run has anyway: what is beyond is what a segment costs. */
const FEW = 50;

interface Ended {
  status: string;
  rows: number;
  objects: number;
}

/** An archive of `many` segments, and the same of few. */
interface Case {
  name: string;
  many: number;
  archive: (segments: number) => string;
}

const CASES: readonly Case[] = [
  {
    name: 'values',
    many: VALUES,
    archive: (segments) => `table: visits, where: 'tenant < ${segments}', partitionBy: [tenant]`,
  },
  {
    name: 'windows',
    many: WINDOWS,
    archive: (segments) => `table: ${segments === FEW ? 'few_days' : 'days'}, window: { column: at, every: day }`,
  },
];

const closers = new Closers();
try {
  const site = await openSite([], closers, NEVER);
  await fill(site.environment['DATABASE_URL'] ?? '');
  const counters = new Closers();
  closers.add('the counters', () => counters.close());
  const requests = await countRequests(site.environment['S3_ENDPOINT'] ?? '', counters);
  const questions = await countQuestions(site.environment['DATABASE_URL'] ?? '', counters);
  const counting = { ...site.environment, DATABASE_URL: questions.url, S3_ENDPOINT: requests.endpoint };
  for (const { name, many, archive } of CASES.filter((one) => one.many > FEW)) {
    const body = (segments: number): string => archive(segments);
    for (let round = 1; round <= ROUNDS; round += 1) {
      const few = await run(site, `${name}_few`, body(FEW), site.environment);
      const all = await run(site, name, body(many), site.environment);
      say(`${name} ${JSON.stringify(perSegment(few, all))}`);
    }
    const counts = async (archiveName: string, segments: number): Promise<number[]> => {
      const before = [requests.requests, questions.connections, questions.answers];
      const { objects } = await run(site, archiveName, body(segments), counting);
      const after = [requests.requests, questions.connections, questions.answers];
      return [objects, ...after.map((count, at) => count - (before[at] ?? 0))];
    };
    const fewCounts = await counts(`${name}_few`, FEW);
    const allCounts = await counts(name, name === 'windows' ? many : Math.min(many, 1000));
    const [objects = 0, ...others] = allCounts.map((count, at) => count - (fewCounts[at] ?? 0));
    const [s3 = 0, connections = 0, answers = 0] = others.map((count) => Math.round((count / objects) * 100) / 100);
    say(`${name} a segment ${JSON.stringify({ segments: objects, s3, connections, answers })}`);
  }
} finally {
  await closers.close();
}

async function fill(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const columns = `g::bigint * 7919 % 1000003 AS amount, md5(g::text) AS note, '2025-01-01 00:00:00+00'::timestamptz`;
  await client.query(`
    CREATE TABLE visits AS SELECT g AS id, (g / ${ROWS})::int AS tenant, ${columns} + g * interval '1 s' AS at
      FROM generate_series(0, ${VALUES * ROWS - 1}) g;
    ALTER TABLE visits ADD PRIMARY KEY (id);
    CREATE INDEX ON visits (tenant, id);
    CREATE TABLE days AS SELECT g AS id, ${columns} + (g / ${ROWS}) * interval '1 day' + (g % ${ROWS}) * interval '1 min' AS at
      FROM generate_series(0, ${WINDOWS * ROWS - 1}) g;
    ALTER TABLE days ADD PRIMARY KEY (id);
    UPDATE days SET at = at - interval '${WINDOWS} days';
    CREATE INDEX ON days (at);
    CREATE TABLE few_days (LIKE days INCLUDING ALL);
    INSERT INTO few_days SELECT * FROM days WHERE id < ${FEW * ROWS}`);
  await client.query('VACUUM (ANALYZE)');
  await client.end();
}

interface Measured extends Measurement {
  objects: number;
}

async function run(site: Site, archive: string, body: string, environment: Record<string, string>): Promise<Measured> {
  const file = site.writeConfig(archive, { [archive]: body }, { threads: THREADS });
  const options = { environment, postmaster: site.postmaster, signal: NEVER };
  const measured = await measure(`"$NODE" '${PROGRAM}' run ${archive} --json --config '${file}'`, options);
  const ended = JSON.parse(measured.stdout) as Ended[];
  if (ended.some(({ status }) => status !== 'committed')) throw new Error(measured.stdout);
  await emptyStore(site);
  const objects = ended.reduce((sum, one) => sum + one.objects, 0);
  say(
    `${archive}: ${objects} objects in ${measured.seconds} s, CPU ${measured.cpuSeconds.toFixed(2)} s, ` +
      `Postgres ${measured.serverCpuSeconds.toFixed(2)} s, ${Math.round(measured.peakRssBytes / 1024 ** 2)} MiB`,
  );
  return { ...measured, objects };
}

function perSegment(few: Measured, all: Measured): Record<string, number> {
  const segments = all.objects - few.objects;
  const ms = (a: number, b: number): number => Math.round(((a - b) / segments) * 1e5) / 100;
  return {
    segments,
    ms: ms(all.seconds, few.seconds),
    cpuMs: ms(all.cpuSeconds, few.cpuSeconds),
    postgresCpuMs: ms(all.serverCpuSeconds, few.serverCpuSeconds),
  };
}
