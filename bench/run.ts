/** `npm run bench`: pgsluice and what people would script instead, in turn, on the same servers. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Closers } from '../src/base/closers.ts';
import { UsageError } from '../src/base/errors.ts';
import { watchInterrupts } from '../src/commands/interrupt.ts';
import { drawChart } from './chart.ts';
import { CONTENDERS } from './contenders.ts';
import { measureDistance } from './distance.ts';
import { measureErrands } from './errands.ts';
import { openLightSite, type LightSite } from './light-site.ts';
import { measureLinearity } from './linear.ts';
import { describeMachine } from './machine.ts';
import { measurePurge } from './purge.ts';
import { renderReport, type Report } from './report.ts';
import { measureRestore } from './restore.ts';
import { race } from './rounds.ts';
import { openSite, say, type Site, type TableName } from './site.ts';
import { measureStages } from './stages.ts';
import { chooseContenders, findAws, findRunnable, usageExit } from './tools.ts';

const HELP = `npm run bench -- [options]

  --rounds N      rounds that count, after one to warm up (default 3)
  --table NAME    article or narrow (default: both)
  --only NAME     only this contender; may be given several times
  --rows N        rows of the article's table (default 466000); the narrow table's shrink in proportion
  --stages        only where pgsluice's time goes, stage by stage
  --errands       only an empty run, one of 1,000 small segments, and verify
  --endpoint NAME light, which checks digests and drops data (default), or embedded, which keeps it
  --restore       only the way back, into a table with its key
  --purge         only what it costs to delete exactly, of the article's table
  --distance      only how fast segments go to a server that is far away
  --linear        also the cost at 10^5, 10^6 and 10^7 rows; takes some minutes
  --write         writes docs/benchmarks.md and docs/images/bench.svg

Contenders: ${CONTENDERS.map(({ name }) => name).join(', ')}
`;

const ARTICLE_ROWS = 466_000;
const NARROW_ROWS = 3_000_000;
const DOCS = path.join(import.meta.dirname, '..', 'docs');
/** The cost at 10^7 rows takes minutes, and hardly varies. */
const LINEAR_ROUNDS = 1;

interface Options {
  rounds: number;
  tables: { name: TableName; rows: number }[];
  only: readonly string[];
  stagesOnly: boolean;
  errandsOnly: boolean;
  endpoint: 'light' | 'embedded';
  restoreOnly: boolean;
  purgeOnly: boolean;
  distanceOnly: boolean;
  linear: boolean;
  write: boolean;
}

process.exitCode = await main().catch(usageExit);

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) {
    process.stdout.write(HELP);
    return 0;
  }
  const interrupt = watchInterrupts();
  const closers = new Closers();
  try {
    const report = await (options.distanceOnly ? measureOnlyDistance : measureAll)(options, closers, interrupt.signal);
    const markdown = await renderReport(report);
    process.stdout.write(`\n${markdown}`);
    if (options.write) writeDocuments(report, markdown);
    return 0;
  } catch (error) {
    if (!interrupt.interrupted) throw error;
    say('interrupted');
    return 130;
  } finally {
    await closers.close();
    interrupt.release();
  }
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      table: { type: 'string' },
      only: { type: 'string', multiple: true, default: [] },
      rows: { type: 'string', default: String(ARTICLE_ROWS) },
      stages: { type: 'boolean', default: false },
      errands: { type: 'boolean', default: false },
      endpoint: { type: 'string', default: 'light' },
      restore: { type: 'boolean', default: false },
      purge: { type: 'boolean', default: false },
      distance: { type: 'boolean', default: false },
      linear: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const rows = positiveInteger('--rows', values.rows);
  const wanted = values.purge ? 'article' : values.table;
  const tables = [
    { name: 'article' as const, rows },
    { name: 'narrow' as const, rows: Math.ceil((rows / ARTICLE_ROWS) * NARROW_ROWS) },
  ].filter(({ name }) => wanted === undefined || wanted === name);
  if (tables.length === 0) throw new UsageError(`--table is article or narrow, not ${values.table ?? ''}`);
  const isPartial =
    tables.length < 2 ||
    values.only.length > 0 ||
    values.stages ||
    values.errands ||
    values.endpoint !== 'light' ||
    values.restore ||
    values.purge ||
    values.distance ||
    rows !== ARTICLE_ROWS;
  const { endpoint } = values;
  if (endpoint !== 'light' && endpoint !== 'embedded')
    throw new UsageError(`--endpoint is light or embedded, not ${endpoint}`);
  if (values.write && isPartial)
    throw new UsageError('--write is for the whole benchmark: leave the other options out');
  return {
    rounds: positiveInteger('--rounds', values.rounds),
    tables,
    only: values.only,
    stagesOnly: values.stages,
    errandsOnly: values.errands,
    endpoint,
    restoreOnly: values.restore,
    purgeOnly: values.purge,
    distanceOnly: values.distance,
    linear: values.linear,
    write: values.write,
  };
}

function positiveInteger(option: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`${option} takes a whole number above zero, not "${text}"`);
  return Number(text);
}

async function measureAll(options: Options, closers: Closers, signal: AbortSignal): Promise<Report> {
  const contenders = findRunnable(chooseContenders(options.only));
  const opened = await openSite(options.tables, closers, signal);
  const site = { ...opened, environment: { ...opened.environment, AWS: findAws() } };
  const machine = describeMachine(site.postgresVersion);
  const racing = await openRacingSite(site, options.endpoint, closers);
  const { rounds, stagesOnly, errandsOnly, restoreOnly, purgeOnly, only, linear } = options;
  const isPartial = stagesOnly || errandsOnly || restoreOnly || purgeOnly;
  const isWanted = (isOnly: boolean): boolean => isOnly || (!isPartial && only.length === 0);
  return {
    rounds,
    tables: site.tables,
    machine,
    figures: isPartial ? [] : await race(racing, contenders, rounds, signal),
    errands: isWanted(errandsOnly) ? await measureErrands(racing, rounds, signal) : [],
    stages: isWanted(stagesOnly) ? await measureStages(site, rounds, signal) : [],
    restores: isWanted(restoreOnly) ? await measureRestore(site, rounds, signal) : [],
    purges: isWanted(purgeOnly) ? await measurePurge(site, rounds, signal) : [],
    distance: isPartial || only.length > 0 ? [] : await measureDistance(rounds, signal),
    linearity: linear ? await measureLinearity(site, LINEAR_ROUNDS, signal) : undefined,
  };
}

/** Of the embedded endpoint, all data is kept. */
function openRacingSite(site: Site, endpoint: Options['endpoint'], closers: Closers): Promise<LightSite> {
  return endpoint === 'light'
    ? openLightSite(site, closers)
    : Promise.resolve({ ...site, keepData: () => Promise.resolve() });
}

/** Nothing of it takes a database. */
async function measureOnlyDistance({ rounds }: Options, _closers: Closers, signal: AbortSignal): Promise<Report> {
  const distance = await measureDistance(rounds, signal);
  const machine = describeMachine('not used');
  return {
    rounds,
    tables: [],
    machine,
    figures: [],
    errands: [],
    stages: [],
    restores: [],
    purges: [],
    distance,
    linearity: undefined,
  };
}

function writeDocuments(report: Report, markdown: string): void {
  mkdirSync(path.join(DOCS, 'images'), { recursive: true });
  writeFileSync(path.join(DOCS, 'benchmarks.md'), markdown);
  writeFileSync(path.join(DOCS, 'images', 'bench.svg'), drawChart(report.figures, report.tables));
  say('wrote docs/benchmarks.md and docs/images/bench.svg');
}
