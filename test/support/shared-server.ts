/** The server that test files share. */
import pg from 'pg';
import { type EmbeddedPostgres, startPostgres } from '../../src/demo/embedded-postgres.ts';

export async function startSharedServer(): Promise<EmbeddedPostgres> {
  // Without autovacuum: it makes a table grow by its maps at any time, and then the same table is cut into other segments.
  // The lines of its log are told apart by process and database: watched-database.ts reads them.
  // Its write-ahead log may lie in memory (folder-in-memory.ts), and has its limit.
  const server = await startPostgres({
    settings: { autovacuum: 'off', max_wal_size: '512MB', log_line_prefix: '%p|%d|' },
  });
  await makeSessionsCheap(server);
  return server;
}

/**
 * Test files open thousands of sessions, most of them in a database that was just made: the password is checked in one round
 * instead of 4,096, and each new database gets the cache of the catalog that the first session in template1 writes.
 */
async function makeSessionsCheap({ url }: EmbeddedPostgres): Promise<void> {
  const template = new URL(url);
  template.pathname = '/template1';
  const client = new pg.Client({ connectionString: template.href });
  await client.connect();
  await client.query(`SET scram_iterations = 1; ALTER ROLE postgres PASSWORD '${template.password}'`);
  await client.end();
}
