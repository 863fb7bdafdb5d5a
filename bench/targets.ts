/** What is to be reached, as ratios within one run. */
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
  restores: readonly RestoreOfTable[];
  linearity: Linearity | undefined;
}

type FigureOf = (contender: string) => Figures | undefined;

const MAX_RSS_BYTES = 170e6;
/** Times what psql takes from table to table. */
const MOST_TIMES_PSQL = 1.15;
/** How far apart the three sizes may lie and still count as the same. */
const LINEAR_TOLERANCE = 1.25;

const TARGETS: readonly Target[] = [
  faster('pgsluice', 'psql-gzip', 2.2, 'article', 'ISA-L: times as fast as psql | gzip -6 | aws'),
  faster('pgsluice', 'psql-pigz', 1.6, 'article', 'ISA-L: times as fast as psql | pigz -6 | aws'),
  faster('pgsluice', 'psql-igzip', 1.25, 'article', 'ISA-L: times as fast as psql | igzip -1 | aws'),
  {
    text: 'ISA-L: times the binary-COPY limit',
    table: 'article',
    find: (of) => quotient(of('pgsluice')?.seconds.median, of('binary-copy')?.seconds.median),
    atMost: 2.2,
    unit: 'x',
  },
  {
    text: 'ISA-L: CPU seconds per GB of JSONL',
    table: 'article',
    find: (of) => perGb(of('pgsluice')),
    atMost: 9,
    unit: '',
  },
  faster('pgsluice-zlib', 'psql-gzip', 1.6, 'article', 'zlib 6: times as fast as psql | gzip -6 | aws'),
  {
    text: 'zlib 6: CPU seconds per GB of JSONL',
    table: 'article',
    find: (of) => perGb(of('pgsluice-zlib')),
    atMost: 20,
    unit: '',
  },
  faster('pgsluice', 'psql-gzip', 1.5, 'narrow', 'times as fast as psql | gzip -6 | aws'),
  {
    text: 'one stream: peak RSS in MB',
    table: 'article',
    find: (of) => quotient(of('pgsluice-one-stream')?.peakRssBytes, 1e6),
    atMost: MAX_RSS_BYTES / 1e6,
    unit: '',
  },
];

/** What of the targets is reached. */
export function judge({ figures, restores, linearity }: Measured): Verdict[] {
  const verdicts = TARGETS.map((target) => {
    const value = target.find((name) =>
      figures.find(({ contender, table }) => contender.name === name && table.name === target.table),
    );
    return verdictOf(target, value);
  });
  const linear = linearity === undefined ? [] : [judgeLinearity(linearity)];
  return [...verdicts, ...judgeRestores(restores), ...linear];
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

function judgeLinearity(linearity: Linearity): Verdict {
  const costs = cpuPerFurtherGb(linearity);
  return {
    target: `cost grows linearly: CPU seconds per further GB, from 10^5 to 10^6 to 10^7 rows, within ${LINEAR_TOLERANCE}x`,
    found: costs.map((cost) => cost.toFixed(2)).join(', '),
    reached: Math.max(...costs) <= LINEAR_TOLERANCE * Math.min(...costs),
  };
}
