/** The constraints of the target that rows may fail by, though they were fine where they came from. */
import type { Client } from '../postgres/connect.ts';
import { sqlStateOf } from '../postgres/errors.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import type { ManifestObject } from '../ledger/manifest.ts';
import type { StoredManifest } from '../ledger/stored-manifest.ts';
import type { Target } from './target.ts';

/** What only the catalogue tells of the target's constraints. */
export interface ConstraintFacts {
  /** Foreign keys that are enforced for inserted rows. */
  foreignKeys: readonly ForeignKey[];
  /** Exclusion constraints, with their definitions. */
  exclusions: readonly { name: string; definition: string }[];
  /** Of a partitioned table; undefined for others. */
  partitions: PartitionFacts | undefined;
  /** Whether tables inherit from it, which are no partitions: none of the rows goes into them. */
  hasHeirs: boolean;
}

export interface ForeignKey {
  name: string;
  definition: string;
  /** The table that it refers to, quoted, with its schema. */
  to: string;
  isToItself: boolean;
  /** Whether it is the table's own, and its triggers are as it made them: then it can be dropped and made again. */
  isPlain: boolean;
  /** Null without one. */
  comment: string | null;
}

export interface PartitionFacts {
  count: number;
  /** Whether some partition, at whatever level, is for the rows that no other takes. */
  hasDefault: boolean;
  /** Objects of which an end of the key goes into no partition; undefined where it is not known. */
  unplaced: readonly KeyEnds[] | undefined;
}

/** The ends of an object. */
export type KeyEnds = Pick<ManifestObject, 'firstKey' | 'lastKey'>;

export const NO_CONSTRAINTS: ConstraintFacts = {
  foreignKeys: [],
  exclusions: [],
  partitions: undefined,
  hasHeirs: false,
};

/** The kind of the target. */
const KIND_SQL = '(SELECT relkind FROM pg_catalog.pg_class WHERE oid OPERATOR(pg_catalog.=) $1)';

/** What is disabled, as a trigger can be, does not count, nor what another one of the same table has made, as those to partitions are. */
const FOREIGN_KEYS_SQL = `
SELECT c.conname::pg_catalog.text AS name, pg_catalog.pg_get_constraintdef(c.oid) AS definition,
  pg_catalog.format('%I.%I', n.nspname, r.relname) AS "to",
  c.confrelid OPERATOR(pg_catalog.=) c.conrelid AS "isToItself",
  c.conparentid OPERATOR(pg_catalog.=) 0 AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger t
    WHERE t.tgconstraint OPERATOR(pg_catalog.=) c.oid AND t.tgenabled OPERATOR(pg_catalog.<>) 'O'
  ) AS "isPlain",
  pg_catalog.obj_description(c.oid, 'pg_constraint') AS comment
FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class r ON r.oid OPERATOR(pg_catalog.=) c.confrelid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) r.relnamespace
WHERE c.conrelid OPERATOR(pg_catalog.=) $1 AND c.contype OPERATOR(pg_catalog.=) 'f' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_constraint p
    WHERE p.oid OPERATOR(pg_catalog.=) c.conparentid AND p.conrelid OPERATOR(pg_catalog.=) c.conrelid
  )
  AND pg_catalog.pg_get_constraintdef(c.oid) OPERATOR(pg_catalog.!~) ' NOT ENFORCED$' AND (
    ${KIND_SQL} OPERATOR(pg_catalog.=) 'p'
    OR EXISTS (
      SELECT FROM pg_catalog.pg_trigger t
      WHERE t.tgconstraint OPERATOR(pg_catalog.=) c.oid AND t.tgrelid OPERATOR(pg_catalog.=) c.conrelid
        AND t.tgenabled OPERATOR(pg_catalog.=) ANY ('{O,A}')
        AND (t.tgtype OPERATOR(pg_catalog.&) 4::pg_catalog.int2) OPERATOR(pg_catalog.<>) 0
    )
  )
ORDER BY 1`;

const EXCLUSIONS_SQL = `
SELECT conname::pg_catalog.text AS name, pg_catalog.pg_get_constraintdef(oid) AS definition
FROM pg_catalog.pg_constraint
WHERE conrelid OPERATOR(pg_catalog.=) $1 AND contype OPERATOR(pg_catalog.=) 'x' ORDER BY 1`;

const HEIRS_SQL = `
SELECT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent OPERATOR(pg_catalog.=) $1)
  AND ${KIND_SQL} OPERATOR(pg_catalog.<>) 'p' AS found`;

