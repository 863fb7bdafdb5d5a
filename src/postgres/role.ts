/** What the role of a connection may do beyond reading. */
import type { Client } from './connect.ts';

/** Whether the role is a superuser, and so passes every check of the server. */
export async function isSuperuser(client: Client): Promise<{ role: string; isSuperuser: boolean }> {
  const { rows } = await client.query<{ role: string; super: boolean | null }>(
    `SELECT CURRENT_USER::pg_catalog.text AS role,
       (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER) AS super`,
  );
  return { role: rows[0]?.role ?? '', isSuperuser: rows[0]?.super === true };
}

/** Whether the role may change the rows of the table with this OID. */
export async function mayWrite(client: Client, oid: number): Promise<boolean> {
  const { rows } = await client.query<{ writes: boolean | null }>(
    `SELECT pg_catalog.has_table_privilege($1::pg_catalog.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS writes`,
    [oid],
  );
  return rows[0]?.writes === true;
}

/** Whether the role may read each of these columns of the table with this OID. */
export async function mayRead(client: Client, oid: number, columns: readonly string[]): Promise<boolean> {
  const { rows } = await client.query<{ reads: boolean | null }>(
    `SELECT pg_catalog.bool_and(pg_catalog.has_column_privilege($1::pg_catalog.oid, c.name, 'SELECT')) AS reads
     FROM pg_catalog.unnest($2::pg_catalog.text[]) AS c(name)`,
    [oid, columns],
  );
  return rows[0]?.reads !== false;
}
