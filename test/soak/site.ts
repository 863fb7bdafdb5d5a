/** What the soak runs against: an embedded Postgres, an S3 endpoint in its own process, the tests' proxy before it, a config. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Closers } from '../../src/base/closers.ts';
import { NEVER } from '../../src/base/signals.ts';
import { loadConfig } from '../../src/config/load.ts';
import { type EmbeddedPostgres, startPostgres } from '../../src/demo/embedded-postgres.ts';
import { startS3Child } from '../../src/demo/s3-child.ts';
import { openStore } from '../../src/store/open.ts';
import type { Store } from '../../src/store/store.ts';
import { type S3Proxy, startProxy } from '../support/s3-proxy.ts';
import { type SoakTable, TABLES } from './application.ts';

export interface SoakSite {
  postgres: EmbeddedPostgres;
  proxy: S3Proxy;
  /** The endpoint itself, past the proxy. */
  store: Store;
  /** Parts of keys before those of the store, as the proxy sees them. */
  keyPrefix: string;
  configFile: string;
  /** Where the daemon keeps its history. */
  stateFolder: string;
  environment: Record<string, string>;
  /** Writes the config: with other values that are as good, as a bad one, or with schedules that never come. */
  writeConfig: (kind: ConfigKind) => void;
}

export type ConfigKind = 'good' | 'bad' | 'at rest';

/** Every slot is this long after the one before it. */
export const INTERVAL_MS = 5000;
const EVERY_INTERVAL = '*/5 * * * * *';
const NEVER_DUE = '0 0 1 1 *';
const BUCKET = 'soak';
const PREFIX = 'pg';

/** Starts everything but the daemon; what was started is registered with `closers` at once. */
export async function openSite(closers: Closers): Promise<SoakSite> {
  if (process.platform !== 'linux') throw new Error('the soak reads /proc, which only Linux has');
  const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-soak-'));
  closers.add('the folder of the soak', () => {
    rmSync(folder, { recursive: true, force: true });
  });
  const postgres = await startPostgres();
  closers.add('Postgres', () => postgres.stop());
  const s3 = await startS3Child(BUCKET);
  closers.add('S3', () => s3.stop());
  const { hostname: host, port } = new URL(s3.endpoint);
  const proxy = await startProxy({ host, port: Number(port) });
  closers.add('the proxy', () => proxy.stop());
  const environment = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    DATABASE_URL: postgres.url,
    ACCESS_KEY: s3.accessKeyId,
    SECRET_KEY: s3.secretAccessKey,
  };
  const configFile = path.join(folder, 'soak.yaml');
  let written = 0;
  const write = (kind: ConfigKind, endpoint: string): void => {
    written += 1;
    writeFileSync(configFile, JSON.stringify(configOf(kind, { folder, endpoint, region: s3.region, written })));
  };
  write('good', s3.endpoint);
  const store = openStore(loadConfig(configFile, environment).destinations['default']!, NEVER);
  closers.add('the store', () => {
    store.close();
  });
  write('good', proxy.endpoint);
  const writeConfig = (kind: ConfigKind): void => {
    write(kind, proxy.endpoint);
  };
  const stateFolder = stateOf(folder);
  return { postgres, proxy, store, keyPrefix: `${PREFIX}/`, configFile, stateFolder, environment, writeConfig };
}

function stateOf(folder: string): string {
  return path.join(folder, 'state');
}

interface ConfigFacts {
  folder: string;
  endpoint: string;
  region: string;
  /** How many were written: each good one differs from the one before in something small. */
  written: number;
}

function configOf(kind: ConfigKind, { folder, endpoint, region, written }: ConfigFacts): object {
  const archives = TABLES.map((table) => [table.archive, archiveOf(table, kind, written)]);
  return {
    sources: { default: { url: '${DATABASE_URL}' } },
    destinations: {
      default: {
        url: `s3://${BUCKET}/${PREFIX}`,
        ...{ region, endpoint, forcePathStyle: true, partSize: '5MiB' },
        ...{ accessKeyId: '${ACCESS_KEY}', secretAccessKey: '${SECRET_KEY}' },
      },
    },
    archives: Object.fromEntries(archives) as object,
    workers: { threads: 3, maxOldGenerationSizeMb: 32 },
    http: { listen: '127.0.0.1:0' },
    state: stateOf(folder),
    drainTimeout: '10s',
    ...(kind === 'bad' ? { schedule: 'no such option' } : {}),
  };
}

function archiveOf({ relation, options }: SoakTable, kind: ConfigKind, written: number): object {
  return {
    table: relation,
    schedule: kind === 'at rest' ? NEVER_DUE : EVERY_INTERVAL,
    lateAfter: written % 2 === 0 ? '60s' : '61s',
    ...options,
  };
}
