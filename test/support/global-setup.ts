import type { EmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';
import { startSharedServer } from './shared-server.ts';

/** For `node --test --test-global-setup`: one Postgres for all test files; they find it by PGSLUICE_TEST_PG. */

let server: EmbeddedPostgres | undefined;

export async function globalSetup(): Promise<void> {
  if (process.env['PGSLUICE_TEST_PG'] !== undefined) return;
  server = await startSharedServer();
  // The runner gives its own environment to the processes of the test files, which it starts after this.
  process.env['PGSLUICE_TEST_PG'] = server.url;
}

export async function globalTeardown(): Promise<void> {
  await server?.stop();
}
