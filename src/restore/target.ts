/** Describes the table that is restored into, with all that decides whether it takes the rows. */
import type { Client } from '../postgres/connect.ts';
import { quoteTableName } from '../postgres/identifiers.ts';
import { describeIndexes, type TargetIndex } from './indexes.ts';

export interface TargetColumn {
  name: string;
  /** As `format_type` prints it. */
  type: string;
  typeOid: number;
  /** Dimensions it was declared with; 0 when it is no array, or was not declared with any. */
  dimensions: number;
  notNull: boolean;
  /** Whether a row without it gets a value: a default, an identity, an expression. */
  fillsItself: boolean;
  /** Computed by the table: takes no value. */
  isGenerated: boolean;
  /** Whether its order may be another one elsewhere: that of text goes by a collation, that of an enum by its definition. */
  isOrderedApart: boolean;
  canInsert: boolean;
  /** Those that it owns, as identity and serial columns do, and that its default names. */
  sequences: TargetSequence[];
}

export interface TargetSequence {
  /** Quoted, with its schema. */
  name: string;
  /** Whether the column owns it: then nothing else counts by it. */
  isOwned: boolean;
  /** Whether the numbers of the sequence are values of the column as they are, and not a part of them, or made into others. */
  isCounter: boolean;
  /** Whether the role may read it and set it. */
  canUpdate: boolean;
}

export interface Target {
  oid: number;
  /** Quoted, with its schema. */
  name: string;
  kind: string;
  columns: TargetColumn[];
  indexes: readonly TargetIndex[];
  /** Whether a crash of the server empties it, or one of its partitions. */
  isUnlogged: boolean;
  /** Names the files that it and its partitions lie in: others once it was truncated or rewritten. */
  files: string;
  canSelect: boolean;
  hasRowSecurity: boolean;
  /** Names of rules that keep INSERT from passing over rows: those for INSERT, and those for UPDATE. */
  rules: string[];
  /** Names of triggers that fire for inserted rows, of partitions with the name of theirs. */
  triggers: string[];
}

/** Kinds of relations that COPY writes to. */
export const WRITABLE_KINDS: ReadonlySet<string> = new Set(['r', 'p', 'f']);

/** What there is to know of the schema and the session, also when the table is not there. */
export interface Surroundings {
  schemaExists: boolean;
  canUseSchema: boolean;
  canCreate: boolean;
  canMakeTemp: boolean;
  isReadOnly: boolean;
  role: string;
  /** The server's major version. */
  version: number;
  /** Of the database, as Postgres calls it. */
  encoding: string;
}

const SURROUNDINGS_SQL = `
SELECT s.oid IS NOT NULL AS "schemaExists",
  COALESCE(pg_catalog.has_schema_privilege(s.oid, 'USAGE'), false) AS "canUseSchema",
  COALESCE(pg_catalog.has_schema_privilege(s.oid, 'CREATE'), false) AS "canCreate",
  pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMP') AS "canMakeTemp",
  pg_catalog.pg_is_in_recovery()
    OR pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool AS "isReadOnly",
  CURRENT_USER::pg_catalog.text AS role,
  pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog./) 10000 AS version,
  pg_catalog.current_setting('server_encoding') AS encoding
FROM (
  SELECT (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname OPERATOR(pg_catalog.=) $1) AS oid
) AS s`;

const TABLE_SQL = `
SELECT c.oid::pg_catalog.int8::pg_catalog.float8 AS oid, c.relkind::pg_catalog.text AS kind,
  pg_catalog.has_table_privilege(c.oid, 'SELECT') AS "canSelect",
  pg_catalog.row_security_active(c.oid) AS "hasRowSecurity",
  ARRAY(
    SELECT CASE WHEN l.oid OPERATOR(pg_catalog.=) c.oid THEN t.tgname::pg_catalog.text
      ELSE pg_catalog.format('%s.%s', l.relname, t.tgname) END
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class l ON l.oid OPERATOR(pg_catalog.=) t.tgrelid
    WHERE (l.oid OPERATOR(pg_catalog.=) c.oid OR l.oid OPERATOR(pg_catalog.=) ANY (
        ARRAY(SELECT relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(c.oid))
      ) AND (t.tgtype OPERATOR(pg_catalog.&) 1::pg_catalog.int2) OPERATOR(pg_catalog.<>) 0)
      AND NOT t.tgisinternal AND t.tgparentid OPERATOR(pg_catalog.=) 0
      AND t.tgenabled OPERATOR(pg_catalog.=) ANY ('{O,A}')
      AND (t.tgtype OPERATOR(pg_catalog.&) 4::pg_catalog.int2) OPERATOR(pg_catalog.<>) 0
    ORDER BY l.oid OPERATOR(pg_catalog.<>) c.oid, 1
  ) AS triggers,
  ARRAY(
    SELECT r.rulename::pg_catalog.text FROM pg_catalog.pg_rewrite r
    WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid AND (r.ev_type OPERATOR(pg_catalog.=) '2'
      OR r.ev_type OPERATOR(pg_catalog.=) '3' AND r.ev_enabled OPERATOR(pg_catalog.=) ANY ('{O,A}')) ORDER BY 1
  ) AS rules,
  c.relpersistence OPERATOR(pg_catalog.=) 'u' OR EXISTS (
    SELECT FROM pg_catalog.pg_partition_tree(c.oid) p JOIN pg_catalog.pg_class l ON l.oid OPERATOR(pg_catalog.=) p.relid
    WHERE l.relpersistence OPERATOR(pg_catalog.=) 'u'
  ) AS "isUnlogged",
  pg_catalog.concat(pg_catalog.pg_relation_filenode(c.oid), ARRAY(
    SELECT pg_catalog.pg_relation_filenode(p.relid) FROM pg_catalog.pg_partition_tree(c.oid) p ORDER BY p.relid
  )::pg_catalog.text) AS files
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE n.nspname OPERATOR(pg_catalog.=) $1 AND c.relname OPERATOR(pg_catalog.=) $2`;

