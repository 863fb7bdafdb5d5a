/** What there is to know of a server before it is relied on. */
import type { Client } from 'pg';

export interface ServerFacts {
  version: string;
  /** Such as 180004. */
  versionNumber: number;
  database: string;
  /** The server's clock minus ours, in milliseconds, to about the time of one answer. */
  clockSkewMs: number;
}

interface ServerRow {
  version: string;
  number: number;
  database: string;
  now_ms: number;
}

/** Asks the server behind `client`. */
export async function inspectServer(client: Client): Promise<ServerFacts> {
  const askedAt = Date.now();
  const { rows } = await client.query<ServerRow>(
    `SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
       current_database() AS database, extract(epoch FROM clock_timestamp())::float8 * 1000 AS now_ms`,
  );
  const row = rows[0];
  if (row === undefined) throw new Error('the server gave no row');
  const ours = (askedAt + Date.now()) / 2;
  return {
    version: row.version,
    versionNumber: row.number,
    database: row.database,
    clockSkewMs: row.now_ms - ours,
  };
}
