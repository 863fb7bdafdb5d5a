/** A server whose log is read, with something in its database that a statement of somebody else's would harm. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type EmbeddedPostgres, startPostgres } from '../../src/demo/embedded-postgres.ts';
import { testDatabase, type TestDatabase } from './postgres.ts';

/** A statement as the log has it; `kind` is `statement`, or `execute` and the name of the prepared one. */
export interface LoggedStatement {
  kind: string;
  text: string;
}

export class WatchedServer {
  readonly database: TestDatabase;
  readonly #server: EmbeddedPostgres;

  constructor(server: EmbeddedPostgres, database: TestDatabase) {
    this.#server = server;
    this.database = database;
  }

  /** Where the log ends now. */
  async mark(): Promise<number> {
    return (await this.#readLog()).length;
  }

  /** What sessions other than the test's own have sent since `mark`. */
  async statementsSince(mark: number): Promise<LoggedStatement[]> {
    const { rows } = await this.database.client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const found: LoggedStatement[] = [];
    for (const entry of (await this.#readLog()).slice(mark).split(/^(?=\d+\|)/m)) {
      const [, pid, kind, text = ''] = /^(\d+)\|LOG: {2}(statement|execute [^:]*): (.*)/s.exec(entry) ?? [];
      if (kind !== undefined && Number(pid) !== rows[0]?.pid) found.push({ kind, text });
    }
    return found;
  }

  async assertUnharmed(): Promise<void> {
    const { rows } = await this.database.client.query(
      'SELECT (SELECT count(*)::int FROM canary) AS alive, (SELECT count(*)::int FROM sung) AS sung',
    );
    assert.deepEqual(rows, [{ alive: 1, sung: 0 }]);
  }

  async stop(): Promise<void> {
    await this.#server.stop();
  }

  #readLog(): Promise<string> {
    return readFile(path.join(this.#server.dataDir, '../server.log'), 'utf8');
  }
}

/** Starts it; whoever does stops it. `sing()` leaves a mark whenever it is called. */
export async function startWatchedServer(): Promise<WatchedServer> {
  const server = await startPostgres({ settings: { log_statement: 'all', log_line_prefix: '%p|' } });
  const database = await testDatabase(undefined, { serverUrl: server.url });
  await database.client.query(
    `CREATE TABLE canary AS SELECT 1 AS alive;
     CREATE TABLE sung (what text);
     CREATE FUNCTION sing(what text DEFAULT 'sung') RETURNS int LANGUAGE sql AS $$ INSERT INTO sung VALUES (what) RETURNING 1 $$`,
  );
  return new WatchedServer(server, database);
}
