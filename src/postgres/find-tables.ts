/** Finds the tables that patterns name. */
import type { Client } from 'pg';
import { nearestName } from '../base/suggest.ts';
import { postgresFailure } from './errors.ts';
import { writeTableName, type NamePattern, type TablePattern } from './table-pattern.ts';

export interface FoundTables {
  tables: { schema: string; table: string }[];
  /** Whether there are more than were asked for. */
  more: boolean;
  /** Partitions, and tables that inherit from one that is found: their rows are read through it. */
  passedOver: number;
}

/** Of tables of the server's own, of a session, or in which a restore keeps how far it is, none is meant. */
const OTHERS = `c.relname OPERATOR(pg_catalog.!~) '^pgsluice_restore_[0-9]+$' AND n.nspname OPERATOR(pg_catalog.!~) '^pg_' AND n.nspname OPERATOR(pg_catalog.<>) 'information_schema'
  AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}')`;

const matches = (schemas: string, names: string): string => `EXISTS (
    SELECT FROM ROWS FROM (pg_catalog.unnest(${schemas}::pg_catalog.text[]), pg_catalog.unnest(${names}::pg_catalog.text[])) AS p(schema, name)
    WHERE c.relname::pg_catalog.text OPERATOR(pg_catalog.~~) p.name
      AND CASE WHEN p.schema IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
        ELSE n.nspname::pg_catalog.text OPERATOR(pg_catalog.~~) p.schema END
  )`;

/** Rows of a table that inherits are read through the one it inherits from, as those of a partition are. */
const FIND_SQL = `
WITH RECURSIVE matched AS (
  SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relispartition AS is_partition
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  WHERE ${OTHERS} AND n.nspname OPERATOR(pg_catalog.<>) ALL ($5) AND ${matches('$1', '$2')} AND NOT ${matches('$3', '$4')}
), covered AS (
  SELECT i.inhrelid AS oid FROM pg_catalog.pg_inherits i JOIN matched m ON m.oid OPERATOR(pg_catalog.=) i.inhparent
  UNION
  SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN covered p ON p.oid OPERATOR(pg_catalog.=) i.inhparent
), judged AS (
  SELECT m.schema, m.name, m.is_partition OR EXISTS (
    SELECT FROM covered v WHERE v.oid OPERATOR(pg_catalog.=) m.oid
  ) AS passed FROM matched m
)
SELECT schema, name AS table, (SELECT pg_catalog.count(*) FROM judged WHERE passed)::pg_catalog.int4 AS passed
FROM judged WHERE NOT passed
UNION ALL
SELECT NULL, NULL, (SELECT pg_catalog.count(*) FROM judged WHERE passed)::pg_catalog.int4 WHERE NOT EXISTS (SELECT FROM judged WHERE NOT passed)
ORDER BY 1, 2 LIMIT $6`;

export interface PatternChoice {
  patterns: readonly TablePattern[];
  except: readonly TablePattern[];
  /** Schemas of which no table is meant. */
  notIn: readonly string[];
}

/** No more than `most` tables, in the order of their names. Throws FailureError. */
export async function findTables(client: Client, choice: PatternChoice, most: number): Promise<FoundTables> {
  const { patterns, except, notIn } = choice;
  try {
    const { rows } = await client.query<{ schema: string | null; table: string | null; passed: number }>(FIND_SQL, [
      ...[schemasOf(patterns, null), namesOf(patterns), schemasOf(except, '%'), namesOf(except)],
      ...[notIn, most + 1],
    ]);
    const tables = rows.flatMap(({ schema, table }) => (schema === null || table === null ? [] : [{ schema, table }]));
    return { tables: tables.slice(0, most), more: tables.length > most, passedOver: rows[0]?.passed ?? 0 };
  } catch (error) {
    throw postgresFailure(error, 'plan', 'looking for tables');
  }
}

function schemasOf(patterns: readonly TablePattern[], otherwise: string | null): (string | null)[] {
  return patterns.map(({ schema }) => schema?.like ?? otherwise);
}

function namesOf(patterns: readonly TablePattern[]): string[] {
  return patterns.map(({ table }) => table.like);
}

const NAMES_SQL = `
SELECT n.nspname AS schema, c.relname AS table, pg_catalog.pg_table_is_visible(c.oid) AS visible
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE ${OTHERS} AND NOT c.relispartition ORDER BY n.nspname, c.relname LIMIT 10000`;

const MOST_NEAR = 3;

/** Names of tables that a pattern may have meant, which finds none; the nearest first. Throws FailureError. */
export async function findNearTables(client: Client, { schema, table }: TablePattern): Promise<string[]> {
  try {
    const { rows } = await client.query<{ schema: string; table: string; visible: boolean }>(NAMES_SQL);
    const isOfSchema = (row: (typeof rows)[number]): boolean =>
      schema === undefined ? row.visible : isNear(schema, row.schema);
    const near = rows.filter((row) => isOfSchema(row) && isNear(table, row.table));
    // What fits but for its schema, and what needs no quotes, is more often meant.
    const named = near.map((row) => ({ name: writeTableName(row), fits: table.regex.test(row.table) }));
    const farness = ({ name, fits }: (typeof named)[number]): number => (fits ? 0 : 2) + Number(name.includes('"'));
    return named
      .sort((a, b) => farness(a) - farness(b))
      .slice(0, MOST_NEAR)
      .map(({ name }) => name);
  } catch (error) {
    throw postgresFailure(error, 'plan', 'looking for tables');
  }
}

/** Whether a name begins nearly as the pattern does; without a wildcard, whether it is nearly that. */
function isNear({ regex, head, isWild }: NamePattern, name: string): boolean {
  if (regex.test(name)) return true;
  const lengths = isWild ? [head.length - 1, head.length, head.length + 1] : [name.length];
  return (
    head !== '' &&
    nearestName(
      head,
      lengths.map((length) => name.slice(0, Math.max(1, length))),
    ) !== undefined
  );
}
