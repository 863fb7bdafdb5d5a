/** Gathers the facts that the purge of a partition is decided by. Decides nothing, and changes nothing. */
import type { ManifestHead } from '../../ledger/manifest.ts';
import type { Client } from '../../postgres/connect.ts';
import { quoteTableName } from '../../postgres/identifiers.ts';
import { describeRelation, type Relation } from '../../postgres/relation.ts';
import { TREE_SQL } from '../../postgres/table-stats.ts';
import { findForeignLeaves, look, type PurgeFacts } from '../look.ts';
import { existsReference, freeAlias } from '../statement.ts';
import { findBlockers } from './blockers.ts';
import { findPartition, type FoundPartition } from './find.ts';

export interface PartitionFacts extends Pick<
  PurgeFacts,
  'server' | 'identity' | 'relation' | 'subscriptions' | 'rights'
> {
  /** Such as 130023. */
  version: number;
  /** Undefined when there is none any more. */
  partition: PartitionDetails | undefined;
  otherPending: readonly string[];
  /** Of the table. */
  hasDefault: boolean;
  ownsTable: boolean;
  /** Of the table. */
  owner: string;
}

export interface PartitionDetails extends FoundPartition {
  /** Each `"name" type`, sorted: in which order a partition has them says nothing. */
  columns: readonly string[];
  foreignLeaves: readonly string[];
  /** What could not be there without it. */
  dependents: readonly string[];
  /** Foreign keys, with their tables, by which rows refer to rows of it. */
  referring: readonly string[];
  owns: boolean;
  owner: string;
  hidesRows: boolean;
  blockers: readonly string[];
  checks: readonly string[];
}

const TABLE_SQL = `
SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS version,
  COALESCE((SELECT p.partdefid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid FROM pg_catalog.pg_partitioned_table p
    WHERE p.partrelid OPERATOR(pg_catalog.=) $1), false) AS "hasDefault",
  pg_catalog.pg_has_role(t.relowner, 'USAGE') AS "ownsTable", pg_catalog.pg_get_userbyid(t.relowner)::pg_catalog.text AS owner
FROM pg_catalog.pg_class t WHERE t.oid OPERATOR(pg_catalog.=) $1`;

const PARTITION_SQL = `
SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owns, pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text AS owner,
  pg_catalog.row_security_active(c.oid) AS "hidesRows",
  ARRAY(SELECT r.conname::pg_catalog.text FROM pg_catalog.pg_constraint r
    WHERE r.conrelid OPERATOR(pg_catalog.=) c.oid AND r.contype OPERATOR(pg_catalog.=) 'c' ORDER BY 1) AS checks
FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) $1`;

/**
 * What depends on the partition, on a partition of it, or on the type of its rows, and does not go with it. Copies of foreign keys
 * that point to its table go when it is detached.
 */
const DEPENDENTS_SQL = `
WITH RECURSIVE ${TREE_SQL}, target AS (
  SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AS class, tree.oid FROM tree
  UNION ALL
  SELECT 'pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid, t.oid
  FROM tree JOIN pg_catalog.pg_type t ON t.typrelid OPERATOR(pg_catalog.=) tree.oid
  UNION ALL
  SELECT 'pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid, t.typarray
  FROM tree JOIN pg_catalog.pg_type t ON t.typrelid OPERATOR(pg_catalog.=) tree.oid
)
SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) AS name
FROM target JOIN pg_catalog.pg_depend d
  ON d.refclassid OPERATOR(pg_catalog.=) target.class AND d.refobjid OPERATOR(pg_catalog.=) target.oid
LEFT JOIN pg_catalog.pg_constraint r
  ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid AND r.oid OPERATOR(pg_catalog.=) d.objid
LEFT JOIN pg_catalog.pg_rewrite w
  ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid AND w.oid OPERATOR(pg_catalog.=) d.objid
LEFT JOIN pg_catalog.pg_trigger g
  ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_trigger'::pg_catalog.regclass::pg_catalog.oid AND g.oid OPERATOR(pg_catalog.=) d.objid
LEFT JOIN pg_catalog.pg_policy o
  ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass::pg_catalog.oid AND o.oid OPERATOR(pg_catalog.=) d.objid
LEFT JOIN pg_catalog.pg_attrdef f
  ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass::pg_catalog.oid AND f.oid OPERATOR(pg_catalog.=) d.objid
WHERE d.deptype OPERATOR(pg_catalog.=) 'n'
  AND NOT EXISTS (
    SELECT FROM tree WHERE tree.oid OPERATOR(pg_catalog.=)
      COALESCE(r.conrelid, w.ev_class, g.tgrelid, o.polrelid, f.adrelid, CASE
        WHEN d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid THEN d.objid END)
  )
  AND (r.conparentid IS NULL OR r.conparentid OPERATOR(pg_catalog.=) 0::pg_catalog.oid
    OR r.confrelid OPERATOR(pg_catalog.<>) ALL (SELECT tree.oid FROM tree))
ORDER BY 1 LIMIT 20`;

