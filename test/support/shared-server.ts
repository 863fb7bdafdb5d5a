/** The server that test files share. */
import { type EmbeddedPostgres, startPostgres } from '../../src/demo/embedded-postgres.ts';

/** Without autovacuum: it makes a table grow by its maps at any time, and then the same table is cut into other segments. */
export async function startSharedServer(): Promise<EmbeddedPostgres> {
  return startPostgres({ settings: { autovacuum: 'off' } });
}
