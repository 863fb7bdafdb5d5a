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
  now_s: number;
}

/** Asks the server behind `client`. */
export async function inspectServer(client: Client): Promise<ServerFacts> {
  const askedAt = Date.now();
  const { rows } = await client.query<ServerRow>(
    `SELECT pg_catalog.current_setting('server_version') AS version,
       pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS number,
       pg_catalog.current_database() AS database,
       extract(epoch FROM pg_catalog.clock_timestamp())::pg_catalog.float8 AS now_s`,
  );
  const row = rows[0];
  if (row === undefined) throw new Error('the server gave no row');
  const ours = (askedAt + Date.now()) / 2;
  return {
    version: row.version,
    versionNumber: row.number,
    database: row.database,
    clockSkewMs: row.now_s * 1000 - ours,
  };
}