/** smallint, integer, bigint, numeric, and domains over them. */
const IS_WHOLE_NUMBER = `(
  WITH RECURSIVE below AS (
    SELECT a.atttypid AS oid
    UNION ALL
    SELECT b.typbasetype FROM below JOIN pg_catalog.pg_type b ON b.oid OPERATOR(pg_catalog.=) below.oid
    WHERE b.typtype OPERATOR(pg_catalog.=) 'd'
  ) SELECT pg_catalog.bool_or(below.oid OPERATOR(pg_catalog.=) ANY ('{20,21,23,1700}')) FROM below)`;

/** A default that is the next number and nothing else, as `pg_get_expr` prints it: with schemas where the search path needs them. */
const PLAIN_NEXTVAL = String.raw`'^\(*(?:pg_catalog\.)?nextval\(''(?:[^'']|'''')*''::(?:pg_catalog\.)?regclass\)\)*(?:::[a-z]+)?$'`;

const PG_CLASS = "'pg_catalog.pg_class'::pg_catalog.regclass";

const COLUMNS_SQL = `
SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
  a.atttypid::pg_catalog.int8::pg_catalog.float8 AS "typeOid",
  a.attndims::pg_catalog.int4 AS dimensions, a.attnotnull OR t.typnotnull AS "notNull",
  a.atthasdef OR a.attidentity OPERATOR(pg_catalog.<>) '' OR t.typdefault IS NOT NULL AS "fillsItself",
  a.attgenerated OPERATOR(pg_catalog.<>) '' AS "isGenerated",
  a.attcollation OPERATOR(pg_catalog.<>) 0
    OR t.typcategory OPERATOR(pg_catalog.=) ANY ('{A,C,E,R}') AS "isOrderedApart",
  pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'INSERT') AS "canInsert",
  COALESCE(s.found, '[]') AS sequences
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) a.atttypid
LEFT JOIN pg_catalog.pg_attrdef f
  ON f.adrelid OPERATOR(pg_catalog.=) a.attrelid AND f.adnum OPERATOR(pg_catalog.=) a.attnum
LEFT JOIN LATERAL (
  SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
    'name', pg_catalog.format('%I.%I', n.nspname, c.relname), 'isOwned', u.owned,
    'canUpdate',
      pg_catalog.has_sequence_privilege(c.oid, 'SELECT') AND pg_catalog.has_sequence_privilege(c.oid, 'UPDATE'),
    'isCounter', ${IS_WHOLE_NUMBER} AND (f.oid IS NULL
      OR pg_catalog.pg_get_expr(f.adbin, f.adrelid) OPERATOR(pg_catalog.~) ${PLAIN_NEXTVAL})) ORDER BY c.oid) AS found
  FROM (
    SELECT x.oid, pg_catalog.bool_or(x.owned) AS owned FROM (
      SELECT d.objid AS oid, true AS owned FROM pg_catalog.pg_depend d
      WHERE d.classid OPERATOR(pg_catalog.=) ${PG_CLASS} AND d.refclassid OPERATOR(pg_catalog.=) ${PG_CLASS}
        AND d.refobjid OPERATOR(pg_catalog.=) a.attrelid AND d.refobjsubid OPERATOR(pg_catalog.=) a.attnum
        AND d.deptype OPERATOR(pg_catalog.=) ANY ('{a,i}')
      UNION ALL SELECT d.refobjid, false FROM pg_catalog.pg_depend d
      WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass
        AND d.objid OPERATOR(pg_catalog.=) f.oid AND d.refclassid OPERATOR(pg_catalog.=) ${PG_CLASS}
    ) AS x GROUP BY x.oid
  ) AS u
  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) u.oid AND c.relkind OPERATOR(pg_catalog.=) 'S'
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
) AS s ON true
WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
ORDER BY a.attnum`;

export async function describeSurroundings(client: Client, schema: string): Promise<Surroundings> {
  const { rows } = await client.query<Surroundings>(SURROUNDINGS_SQL, [schema]);
  if (rows[0] === undefined) throw new Error('the server gave no row');
  return rows[0];
}

/** Undefined when there is no such table. */
export async function describeTarget(
  client: Client,
  { schema, table }: { schema: string; table: string },
): Promise<Target | undefined> {
  const { rows } = await client.query<Omit<Target, 'name' | 'columns' | 'indexes'>>(TABLE_SQL, [schema, table]);
  const row = rows[0];
  if (row === undefined) return undefined;
  const columns = await client.query<TargetColumn>(COLUMNS_SQL, [row.oid]);
  const indexes = await describeIndexes(client, row.oid);
  return { ...row, name: quoteTableName({ schema, table }), columns: columns.rows, indexes };
}
