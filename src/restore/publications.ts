/** Which publications a table that is made in a schema comes into by itself, and what that does to their subscribers. */
import type { Client } from '../postgres/connect.ts';
import { quoteTableName } from '../postgres/identifiers.ts';

/** A publication of a whole schema is of Postgres 15, as its catalogue is: a query that names that cannot be read before. */
const OF_ALL_SQL = `SELECT p.pubname::pg_catalog.text AS name FROM pg_catalog.pg_publication p
WHERE p.puballtables AND (p.pubinsert OR p.pubupdate OR p.pubdelete OR p.pubtruncate)`;
const OF_SCHEMA_SQL = `SELECT p.pubname::pg_catalog.text FROM pg_catalog.pg_publication p
JOIN pg_catalog.pg_publication_namespace s ON s.pnpubid OPERATOR(pg_catalog.=) p.oid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) s.pnnspid
WHERE n.nspname OPERATOR(pg_catalog.=) $1 AND (p.pubinsert OR p.pubupdate OR p.pubdelete OR p.pubtruncate)`;
const HAS_SCHEMAS_SQL = "SELECT pg_catalog.to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL AS yes";

/** Names of publications that publish each table of this schema, the future ones too. */
export async function findPublications(client: Client, schema: string): Promise<string[]> {
  const { rows: known } = await client.query<{ yes: boolean }>(HAS_SCHEMAS_SQL);
  const { rows } =
    known[0]?.yes === true
      ? await client.query<{ name: string }>(`${OF_ALL_SQL} UNION ${OF_SCHEMA_SQL} ORDER BY 1`, [schema])
      : await client.query<{ name: string }>(`${OF_ALL_SQL} ORDER BY 1`);
  return rows.map(({ name }) => name);
}

/** Of a table that the restore makes. A subscriber gets its rows, has no such table, and applies nothing any more until it has. */
export function warnOfPublications(into: { schema: string; table: string }, publications: readonly string[]): string[] {
  if (publications.length === 0) return [];
  const table = quoteTableName(into);
  return [
    `${table} is made under ${publications.length === 1 ? 'the publication' : 'the publications'} ${publications.join(', ')}: its rows are sent to subscribers, and one without such a table applies nothing any more, of no table: create it there, and ALTER SUBSCRIPTION … REFRESH PUBLICATION`,
  ];
}
