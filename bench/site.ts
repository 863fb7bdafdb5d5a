/** What the benchmarks run against: an embedded Postgres with the tables, an S3 endpoint in its own process, a config. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import pg from 'pg';
import type { Closers } from '../src/base/closers.ts';
import { NEVER } from '../src/base/signals.ts';
import { formatCount } from '../src/base/units.ts';
import { loadConfig } from '../src/config/load.ts';
import { createArticleTable, createNarrowTable } from '../src/demo/article-table.ts';
import { startPostgres } from '../src/demo/embedded-postgres.ts';
import { startS3Child } from '../src/demo/s3-child.ts';
import { openStore } from '../src/store/open.ts';
import { takeTls } from './server-tls.ts';
import type { Store } from '../src/store/store.ts';

export type TableName = 'article' | 'narrow';

export interface BenchTable {
  name: TableName;
  relation: string;
  what: string;
  rows: number;
}

export interface Site {
  tables: BenchTable[];
  /** What every command line gets; also the variables that the config refers to. */
  environment: Record<string, string>;
  /** Whether the config has a source `tls`, the same database over TLS. */
  hasTls: boolean;
  postmaster: number;
  postgresVersion: string;
  folder: string;
  store: Store;
  /** Writes a config with these archives, each a line of YAML, and returns its file. */
  writeConfig: (name: string, archives: Record<string, string>, options?: ConfigOptions) => string;
}

export interface ConfigOptions {
  threads?: number;
  /** In place of S3: a folder. */
  fileFolder?: string;
}

/** Where all objects go, below the bucket. */
const BUCKET = 'pgsluice-bench';
const PREFIX = 'pg';
export const DESTINATION = `s3://${BUCKET}/${PREFIX}`;

/** Starts everything and fills the tables; what was started is registered with `closers` at once. */
export async function openSite(
  wanted: { name: TableName; rows: number }[],
  closers: Closers,
  signal: AbortSignal,
): Promise<Site> {
  if (process.platform !== 'linux') throw new Error('the benchmarks read /proc, which only Linux has');
  const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-bench-'));
  closers.add('the folder of the benchmark', () => {
    rmSync(folder, { recursive: true, force: true });
  });
  const postgres = await startPostgres();
  closers.add('Postgres', () => postgres.stop());
  signal.throwIfAborted();
  const s3 = await startS3Child(BUCKET);
  closers.add('S3', () => s3.stop());
  const tlsUrl = await takeTls(postgres);
  const tables = await fillTables(postgres.url, wanted, signal);
  const environment = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    LANG: 'C.UTF-8',
    NODE: process.execPath,
    DATABASE_URL: postgres.url,
    ...(tlsUrl === undefined ? {} : { TLS_DATABASE_URL: tlsUrl }),
    // The server takes TLS; psql would by default, and nothing else is to.
    PGSSLMODE: 'disable',
    S3_ENDPOINT: s3.endpoint,
    AWS_ACCESS_KEY_ID: s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
    AWS_DEFAULT_REGION: s3.region,
    AWS_EC2_METADATA_DISABLED: 'true',
  };
  const writeConfig: Site['writeConfig'] = (name, archives, options = {}) => {
    const file = path.join(folder, `${name}.yaml`);
    writeFileSync(file, configText(folder, archives, { ...options, hasTls: tlsUrl !== undefined }));
    return file;
  };
  const store = openConfiguredStore(writeConfig('empty', { none: 'table: none' }), environment);
  closers.add('the store', () => {
    store.close();
  });
  return {
    tables,
    environment,
    hasTls: tlsUrl !== undefined,
    postmaster: Number(readFileSync(path.join(postgres.dataDir, 'postmaster.pid'), 'utf8').split('\n')[0]),
    postgresVersion: await askVersion(postgres.url),
    folder,
    store,
    writeConfig,
  };
}

/** Removes all objects, so that the next contender finds the disk as this one did. */
export async function emptyStore({ store }: Site): Promise<void> {
  const keys: string[] = [];
  for await (const { key } of store.list('')) keys.push(key);
  await store.remove(keys);
}

/** Lines of all data objects under the prefix. */
export async function countStoredLines({ store }: Site, prefix: string): Promise<number> {
  let lines = 0;
  for await (const { key } of store.list(prefix)) {
    if (!/\.jsonl\.(gz|zst)$/.test(key)) continue;
    const unpack = key.endsWith('.gz') ? createGunzip() : createZstdDecompress();
    const reading = feed(unpack, store.read(key, new AbortController().signal));
    for await (const chunk of unpack as AsyncIterable<Buffer>) lines += countLineFeeds(chunk);
    await reading;
  }
  return lines;
}

async function feed(target: NodeJS.WritableStream, source: AsyncIterable<Buffer>): Promise<void> {
  for await (const chunk of source) {
    if (!target.write(chunk)) await new Promise((resolve) => target.once('drain', resolve));
  }
  target.end();
}

function countLineFeeds(chunk: Buffer): number {
  let lines = 0;
  for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, at + 1)) lines += 1;
  return lines;
}

export function openConfiguredStore(configFile: string, environment: Record<string, string>): Store {
  const destination = loadConfig(configFile, environment).destinations['default'];
  if (destination === undefined) throw new Error('the config has no destination');
  return openStore(destination, NEVER);
}

async function fillTables(
  url: string,
  wanted: { name: TableName; rows: number }[],
  signal: AbortSignal,
): Promise<BenchTable[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const tables: BenchTable[] = [];
  try {
    for (const { name, rows } of wanted) {
      say(`filling the ${name} table: ${formatCount(rows)} rows`);
      tables.push(await fillTable(client, name, rows, signal));
    }
    // What the writes left to do is not to be done during a measurement.
    await client.query('checkpoint');
  } finally {
    await client.end();
  }
  return tables;
}

async function fillTable(client: pg.Client, name: TableName, rows: number, signal: AbortSignal): Promise<BenchTable> {
  const onProgress = (): void => {
    signal.throwIfAborted();
  };
  if (name === 'article') {
    await createArticleTable(client, { rows, onProgress });
    return { name, rows, relation: 'public.fetch_queue', what: "the article's table, about 1 KB a row" };
  }
  await createNarrowTable(client, { rows, onProgress });
  return { name, rows, relation: 'public.readings', what: 'the narrow table, five numbers a row' };
}

async function askVersion(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ server_version: string }>('show server_version');
    return rows[0]?.server_version ?? '';
  } finally {
    await client.end();
  }
}

function configText(
  folder: string,
  archives: Record<string, string>,
  options: ConfigOptions & { hasTls: boolean },
): string {
  const s3 = `
    url: ${DESTINATION}
    endpoint: \${S3_ENDPOINT}
    forcePathStyle: true
    region: \${AWS_DEFAULT_REGION}
    accessKeyId: \${AWS_ACCESS_KEY_ID}
    secretAccessKey: \${AWS_SECRET_ACCESS_KEY}
    partSize: 5MiB`;
  const destination = options.fileFolder === undefined ? s3 : `\n    url: file://${options.fileFolder}`;
  return `sources:
  default:
    url: \${DATABASE_URL}${options.hasTls ? TLS_SOURCE : ''}
destinations:
  default:${destination}
archives:
${Object.entries(archives)
  .map(([name, body]) => `  ${name}: { ${body} }\n`)
  .join('')}workers: { threads: ${options.threads ?? 2} }
state: ${folder}
`;
}

const TLS_SOURCE = `
  tls:
    url: \${TLS_DATABASE_URL}`;

/** One line on standard error, as the report goes to standard output. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
