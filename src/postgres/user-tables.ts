/** The tables that somebody has made in a database, the largest first. Nothing here reads a table. */
import type { Client } from 'pg';
import { postgresFailure } from './errors.ts';
import { isAttached } from './table-stats.ts';

export interface UserTable {
  schema: string;
  name: string;
  /** Heap and TOAST of the table and of all that inherit from it. */
  bytes: number;
  /** As the last ANALYZE counted them; undefined before the first one. */
  rows: number | undefined;
  /** Partitions, and tables that inherit from it. */
  parts: number;
}

export interface UserTables {
  /** Those that the role may read. */
  tables: UserTable[];
  /** How many of them there are in all. */
  total: number;
  /** Those that the role may not read: the largest of them, and how many there are. */
  unreadable: { tables: UserTable[]; total: number };
}

interface Row extends Omit<UserTable, 'rows'> {
  rows: number | null;
  readable: boolean;
  total: number;
}

const MOST_UNREADABLE = 5;

/**
 * Not those of Postgres and of extensions, temporary ones, partitions, which go with their table, and records of restores. A standby
 * cannot read unlogged ones.
 */
const OF_USERS = `c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}') AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
    AND NOT (c.relpersistence OPERATOR(pg_catalog.=) 'u' AND pg_catalog.pg_is_in_recovery())
    AND n.nspname OPERATOR(pg_catalog.!~) '^pg_' AND n.nspname OPERATOR(pg_catalog.<>) 'information_schema'
    AND c.relname OPERATOR(pg_catalog.!~) '^pgsluice_restore_[0-9]+$'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i
      WHERE i.inhrelid OPERATOR(pg_catalog.=) c.oid AND ${isAttached('i')})
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
        AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype OPERATOR(pg_catalog.=) 'e')`;
const NAMED = 'c.oid OPERATOR(pg_catalog.=) $2::pg_catalog.oid';

const tablesSql = (condition: string): string => `
WITH RECURSIVE root AS (
  SELECT c.oid, c.relname, n.nspname,
    pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  WHERE ${condition}
), tree AS (
  SELECT root.oid AS top, root.oid FROM root
  UNION
  SELECT tree.top, i.inhrelid FROM tree
  JOIN pg_catalog.pg_inherits i ON i.inhparent OPERATOR(pg_catalog.=) tree.oid
  WHERE ${isAttached('i')}
), sized AS (
  SELECT tree.top,
    pg_catalog.sum(CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'f' THEN 0::pg_catalog.int8
      ELSE COALESCE(pg_catalog.pg_table_size(c.oid), 0::pg_catalog.int8) END) AS bytes,
    pg_catalog.sum(CASE WHEN c.relkind OPERATOR(pg_catalog.<>) 'p' AND c.relpages OPERATOR(pg_catalog.>) 0
      AND c.reltuples OPERATOR(pg_catalog.>=) 0 THEN c.reltuples END) AS rows,
    pg_catalog.count(*) OPERATOR(pg_catalog.-) 1::pg_catalog.int8 AS parts
  FROM tree JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) tree.oid GROUP BY tree.top
), placed AS (
  SELECT root.nspname, root.relname, root.readable, sized.bytes, sized.rows, sized.parts,
    pg_catalog.count(*) OVER (PARTITION BY root.readable) AS total,
    pg_catalog.row_number() OVER (PARTITION BY root.readable
      ORDER BY sized.bytes DESC, root.nspname, root.relname) AS place
  FROM root JOIN sized ON sized.top OPERATOR(pg_catalog.=) root.oid
)
SELECT nspname AS schema, relname AS name, readable, bytes::pg_catalog.float8 AS bytes, rows::pg_catalog.float8 AS rows,
  parts::pg_catalog.float8 AS parts, total::pg_catalog.float8 AS total
FROM placed
WHERE place OPERATOR(pg_catalog.<=) CASE WHEN readable THEN $1::pg_catalog.int8 ELSE ${MOST_UNREADABLE}::pg_catalog.int8 END
ORDER BY place`;

/** At most so many of those that the role may read. */
export async function findUserTables(client: Client, most: number): Promise<UserTables> {
  try {
    const { rows } = await client.query<Row>(tablesSql(OF_USERS), [most]);
    const of = (isReadable: boolean): UserTables['unreadable'] => {
      const found = rows.filter(({ readable }) => readable === isReadable);
      return { tables: found.map(tableOf), total: found[0]?.total ?? 0 };
    };
    return { ...of(true), unreadable: of(false) };
  } catch (error) {
    throw postgresFailure(error, 'plan', 'looking for the tables of the database');
  }
}

/** The one with this OID, whatever it is; undefined where it is gone. */
export async function findTable(client: Client, oid: number): Promise<UserTable | undefined> {
  const { rows } = await client.query<Row>(tablesSql(NAMED), [1, oid]);
  return rows[0] && tableOf(rows[0]);
}

function tableOf({ schema, name, bytes, rows, parts }: Row): UserTable {
  return { schema, name, bytes, rows: rows ?? undefined, parts };
}

/** Other databases of the server that the role may connect to. */
export async function findOtherDatabases(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT d.datname AS name FROM pg_catalog.pg_database d
     WHERE d.datallowconn AND NOT d.datistemplate AND d.datname OPERATOR(pg_catalog.<>) pg_catalog.current_database()
       AND pg_catalog.has_database_privilege(d.oid, 'CONNECT') ORDER BY d.datname LIMIT 10`,
  );
  return rows.map(({ name }) => name);
}
