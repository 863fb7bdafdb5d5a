/** Who takes part: pgsluice in several settings, what people would script, and the limit that Postgres sets. */
import path from 'node:path';
import { PROGRAM } from './compiled.ts';
import { DESTINATION, type BenchTable } from './site.ts';

/** A program that a contender needs; `install` says how to get it. */
export interface Tool {
  command: string;
  install: string;
}

export interface Contender {
  /** What `--only` takes. */
  name: string;
  /** What the report says. */
  label: string;
  kind: 'pgsluice' | 'script' | 'limit';
  tools: Tool[];
  /** Reads over TLS. */
  needsTls?: true;
  /** Under this prefix its objects are; undefined when it stores none. */
  prefix?: (table: BenchTable) => string;
  commandLine: (table: BenchTable, configFile: string, runId: string) => string;
}

const PSQL: Tool = { command: 'psql', install: 'apt install postgresql-client' };
const GZIP: Tool = { command: 'gzip', install: 'apt install gzip' };
const PIGZ: Tool = { command: 'pigz', install: 'apt install pigz' };
export const IGZIP: Tool = { command: 'igzip', install: 'apt install isal' };
export const AWS: Tool = { command: 'aws', install: 'apt install awscli' };

interface Setting {
  name: string;
  label: string;
  /** Beside what is read. */
  yaml: string;
  /** What is read in place of the table. */
  query?: (table: BenchTable) => string;
  needsTls?: true;
}

/** pgsluice's settings by contender. */
const SETTINGS: Setting[] = [
  { name: 'pgsluice', label: 'pgsluice, defaults', yaml: '' },
  { name: 'pgsluice-one-stream', label: 'pgsluice, one stream', yaml: ', segments: { by: none }' },
  { name: 'pgsluice-zlib', label: 'pgsluice, zlib 6', yaml: ', compression: { engine: zlib }' },
  { name: 'pgsluice-zstd', label: 'pgsluice, zstd 1', yaml: ', compression: { codec: zstd }' },
  {
    name: 'pgsluice-cursor',
    label: 'pgsluice, cursor, zlib 6',
    yaml: ', read: cursor, compression: { engine: zlib }',
  },
  {
    name: 'pgsluice-query',
    label: 'pgsluice, a query',
    yaml: '',
    query: ({ relation }) => `query: SELECT * FROM ${relation} WHERE id >= -7`,
  },
  {
    name: 'pgsluice-params',
    label: 'pgsluice, a query with parameters',
    yaml: ', params: [-7]',
    query: ({ relation }) => `query: SELECT * FROM ${relation} WHERE id >= $1`,
  },
  { name: 'pgsluice-tls', label: 'pgsluice, defaults, over TLS', yaml: ', source: tls', needsTls: true },
  {
    name: 'pgsluice-parallel-1',
    label: 'pgsluice, 64 MiB segments, parallel 1',
    yaml: ', segments: { targetSize: 64MiB, parallel: 1 }',
  },
  {
    name: 'pgsluice-parallel-2',
    label: 'pgsluice, 64 MiB segments, parallel 2',
    yaml: ', segments: { targetSize: 64MiB, parallel: 2 }',
  },
];

/** The archives of the config that all of pgsluice's contenders share, for a table. */
export function archivesOf(tables: readonly BenchTable[], hasTls: boolean): Record<string, string> {
  return Object.fromEntries(
    tables.flatMap((table) =>
      SETTINGS.filter(({ needsTls }) => hasTls || needsTls !== true).map(({ name, yaml, query }) => [
        archiveName(name, table),
        `${query?.(table) ?? `table: ${table.relation}`}${yaml}`,
      ]),
    ),
  );
}

export function archiveName(contender: string, table: BenchTable): string {
  return `${contender}-${table.name}`;
}

/** How pgsluice is started on an archive. */
export function pgsluiceCommand(archive: string, configFile: string, runId: string): string {
  return `"$NODE" '${PROGRAM}' run ${archive} --config '${configFile}' --run-id ${runId} --json`;
}

const PLAIN_NODE = path.join(import.meta.dirname, 'alternatives', 'plain-node.ts');

export const CONTENDERS: readonly Contender[] = [
  ...SETTINGS.map(({ name, label, needsTls }): Contender => ({
    name,
    label,
    ...(needsTls === undefined ? {} : { needsTls }),
    kind: 'pgsluice',
    tools: [],
    prefix: (table) => `${archiveName(name, table)}/`,
    commandLine: (table, configFile, runId) => pgsluiceCommand(archiveName(name, table), configFile, runId),
  })),
  piped('psql-gzip', 'psql | gzip -6 | aws', 'gzip -6', GZIP),
  piped('psql-pigz', 'psql | pigz -6 | aws', 'pigz -6', PIGZ),
  piped('psql-igzip', 'psql | igzip -1 | aws', 'igzip -1', IGZIP),
  dropped('psql-gzip-null', 'psql | gzip -6 > /dev/null', 'gzip -6', GZIP),
  dropped('psql-pigz-null', 'psql | pigz -6 > /dev/null', 'pigz -6', PIGZ),
  dropped('psql-igzip-null', 'psql | igzip -1 > /dev/null', 'igzip -1', IGZIP),
  {
    name: 'plain-node',
    label: 'pg-query-stream, JSON.stringify, zlib 6, lib-storage',
    kind: 'script',
    tools: [],
    prefix: (table) => `plain-node-${table.name}/`,
    commandLine: (table) =>
      `"$NODE" '${PLAIN_NODE}' ${table.relation} '${DESTINATION}/plain-node-${table.name}/part.jsonl.gz'`,
  },
  {
    name: 'binary-copy',
    label: 'COPY (FORMAT binary) > /dev/null, the limit',
    kind: 'limit',
    tools: [PSQL],
    commandLine: (table) => `${psql(`COPY ${table.relation} TO STDOUT (FORMAT binary)`)} >/dev/null`,
  },
];

function piped(name: string, label: string, compressor: string, tool: Tool): Contender {
  return {
    name,
    label,
    kind: 'script',
    tools: [PSQL, tool, AWS],
    prefix: (table) => `${name}-${table.name}/`,
    commandLine: (table) =>
      `${psqlRows(table)} | ${compressor} | ` +
      `"$AWS" s3 cp - '${DESTINATION}/${name}-${table.name}/part.jsonl.gz' --endpoint-url "$S3_ENDPOINT" --only-show-errors`,
  };
}

/** The same without the upload: what the rest costs. */
function dropped(name: string, label: string, compressor: string, tool: Tool): Contender {
  return {
    name,
    label,
    kind: 'script',
    tools: [PSQL, tool],
    commandLine: (table) => `${psqlRows(table)} | ${compressor} >/dev/null`,
  };
}

/** What people script. COPY's text form doubles every backslash of the JSON, so its lines are not quite JSON. */
function psqlRows(table: BenchTable): string {
  return psql(`COPY (SELECT row_to_json(t) FROM ${table.relation} AS t) TO STDOUT`);
}

function psql(sql: string): string {
  return `psql "$DATABASE_URL" -X -q -v ON_ERROR_STOP=1 -c '${sql}'`;
}
