/** Which publications a table that is made in a schema comes into by itself, and what that does to their subscribers. Writes nothing. */
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

/** Whether anybody gets what is published in this database: a subscriber, or what else reads publications. */
const HAS_SUBSCRIBERS_SQL = `SELECT EXISTS (
  SELECT FROM pg_catalog.pg_replication_slots
  WHERE database OPERATOR(pg_catalog.=) pg_catalog.current_database() AND plugin OPERATOR(pg_catalog.=) 'pgoutput'
) AS yes`;

export interface Publications {
  /** Of those that publish each table of the schema, the future ones too. */
  names: readonly string[];
  hasSubscribers: boolean;
}

export const NO_PUBLICATIONS: Publications = { names: [], hasSubscribers: false };

export async function findPublications(client: Client, schema: string): Promise<Publications> {
  const { rows: known } = await client.query<{ yes: boolean }>(HAS_SCHEMAS_SQL);
  const { rows } =
    known[0]?.yes === true
      ? await client.query<{ name: string }>(`${OF_ALL_SQL} UNION ${OF_SCHEMA_SQL} ORDER BY 1`, [schema])
      : await client.query<{ name: string }>(`${OF_ALL_SQL} ORDER BY 1`);
  const { rows: subscribers } = await client.query<{ yes: boolean }>(HAS_SUBSCRIBERS_SQL);
  return { names: rows.map(({ name }) => name), hasSubscribers: subscribers[0]?.yes === true };
}

interface Name {
  schema: string;
  table: string;
}

/** A subscriber gets the rows of a table that is made, has no such table, and applies nothing any more until it has. */
export function refusePublications(into: Name, { names, hasSubscribers }: Publications, statement: string): string[] {
  if (names.length === 0 || !hasSubscribers) return [];
  return [
    `${madeUnder(into, names)}, and this database has subscribers: one without such a table would apply nothing any more, of no table; create it there and here, ALTER SUBSCRIPTION … REFRESH PUBLICATION, and restore without --create: ${statement}`,
  ];
}

/** Said where nobody subscribes yet. */
export function warnOfPublications(into: Name, { names, hasSubscribers }: Publications): string[] {
  if (names.length === 0 || hasSubscribers) return [];
  return [`${madeUnder(into, names)}: whoever subscribes must have such a table`];
}

function madeUnder(into: Name, names: readonly string[]): string {
  return `${quoteTableName(into)} would be published by ${names.join(', ')}`;
}
