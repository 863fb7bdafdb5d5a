/** What a database has to archive. Nothing here reads a row. */
import { fail } from '../base/errors.ts';
import type { Client } from '../postgres/connect.ts';
import { postgresFailure } from '../postgres/errors.ts';
import { quoteIdentifier, quoteTableName } from '../postgres/identifiers.ts';
import { whyNotByRange } from '../postgres/range-partitions.ts';
import { describeRelation, type Relation } from '../postgres/relation.ts';
import { isSuperuser } from '../postgres/role.ts';
import { inspectServer } from '../postgres/server.ts';
import { findOtherDatabases, findTable, findUserTables, type UserTable } from '../postgres/user-tables.ts';
import { findLeadingColumns } from '../postgres/value-columns.ts';
import { chooseTimeColumn, type TimeColumn } from './time-column.ts';

export interface Database {
  name: string;
  version: string;
  role: string;
  isStandby: boolean;
}

export interface FoundTable extends UserTable {
  kind: Relation['kind'];
  key: readonly string[];
  time: TimeColumn | undefined;
}

export interface Look {
  database: Database;
  tables: FoundTable[];
  /** Tables that the role may read, and that are none of these. */
  others: number;
  unreadable: { names: string[]; total: number };
}

/** The largest tables, or those that are named. Throws FailureError where there are none, or none may be read. */
export async function look(client: Client, wanted: readonly string[], most: number): Promise<Look> {
  const database = await describeDatabase(client);
  if (wanted.length > 0) {
    const tables = new Map<number, FoundTable>();
    for (const text of wanted) {
      const relation = await describeRelation(client, text);
      if (!tables.has(relation.oid)) tables.set(relation.oid, await describeNamed(client, relation));
    }
    return { database, tables: [...tables.values()], others: 0, unreadable: { names: [], total: 0 } };
  }
  const found = await findUserTables(client, most);
  if (found.total === 0) throw await nothing(client, database, found.unreadable.total);
  const tables: FoundTable[] = [];
  for (const table of found.tables) tables.push(await describeTable(client, table));
  const { tables: unreadable, total } = found.unreadable;
  return {
    database,
    tables,
    others: found.total - tables.length,
    unreadable: { names: unreadable.map(nameOf), total },
  };
}

/** `schema.table` as a config takes it, with quotes where they are needed. */
export function nameOf({ schema, name }: Pick<UserTable, 'schema' | 'name'>): string {
  const plain = `${schema}.${name}`;
  const isPlain = /^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$/.test(plain);
  return isPlain ? plain : quoteTableName({ schema, table: name });
}

async function describeDatabase(client: Client): Promise<Database> {
  const { version, database } = await inspectServer(client);
  const { role } = await isSuperuser(client);
  const { rows } = await client.query<{ standby: boolean }>('SELECT pg_catalog.pg_is_in_recovery() AS standby');
  return { name: database, version, role, isStandby: rows[0]?.standby === true };
}

async function nothing(client: Client, { name, role }: Database, unreadable: number): Promise<Error> {
  if (unreadable > 0) {
    const to = quoteIdentifier(role);
    return fail('permission-denied', {
      stage: 'plan',
      message: `the role ${role} may read none of the ${unreadable} tables of database ${name}`,
      hint: `GRANT pg_read_all_data TO ${to}; lets it read all of them (Postgres 14 and newer); or for each schema GRANT USAGE ON SCHEMA … TO ${to}; GRANT SELECT ON ALL TABLES IN SCHEMA … TO ${to};`,
    });
  }
  const others = await findOtherDatabases(client);
  const list = others.length === 0 ? '' : ` This server also has: ${others.join(', ')}.`;
  return fail('table-not-found', {
    stage: 'plan',
    message: `database ${name} has no tables besides those of Postgres and its extensions`,
    hint: `Check the database name at the end of the URL.${list}`,
  });
}

async function describeNamed(client: Client, relation: Relation): Promise<FoundTable> {
  const { schema, name, oid } = relation;
  const table = (await findTable(client, oid)) ?? { schema, name, bytes: 0, rows: undefined, parts: 0 };
  return describeRelated(client, table, relation);
}

async function describeTable(client: Client, table: UserTable): Promise<FoundTable> {
  const relation = await describeRelation(client, quoteTableName({ schema: table.schema, table: table.name }));
  return describeRelated(client, table, relation);
}

async function describeRelated(client: Client, table: UserTable, relation: Relation): Promise<FoundTable> {
  const { oid, kind, columns, primaryKey } = relation;
  try {
    const leading = await findLeadingColumns(client, oid);
    const partitionKey = kind === 'partitioned' ? await findPartitionKey(client, relation) : undefined;
    const time = chooseTimeColumn(
      columns,
      leading.map(({ name }) => name),
      partitionKey,
    );
    return { ...table, kind, key: primaryKey, time };
  } catch (error) {
    throw postgresFailure(error, 'plan', `looking at the indexes of ${nameOf(table)}`);
  }
}

async function findPartitionKey(client: Client, { oid, columns }: Relation): Promise<string | undefined> {
  for (const { name } of columns) if ((await whyNotByRange(client, oid, name)) === undefined) return name;
  return undefined;
}