/** The leaves, and what each one takes, as SQL of the server's own. */
const LEAVES_SQL = `
WITH RECURSIVE below AS (
  SELECT inhrelid AS oid FROM pg_catalog.pg_inherits WHERE inhparent OPERATOR(pg_catalog.=) $1
  UNION ALL
  SELECT i.inhrelid FROM below JOIN pg_catalog.pg_inherits i ON i.inhparent OPERATOR(pg_catalog.=) below.oid
  JOIN pg_catalog.pg_class p ON p.oid OPERATOR(pg_catalog.=) below.oid AND p.relkind OPERATOR(pg_catalog.=) 'p'
)
SELECT pg_catalog.pg_get_partition_constraintdef(c.oid) AS takes,
  pg_catalog.pg_get_expr(c.relpartbound, c.oid) OPERATOR(pg_catalog.=) 'DEFAULT' AS "isDefault"
FROM below JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) below.oid
WHERE c.relkind OPERATOR(pg_catalog.<>) 'p'`;

export async function lookAtConstraints(
  client: Client,
  target: Target,
  manifest: StoredManifest,
): Promise<ConstraintFacts> {
  const ask = async <T extends object>(sql: string): Promise<T[]> => (await client.query<T>(sql, [target.oid])).rows;
  const [heirs] = await ask<{ found: boolean }>(HEIRS_SQL);
  return {
    foreignKeys: await ask<ForeignKey>(FOREIGN_KEYS_SQL),
    exclusions: await ask<{ name: string; definition: string }>(EXCLUSIONS_SQL),
    partitions: target.kind === 'p' ? await lookAtPartitions(client, target, manifest) : undefined,
    hasHeirs: heirs?.found === true,
  };
}

async function lookAtPartitions(client: Client, target: Target, manifest: StoredManifest): Promise<PartitionFacts> {
  const { rows: leaves } = await client.query<{ takes: string | null; isDefault: boolean }>(LEAVES_SQL, [target.oid]);
  const hasDefault = leaves.some(({ isDefault }) => isDefault);
  const takes = leaves.flatMap(({ takes }) => takes ?? []);
  const isKnown = leaves.length > 0 && !hasDefault && takes.length === leaves.length;
  const unplaced = isKnown ? await findUnplaced(client, target, manifest, takes) : undefined;
  return { count: leaves.length, hasDefault, unplaced };
}

/**
 * Rows of an archive that was cut by its key lie between the ends of their object: an end that goes nowhere tells of a partition
 * that is missing. Where partitions go by other
 * columns, or the manifest's values are none of the type, it is left to the rows themselves.
 */
async function findUnplaced(
  client: Client,
  { columns }: Target,
  { cut, objects }: StoredManifest,
  takes: readonly string[],
): Promise<KeyEnds[] | undefined> {
  if (cut?.by !== 'key' || objects.length > MOST_OBJECTS) return undefined;
  const key = cut.key.map((name) => columns.find((column) => column.name === name));
  if (key.length === 0 || key.includes(undefined)) return undefined;
  const values = key.map(
    (column, at) =>
      `(e.key OPERATOR(pg_catalog.->>) ${at})::${column?.type ?? ''} AS ${quoteIdentifier(column?.name ?? '')}`,
  );
  const all: KeyEnds[] = [];
  for await (const { rows, firstKey, lastKey } of objects) if (rows > 0) all.push({ firstKey, lastKey });
  const ends = all.flatMap(({ firstKey, lastKey }, at) =>
    [firstKey, lastKey].flatMap((key) => (key === null || key.includes('') ? [] : [{ at, key }])),
  );
  await client.query('BEGIN');
  try {
    const { rows } = await client.query<{ at: number }>(
      `SELECT DISTINCT k.pgsluice_at AS at
       FROM (
         SELECT (o OPERATOR(pg_catalog.->>) 'at')::pg_catalog.int4 AS pgsluice_at, ${values.join(', ')}
         FROM pg_catalog.json_array_elements($1::pg_catalog.json) AS o,
           LATERAL (SELECT o OPERATOR(pg_catalog.->) 'key' AS key) AS e
       ) AS k
       WHERE NOT (${takes.map((one) => `COALESCE(${one}, false)`).join(' OR ')}) ORDER BY 1`,
      [JSON.stringify(ends)],
    );
    return rows.flatMap(({ at }) => all[at] ?? []);
  } catch (error) {
    if (/^(?:22|23|42)/.test(sqlStateOf(error))) return undefined;
    throw error;
  } finally {
    await client.query('ROLLBACK');
  }
}

/** More are not worth the wait before the first row. */
const MOST_OBJECTS = 20_000;
