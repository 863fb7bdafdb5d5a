/** The servers of the demo, filled and configured: an embedded Postgres with the article's table, and an embedded S3. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import type { Closers } from '../base/closers.ts';
import { countOf, formatCount } from '../base/units.ts';
import { createArticleTable } from './article-table.ts';
import { startPostgres } from './embedded-postgres.ts';
import { requireDemoPackages } from './packages.ts';
import { shellWord } from '../base/shell-word.ts';
import { isInstalled, ownCommand } from './own-command.ts';
import { type S3Child, startS3Child } from './s3-child.ts';

export const DEMO_ARCHIVE = 'fetch_queue';
const BUCKET = 'demo-archive';

export interface DemoEnvironment {
  configFile: string;
  /** What the config's `${…}` refer to. */
  variables: Record<string, string>;
  databaseUrl: string;
  /** Lines that say how to look at the servers from another terminal. */
  hints: string[];
}

/**
 * Starts everything; what was started is registered with `closers` at once. `say` gets what is being done; `searchPath` is
 * where a shell looks for commands.
 */
export async function openDemo(
  rows: number,
  closers: Closers,
  signal: AbortSignal,
  say: (text: string) => void,
  searchPath: string | undefined,
): Promise<DemoEnvironment> {
  requireDemoPackages();
  say('starting Postgres and S3 on loopback');
  const postgres = await startPostgres();
  closers.add('Postgres', () => postgres.stop());
  signal.throwIfAborted();
  const s3 = await startS3Child(BUCKET);
  closers.add('S3', () => s3.stop());
  signal.throwIfAborted();
  await fillTable(postgres.url, rows, signal, say);
  const folder = await mkdtemp(path.join(os.tmpdir(), 'pgsluice-demo-'));
  closers.add('the demo config', () => rm(folder, { recursive: true, force: true }));
  const configFile = path.join(folder, 'pgsluice.yaml');
  await writeFile(configFile, demoConfig(s3.endpoint, s3.region));
  const variables = { DATABASE_URL: postgres.url, ACCESS_KEY: s3.accessKeyId, SECRET_KEY: s3.secretAccessKey };
  return {
    configFile,
    variables,
    databaseUrl: postgres.url,
    hints: describeAccess(postgres.url, s3, variables, configFile, searchPath),
  };
}

/** How another terminal looks at the servers. What is not installed there is not named as a command. */
function describeAccess(
  databaseUrl: string,
  { endpoint, accessKeyId, secretAccessKey }: S3Child,
  variables: Record<string, string>,
  configFile: string,
  searchPath: string | undefined,
): string[] {
  const aws = `AWS_ACCESS_KEY_ID=${accessKeyId} AWS_SECRET_ACCESS_KEY=${secretAccessKey} AWS_REGION=us-east-1 aws --endpoint-url ${endpoint} s3 ls --recursive s3://${BUCKET}/`;
  const given = Object.entries(variables).map(([name, value]) => `${name}=${shellWord(value)}`);
  return [
    isInstalled('psql', searchPath)
      ? `Postgres  psql ${shellWord(databaseUrl)}`
      : `Postgres  ${databaseUrl}  (psql is not installed here)`,
    isInstalled('aws', searchPath)
      ? `S3        ${aws}`
      : `S3        ${endpoint}, bucket ${BUCKET}, ${accessKeyId}, ${secretAccessKey}  (aws is not installed here)`,
    `pgsluice  ${given.join(' ')} ${ownCommand(searchPath)} list --config ${shellWord(configFile)}`,
  ];
}

/** Rows in the demo's table now. */
export async function countRows(url: string): Promise<number> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ count: string }>('SELECT count(*) AS count FROM public.fetch_queue');
    return Number(rows[0]?.count);
  } finally {
    await client.end();
  }
}

async function fillTable(url: string, rows: number, signal: AbortSignal, say: (text: string) => void): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await createArticleTable(client, {
      rows,
      onProgress: (done) => {
        signal.throwIfAborted();
        say(`filling public.fetch_queue: ${formatCount(done)} of ${countOf(rows, 'row')}`);
      },
    });
  } finally {
    await client.end();
  }
}

function demoConfig(endpoint: string, region: string): string {
  return `# The config of the demo; the real one is /etc/pgsluice/pgsluice.yaml.
sources:
  default:
    url: \${DATABASE_URL}
destinations:
  default:
    url: s3://${BUCKET}/pg
    region: ${region}
    endpoint: ${endpoint}
    forcePathStyle: true
    accessKeyId: \${ACCESS_KEY}
    secretAccessKey: \${SECRET_KEY}
archives:
  ${DEMO_ARCHIVE}:
    table: public.fetch_queue
    schedule: '15 2 * * *'
    segments: { parallel: 1 } # one stream: the figures of the smallest footprint
workers:
  threads: 2
  maxOldGenerationSizeMb: 32
log: { format: text } # for people, also where it goes into a file
`;
}