/** `intended`: the OID of the partition that a purge of the run was begun with. Throws FailureError. */
export async function lookAtPartition(
  client: Client,
  table: string,
  manifest: Pick<ManifestHead, 'partition'>,
  intended: number | undefined,
): Promise<PartitionFacts> {
  const facts = await look(client, table);
  const { relation } = facts;
  const found = await findPartition(client, relation.oid, manifest.partition?.bound ?? '', intended);
  const { rows } = await client.query<Pick<PartitionFacts, 'version' | 'hasDefault' | 'ownsTable' | 'owner'>>(
    TABLE_SQL,
    [relation.oid],
  );
  const [row] = rows;
  if (row === undefined) throw new Error('the server gave no row');
  return {
    server: facts.server,
    identity: facts.identity,
    relation,
    subscriptions: facts.subscriptions,
    rights: facts.rights,
    ...row,
    otherPending: found.otherPending,
    partition: found.own && (await lookCloser(client, facts, found.own)),
  };
}

async function lookCloser(
  client: Client,
  facts: PurgeFacts,
  own: FoundPartition,
): Promise<PartitionDetails | undefined> {
  const details = await client.query<Pick<PartitionDetails, 'owns' | 'owner' | 'hidesRows' | 'checks'>>(PARTITION_SQL, [
    own.oid,
  ]);
  const [row] = details.rows;
  if (row === undefined) return undefined;
  const dependents = await client.query<{ name: string }>(DEPENDENTS_SQL, [own.oid]);
  const relation = await describeRelation(client, quoteTableName({ schema: own.schema, table: own.name }));
  return {
    ...own,
    ...row,
    columns: columnsOf(relation),
    foreignLeaves: await findForeignLeaves(client, own.oid),
    dependents: dependents.rows.map(({ name }) => name),
    referring: own.state === 'attached' ? await findReferring(client, facts, own) : [],
    blockers: await findBlockers(client, facts.relation.oid, own.oid),
  };
}

/** Each `"name" type`, sorted. */
export function columnsOf({ columns }: Relation): string[] {
  return columns.map(({ name, type }) => `"${name}" ${type}`).sort();
}

/** Each is a join of the two tables, as Postgres makes one itself before it detaches. What may not be read, only Postgres asks. */
async function findReferring(
  client: Client,
  { references, relation }: PurgeFacts,
  { schema, name }: FoundPartition,
): Promise<string[]> {
  const referring: string[] = [];
  const row = freeAlias(relation.columns);
  for (const reference of references) {
    if (!reference.canSelect || !reference.canName || reference.hidesRows) continue;
    const from = `${quoteTableName({ schema, table: name })} AS ${row}`;
    const sql = `SELECT EXISTS (SELECT FROM ${from} WHERE ${existsReference(reference, row)}) AS refers`;
    const { rows } = await client.query<{ refers: boolean }>(sql);
    if (rows[0]?.refers === true) referring.push(`${reference.name} of ${reference.table}`);
  }
  return referring;
}
