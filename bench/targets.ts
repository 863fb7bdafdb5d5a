/** What is to be reached, as ratios within one run. */
import { EMPTY_NAME, verifyName, type ErrandFigures } from './errands.ts';
import type { PurgeOfTable } from './purge.ts';
import { RESTORE_NAME, type RestoreOfTable } from './restore.ts';
import type { Figures } from './rounds.ts';
import { cpuPerFurtherGb, type Linearity } from './linear.ts';
import type { TableName } from './site.ts';

export interface Verdict {
  target: string;
  found: string;
  /** Undefined when what it needs was not measured. */
  reached: boolean | undefined;
}

/** Each has a figure that is to be at least, or at most, so much. */
interface Target {
  text: string;
  table: TableName;
  find: (of: FigureOf) => number | undefined;
  atLeast?: number;
  atMost?: number;
  unit: string;
}

/** What verdicts are made of. */
interface Measured {
  figures: readonly Figures[];
  errands: readonly ErrandFigures[];
  restores: readonly RestoreOfTable[];
  purges: readonly PurgeOfTable[];
  linearity: Linearity | undefined;
}

type FigureOf = (contender: string) => Figures | undefined;

const MAX_RSS_BYTES = 150e6;
/** Times what psql takes from table to table. */
const MOST_TIMES_PSQL = 1.15;
/** Of the server's CPU, exactly against by key alone. */
const MOST_TIMES_BY_KEY = 12;
const MOST_PURGE_CPU_PER_GB = 6;
/** More memory for three times the rows. */
const PURGE_MEMORY_TOLERANCE = 1.05;
/** How far apart the three sizes may lie and still count as the same. */
const LINEAR_TOLERANCE = 1.25;

const TARGETS: readonly Target[] = [
  faster('pgsluice', 'psql-gzip', 3.5, 'article', 'ISA-L: times as fast as psql | gzip -6 | aws'),
  faster('pgsluice', 'psql-pigz', 2.4, 'article', 'ISA-L: times as fast as psql | pigz -6 | aws'),
  faster('pgsluice', 'psql-igzip', 1.6, 'article', 'ISA-L: times as fast as psql | igzip -1 | aws'),
  {
    text: 'ISA-L: times the binary-COPY limit',
    table: 'article',
    find: (of) => quotient(of('pgsluice')?.seconds.median, of('binary-copy')?.seconds.median),
    atMost: 1.25,
    unit: 'x',
  },
  {
    text: 'ISA-L: CPU seconds per GB of JSONL',
    table: 'article',
    find: (of) => perGb(of('pgsluice')),
    atMost: 3.8,
    unit: '',
  },
  faster('pgsluice-zlib', 'psql-gzip', 1.9, 'article', 'zlib 6: times as fast as psql | gzip -6 | aws'),
  {
    text: 'zlib 6: CPU seconds per GB of JSONL',
    table: 'article',
    find: (of) => perGb(of('pgsluice-zlib')),
    atMost: 20,
    unit: '',
  },
  faster('pgsluice', 'psql-gzip', 4, 'narrow', 'times as fast as psql | gzip -6 | aws'),
  {
    text: 'CPU seconds per GB of JSONL',
    table: 'narrow',
    find: (of) => perGb(of('pgsluice')),
    atMost: 5.5,
    unit: '',
  },
  slower('pgsluice-params', 'pgsluice-query', 1.15, 'article', 'a query with parameters: times the same without'),
  slower('pgsluice-tls', 'pgsluice', 1.1, 'article', 'over TLS: times the same without'),
  {
    text: 'one stream: peak RSS in MB',
    table: 'article',
    find: (of) => quotient(of('pgsluice-one-stream')?.peakRssBytes, 1e6),
    atMost: MAX_RSS_BYTES / 1e6,
    unit: '',
  },
];

/** What of the targets is reached. */
export function judge({ figures, errands, restores, purges, linearity }: Measured): Verdict[] {
  const verdicts = TARGETS.map((target) => {
    const value = target.find((name) =>
      figures.find(({ contender, table }) => contender.name === name && table.name === target.table),
    );
    return verdictOf(target, value);
  });
  const linear = linearity === undefined ? [] : [judgeLinearity(linearity)];
  return [...verdicts, ...judgeErrands(errands), ...judgeRestores(restores), ...judgePurge(purges), ...linear];
}

/** CPU seconds per GB of JSON Lines. */
export function perGb(figures: Figures | undefined): number | undefined {
  return quotient(figures?.cpuSeconds, figures?.jsonBytes === undefined ? undefined : figures.jsonBytes / 1e9);
}

