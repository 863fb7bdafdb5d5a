/** Describes what an archive reads: a relation of the catalogue, or a query. */
import type { Client } from 'pg';
import { fail, type FailureError } from '../base/errors.ts';
import { asOneStatement } from './select.ts';
import { resolveEncodings, type BareColumn, type Column } from './columns.ts';
import { postgresFailure } from './errors.ts';
import { parseTableName, quoteIdentifier, quoteTableName } from './identifiers.ts';
import { isNotNull, TREE_SQL } from './table-stats.ts';

export type RelationKind = 'table' | 'partitioned' | 'view' | 'materialized' | 'foreign';

/** What messages call them. */
export const RELATION_WORDS: Readonly<Record<RelationKind, string>> = {
  table: 'table',
  partitioned: 'partitioned table',
  view: 'view',
  materialized: 'materialized view',
  foreign: 'foreign table',
};

export interface Relation {
  oid: number;
  schema: string;
  name: string;
  kind: RelationKind;
  columns: Column[];
  /** Column names of the primary key, in its order; empty when there is none. */
  primaryKey: string[];
  /** Whether other tables inherit from it (partitioned tables included), so that it has no pages of its own to cut. */
  hasChildren: boolean;
  /** Whether it can be read: a materialized view made WITH NO DATA cannot, until it is refreshed. */
  isPopulated: boolean;
}

/** Whether the rows lie in it, or in its partitions: in pages, and under indexes. */
export function holdsRows({ kind }: Pick<Relation, 'kind'>): boolean {
  return kind !== 'view' && kind !== 'foreign';
}

/** The statement that makes an index, for hints. On a partitioned table, Postgres makes none concurrently. */
export function createIndexSql(
  { kind, schema, name }: Pick<Relation, 'kind' | 'schema' | 'name'>,
  columns: readonly string[],
): string {
  const create = kind === 'partitioned' ? 'CREATE INDEX' : 'CREATE INDEX CONCURRENTLY';
  return `${create} ON ${quoteTableName({ schema, table: name })} (${columns.map(quoteIdentifier).join(', ')})`;
}

const KINDS: Record<string, RelationKind> = {
  r: 'table',
  p: 'partitioned',
  v: 'view',
  m: 'materialized',
  f: 'foreign',
};

const RELATION_SQL = `
SELECT c.oid::pg_catalog.int8::pg_catalog.float8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
  c.relispopulated AS is_populated,
  EXISTS (
    SELECT FROM pg_catalog.pg_inherits h WHERE h.inhparent OPERATOR(pg_catalog.=) c.oid
  ) AS has_children,
  COALESCE((
    SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY k.ordinal)
    FROM pg_catalog.pg_index i
    CROSS JOIN pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, ordinal)
    JOIN pg_catalog.pg_attribute a
      ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.=) k.attnum
    WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid AND i.indisprimary AND k.ordinal OPERATOR(pg_catalog.<=) i.indnkeyatts
  ), '{}') AS primary_key
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)`;

/** NOT NULL is proof of what is NULL nowhere only if all tables that hold the rows have it; nobody holds a foreign one to it. */
const COLUMNS_SQL = `
WITH RECURSIVE ${TREE_SQL}
SELECT a.attname AS name, a.atttypid::pg_catalog.int8::pg_catalog.float8 AS "typeOid", a.atttypmod AS "typeModifier",
  EXISTS (
    SELECT FROM tree JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) tree.oid
    JOIN pg_catalog.pg_attribute h
      ON h.attrelid OPERATOR(pg_catalog.=) c.oid AND h.attname OPERATOR(pg_catalog.=) a.attname AND NOT h.attisdropped
    WHERE c.relkind OPERATOR(pg_catalog.=) 'f' OR NOT ${isNotNull('h')}
  ) AS nullable
FROM pg_catalog.pg_attribute a
WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
ORDER BY a.attnum`;

const SIMILAR_SQL = `
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE pg_catalog.lower(c.relname) OPERATOR(pg_catalog.=) pg_catalog.lower($1)
  AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}') LIMIT 3`;

interface RelationRow {
  oid: number;
  schema: string;
  name: string;
  kind: string;
  has_children: boolean;
  is_populated: boolean;
  primary_key: string[];
}

/** Describes the table, view or foreign table `text` names, with all its columns. Throws FailureError when it is not there. */
export async function describeRelation(client: Client, text: string): Promise<Relation> {
  const quoted = quoteTableName(parseTableName(text));
  try {
    const { rows } = await client.query<RelationRow>(RELATION_SQL, [quoted]);
    const row = rows[0];
    if (row === undefined) throw await notFound(client, text);
    const kind = KINDS[row.kind];
    if (kind === undefined) throw notReadable(text);
    const columns = await client.query<BareColumn>(COLUMNS_SQL, [row.oid]);
    return {
      oid: row.oid,
      schema: row.schema,
      name: row.name,
      kind,
      columns: await resolveEncodings(client, columns.rows),
      primaryKey: row.primary_key,
      hasChildren: row.has_children,
      isPopulated: row.is_populated,
    };
  } catch (error) {
    throw postgresFailure(error, 'plan', `describing ${text}`);
  }
}

/** Describes the columns that `sql` gives, by running it for no row. */
export async function describeQuery(client: Client, sql: string, params: readonly unknown[]): Promise<Column[]> {
  try {
    const { fields } = await client.query({
      ...asOneStatement(`SELECT * FROM (\n${sql}\n) AS q LIMIT 0`, params),
      rowMode: 'array',
    });
    const bare = fields.map((field) => ({
      name: field.name,
      typeOid: field.dataTypeID,
      typeModifier: field.dataTypeModifier,
      nullable: true,
    }));
    return await resolveEncodings(client, bare);
  } catch (error) {
    throw postgresFailure(error, 'plan', 'describing the query');
  }
}

async function notFound(client: Client, text: string): Promise<FailureError> {
  const { rows } = await client.query<{ name: string }>(SIMILAR_SQL, [parseTableName(text).table]);
  const similar = rows.map((row) => row.name).join(' or ');
  return fail('table-not-found', {
    stage: 'plan',
    message: `table ${text} does not exist in this database, or its schema is not visible to this role`,
    hint: similar === '' ? undefined : `Did you mean ${similar}? Names with capitals need double quotes.`,
  });
}

function notReadable(text: string): FailureError {
  return fail('not-a-table', {
    stage: 'plan',
    message: `${text} is neither a table nor a view`,
  });
}
