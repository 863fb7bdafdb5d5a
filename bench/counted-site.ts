/** What the benchmarks by hand run against that count requests: an embedded Postgres, an S3 endpoint in its own process, a folder. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import type { Closers } from '../src/base/closers.ts';
import { startPostgres } from '../src/demo/embedded-postgres.ts';
import { startS3Child } from '../src/demo/s3-child.ts';
import { countRequests, type Counted } from './request-counter.ts';

export interface CountedSite {
  folder: string;
  client: pg.Client;
  counted: Counted;
  /** Of a config: where it reads, and where it writes to. */
  ends: { sources: object; destinations: object };
}

/** `name` is that of the bucket; what was started is registered with `closers` at once. */
export async function openCountedSite(name: string, closers: Closers): Promise<CountedSite> {
  const folder = mkdtempSync(path.join(os.tmpdir(), `pgsluice-${name}-`));
  closers.add('the folder', () => {
    rmSync(folder, { recursive: true, force: true });
  });
  const postgres = await startPostgres();
  closers.add('Postgres', () => postgres.stop());
  const s3 = await startS3Child(name);
  closers.add('S3', () => s3.stop());
  const counted = await countRequests(s3.endpoint, closers);
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  closers.add('the connection', () => client.end());
  const credentials = { accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey, region: s3.region };
  const destination = { url: `s3://${name}/pg`, endpoint: counted.endpoint, forcePathStyle: true, ...credentials };
  return {
    ...{ folder, client, counted },
    ends: { sources: { default: { url: postgres.url } }, destinations: { default: destination } },
  };
}