export function quotient(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a / b;
}

function faster(ours: string, theirs: string, atLeast: number, table: TableName, text: string): Target {
  return {
    text,
    table,
    find: (of) => quotient(of(theirs)?.seconds.median, of(ours)?.seconds.median),
    atLeast,
    unit: 'x',
  };
}

function slower(ours: string, theirs: string, atMost: number, table: TableName, text: string): Target {
  return {
    text,
    table,
    find: (of) => quotient(of(ours)?.seconds.median, of(theirs)?.seconds.median),
    atMost,
    unit: 'x',
  };
}

function judgeErrands(errands: readonly ErrandFigures[]): Verdict[] {
  const wanted: [string, string, (one: ErrandFigures) => number, number][] = [
    [EMPTY_NAME, 'a run without a row: seconds', ({ seconds }) => seconds.median, 0.35],
    [EMPTY_NAME, 'a run without a row: CPU seconds', ({ cpuSeconds }) => cpuSeconds, 0.42],
    [verifyName('article'), 'verify of the article table: seconds', ({ seconds }) => seconds.median, 0.9],
  ];
  return wanted.flatMap(([name, text, find, atMost]) => {
    const one = errands.find((errand) => errand.name === name);
    if (one === undefined) return [];
    const value = find(one);
    return [{ target: `${text}: at most ${atMost}`, found: value.toFixed(2), reached: value <= atMost }];
  });
}

function verdictOf({ text, table, atLeast, atMost, unit }: Target, value: number | undefined): Verdict {
  const limit = atLeast === undefined ? `at most ${atMost ?? 0}` : `at least ${atLeast}`;
  const target = `${table} table, ${text}: ${limit}${unit}`;
  if (value === undefined) return { target, found: 'not measured', reached: undefined };
  const reached = atLeast === undefined ? value <= (atMost ?? 0) : value >= atLeast;
  return { target, found: `${value.toFixed(2)}${unit}`, reached };
}

function judgeRestores(restores: readonly RestoreOfTable[]): Verdict[] {
  const figures = restores.find(({ table }) => table.name === 'article')?.figures;
  const found = figures?.find(({ name }) => name === RESTORE_NAME)?.timesPsql.median;
  if (found === undefined) return [];
  return [
    {
      target: `article table, restore: times psql COPY | psql COPY into a table with its key: at most ${MOST_TIMES_PSQL}x`,
      found: `${found.toFixed(2)}x`,
      reached: found <= MOST_TIMES_PSQL,
    },
  ];
}

function judgePurge(purges: readonly PurgeOfTable[]): Verdict[] {
  const [fewer, all] = purges.slice(-2).map(({ figures, jsonBytes }) => {
    const [purge, byKey] = ['purge', 'by-key'].map((wanted) => figures.find(({ name }) => name === wanted));
    return { purge, byKey, jsonBytes };
  });
  if (all?.purge === undefined || fewer?.purge === undefined) return [];
  const times = quotient(all.purge.serverCpuSeconds, all.byKey?.serverCpuSeconds) ?? Number.NaN;
  const cpuPerGb = all.purge.cpuSeconds / (all.jsonBytes / 1e9);
  const memory = all.purge.peakRssBytes / fewer.purge.peakRssBytes;
  return [
    {
      target: `article table, purge: the server's CPU, times that of deleting by key: at most ${MOST_TIMES_BY_KEY}x`,
      found: `${times.toFixed(2)}x`,
      reached: times <= MOST_TIMES_BY_KEY,
    },
    {
      target: `article table, purge: CPU seconds of its own per GB of JSONL: at most ${MOST_PURGE_CPU_PER_GB}`,
      found: cpuPerGb.toFixed(2),
      reached: cpuPerGb <= MOST_PURGE_CPU_PER_GB,
    },
    {
      target: `article table, purge: memory for three times the rows: at most ${PURGE_MEMORY_TOLERANCE}x`,
      found: `${memory.toFixed(2)}x`,
      reached: memory <= PURGE_MEMORY_TOLERANCE,
    },
  ];
}

function judgeLinearity(linearity: Linearity): Verdict {
  const costs = cpuPerFurtherGb(linearity);
  return {
    target: `cost grows linearly: CPU seconds per further GB, from 10^5 to 10^6 to 10^7 rows, within ${LINEAR_TOLERANCE}x`,
    found: costs.map((cost) => cost.toFixed(2)).join(', '),
    reached: Math.max(...costs) <= LINEAR_TOLERANCE * Math.min(...costs),
  };
}
