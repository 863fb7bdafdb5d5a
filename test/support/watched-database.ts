/** A database of which all statements are read in the log of the server, with something in it that one of somebody else's would harm. */
import assert from 'node:assert/strict';
import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { query, testDatabase, type TestDatabase } from './postgres.ts';

/** A statement as the log has it; `kind` is `statement`, or `execute` and the name of the prepared one. */
export interface LoggedStatement {
  kind: string;
  text: string;
}

export class WatchedDatabase {
  readonly database: TestDatabase;
  readonly #logFile: string;

  constructor(database: TestDatabase, logFile: string) {
    this.database = database;
    this.#logFile = logFile;
  }

  /** Where the log ends now. */
  async mark(): Promise<number> {
    return (await stat(this.#logFile)).size;
  }

  /** What sessions other than the test's own have sent since `mark`. */
  async statementsSince(mark: number): Promise<LoggedStatement[]> {
    const { rows } = await this.database.client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const found: LoggedStatement[] = [];
    for (const entry of (await this.#readLog(mark)).split(/^(?=\d+\|)/m)) {
      const [, pid, name, kind, text = ''] =
        /^(\d+)\|([^|]*)\|LOG: {2}(statement|execute [^:]*): (.*)/s.exec(entry) ?? [];
      if (kind === undefined || name !== this.database.name || Number(pid) === rows[0]?.pid) continue;
      found.push({ kind, text });
    }
    return found;
  }

  async assertUnharmed(): Promise<void> {
    const { rows } = await this.database.client.query(
      'SELECT (SELECT count(*)::int FROM canary) AS alive, (SELECT count(*)::int FROM sung) AS sung',
    );
    assert.deepEqual(rows, [{ alive: 1, sung: 0 }]);
  }

  async #readLog(start: number): Promise<string> {
    const file = await open(this.#logFile);
    return readText(file.createReadStream({ start }));
  }
}

/** Creates it, for the whole file. `sing()` leaves a mark whenever it is called. */
export async function watchedDatabase(): Promise<WatchedDatabase> {
  const database = await testDatabase();
  await database.client.query(
    `CREATE TABLE canary AS SELECT 1 AS alive;
     CREATE TABLE sung (what text);
     CREATE FUNCTION sing(what text DEFAULT 'sung') RETURNS int LANGUAGE sql AS $$ INSERT INTO sung VALUES (what) RETURNING 1 $$`,
  );
  await database.client.query(`ALTER DATABASE ${database.name} SET log_statement = 'all'`);
  const { rows } = await database.client.query<{ folder: string }>(
    "SELECT current_setting('data_directory') AS folder",
  );
  const watched = new WatchedDatabase(database, path.join(rows[0]!.folder, '../server.log'));
  const mark = await watched.mark();
  await query(database.url, 'SELECT 1 AS seen');
  const seen = await watched.statementsSince(mark);
  assert.deepEqual(seen, [{ kind: 'statement', text: 'SELECT 1 AS seen\n' }], 'the log does not tell what is sent');
  return watched;
}
