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
  /** Whether its order depends on a collation. */
  isCollatable: boolean;
  canInsert: boolean;
  /** The sequence of an identity or a serial column. */
  sequence: { name: string; canUpdate: boolean } | undefined;
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
  canSelect: boolean;
  hasRowSecurity: boolean;
  /** Names of triggers that fire for inserted rows. */
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
}

const SURROUNDINGS_SQL = `
SELECT s.oid IS NOT NULL AS "schemaExists",
  COALESCE(has_schema_privilege(s.oid, 'USAGE'), false) AS "canUseSchema",
  COALESCE(has_schema_privilege(s.oid, 'CREATE'), false) AS "canCreate",
  has_database_privilege(current_database(), 'TEMP') AS "canMakeTemp",
  pg_is_in_recovery() OR current_setting('transaction_read_only')::bool AS "isReadOnly",
  current_user::text AS role
FROM (SELECT (SELECT oid FROM pg_namespace WHERE nspname = $1) AS oid) AS s`;

const TABLE_SQL = `
SELECT c.oid::int8::float8 AS oid, c.relkind::text AS kind, has_table_privilege(c.oid, 'SELECT') AS "canSelect",
  row_security_active(c.oid) AS "hasRowSecurity",
  ARRAY(SELECT t.tgname::text FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
    AND t.tgtype & 4 <> 0 ORDER BY 1) AS triggers,
  c.relpersistence = 'u' OR EXISTS (
    SELECT FROM pg_catalog.pg_partition_tree(c.oid) p JOIN pg_catalog.pg_class l ON l.oid = p.relid WHERE l.relpersistence = 'u'
  ) AS "isUnlogged"
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`;

const COLUMNS_SQL = `
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.atttypid::int8::float8 AS "typeOid",
  a.attndims::int AS dimensions, a.attnotnull OR t.typnotnull AS "notNull",
  a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL AS "fillsItself", a.attgenerated <> '' AS "isGenerated",
  a.attcollation <> 0 AS "isCollatable", has_column_privilege(a.attrelid, a.attnum, 'INSERT') AS "canInsert",
  s.name AS "sequenceName", s.can_update AS "sequenceCanUpdate"
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN LATERAL (
  SELECT format('%I.%I', n.nspname, c.relname) AS name, has_sequence_privilege(c.oid, 'UPDATE') AS can_update
  FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid
    AND d.refobjsubid = a.attnum AND d.deptype IN ('a', 'i') LIMIT 1
) AS s ON true
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`;

type ColumnRow = Omit<TargetColumn, 'sequence'> & { sequenceName: string | null; sequenceCanUpdate: boolean | null };

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
  const columns = await client.query<ColumnRow>(COLUMNS_SQL, [row.oid]);
  const indexes = await describeIndexes(client, row.oid);
  return { ...row, name: quoteTableName({ schema, table }), columns: columns.rows.map(toColumn), indexes };
}

function toColumn({ sequenceName, sequenceCanUpdate, ...column }: ColumnRow): TargetColumn {
  const sequence = sequenceName === null ? undefined : { name: sequenceName, canUpdate: sequenceCanUpdate === true };
  return { ...column, sequence };
}
