/**
 * For `node --test --test-global-setup`: one Postgres, one process of S3 endpoints and one folder for all test files. They find
 * them by PGSLUICE_TEST_PG, PGSLUICE_TEST_S3 and TMPDIR, as the runner gives its own environment to the processes of the test
 * files, which it starts after this.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { EmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';
import { startSharedServer } from './shared-server.ts';
import { makeFolderInMemory, removeFolderInMemory } from './folder-in-memory.ts';

let server: EmbeddedPostgres | undefined;
let s3: ChildProcess | undefined;

export async function globalSetup(): Promise<void> {
  if (process.env['PGSLUICE_TEST_PG'] !== undefined) return;
  makeFolderInMemory();
  [server, s3] = await Promise.all([startSharedServer(), startS3Host()]);
  process.env['PGSLUICE_TEST_PG'] = server.url;
}

export async function globalTeardown(): Promise<void> {
  if (s3 !== undefined) {
    s3.disconnect();
    await once(s3, 'exit');
  }
  await server?.stop();
  removeFolderInMemory();
}

async function startS3Host(): Promise<ChildProcess> {
  const child = fork(path.join(import.meta.dirname, 's3-host.ts'), { execArgv: ['--min-semi-space-size=16'] });
  const [url] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [unknown];
  if (typeof url !== 'string') throw new Error('the process of the S3 endpoints did not start');
  process.env['PGSLUICE_TEST_S3'] = url;
  return child;
}
