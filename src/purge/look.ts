/** Gathers the facts that a purge is decided by, from the catalogue of the database. Decides nothing, and changes nothing. */
import type { Client } from '../postgres/connect.ts';
import { describeRelation, type Relation } from '../postgres/relation.ts';
import { isPooled } from '../postgres/settings.ts';
import { identifySource, type SourceIdentity } from '../postgres/snapshot.ts';
import { isNotNull, TREE_SQL } from '../postgres/table-stats.ts';
import { readHazards } from './hazards.ts';

export interface PurgeFacts {
  server: {
    isPooled: boolean;
    inRecovery: boolean;
    readOnly: boolean;
    /** With `replica`, foreign keys are not kept. */
    replicationRole: string;
    encoding: string;
    /** By the clock of the database. */
    now: Date;
    role: string;
  };
  identity: SourceIdentity;
  relation: Relation;
  /** As they were before all else was asked: what these facts allow is done only while they are the same. */
  hazards: string;
  rights: { select: boolean; delete: boolean; update: boolean; hidesRows: boolean };
  /** Keys that the server keeps unique, the primary key first. */
  keys: readonly (readonly string[])[];
  /** Foreign tables among the partitions. */
  foreignLeaves: readonly string[];
  references: readonly Reference[];
  rules: readonly Named[];
  /** Those BEFORE … FOR EACH STATEMENT fire before the first row is compared. */
  triggers: readonly (Named & { isFirst: boolean })[];
  publications: readonly string[];
  subscriptions: readonly string[];
  slots: readonly { name: string; plugin: string }[];
  /** Tables that the server would refuse to delete from once they are published with deletes. */
  withoutIdentity: readonly string[];
}

/** What stands at a table: its name, and that of the table, quoted. */
export interface Named {
  name: string;
  table: string;
}

/** A foreign key that points here. */
export interface Reference extends Named {
  schema: string;
  relation: string;
  /** As pg_constraint has it: a, r, c, n or d. */
  onDelete: string;
  columns: readonly string[];
  /** The columns that it points to, in the same order, with the schema of the operator that compares them and its name. */
  referenced: readonly string[];
  operators: readonly { schema: string; name: string }[];
  hasIndex: boolean;
  canSelect: boolean;
  /** Whether the role may use the schema that it is in. */
  canName: boolean;
  hidesRows: boolean;
}

const SERVER_SQL = `
SELECT pg_catalog.pg_is_in_recovery() AS "inRecovery",
  pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool AS "readOnly",
  pg_catalog.current_setting('session_replication_role') AS "replicationRole",
  pg_catalog.current_setting('server_encoding') AS encoding,
  pg_catalog.clock_timestamp() AS now, CURRENT_USER::pg_catalog.text AS role`;

const RIGHTS_SQL = `
SELECT pg_catalog.has_table_privilege($1::pg_catalog.oid, 'SELECT') AS "select",
  pg_catalog.has_table_privilege($1::pg_catalog.oid, 'DELETE') AS "delete",
  pg_catalog.has_any_column_privilege($1::pg_catalog.oid, 'UPDATE') AS "update",
  pg_catalog.row_security_active($1::pg_catalog.oid) AS "hidesRows"`;

/** An index that tells rows apart by another equality or collation than `=` of the column does not keep that one unique. */
const KEYS_SQL = `
SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY k.ordinal) AS names
FROM pg_catalog.pg_index i
CROSS JOIN ROWS FROM (
  pg_catalog.unnest(i.indkey::pg_catalog.int2[]), pg_catalog.unnest(i.indcollation::pg_catalog.oid[]),
  pg_catalog.unnest(i.indclass::pg_catalog.oid[])
) WITH ORDINALITY AS k(attnum, collation_oid, class, ordinal)
JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid AND a.attnum OPERATOR(pg_catalog.=) k.attnum
LEFT JOIN pg_catalog.pg_opclass o ON o.oid OPERATOR(pg_catalog.=) k.class
WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
  AND i.indexprs IS NULL AND k.ordinal OPERATOR(pg_catalog.<=) i.indnkeyatts
GROUP BY i.indexrelid, i.indisprimary
HAVING pg_catalog.bool_and(${isNotNull('a')} AND o.opcdefault AND k.collation_oid OPERATOR(pg_catalog.=) a.attcollation)
ORDER BY i.indisprimary DESC, pg_catalog.count(*), i.indexrelid`;

/** `tree` is the table and its partitions, `line` these and all that they are partitions of. */
const LINE_SQL = `${TREE_SQL}, line AS (
  SELECT tree.oid FROM tree
  UNION
  SELECT h.inhparent FROM line JOIN pg_catalog.pg_inherits h ON h.inhrelid OPERATOR(pg_catalog.=) line.oid
)`;

const FOREIGN_SQL = `
WITH RECURSIVE ${TREE_SQL}
SELECT c.oid::pg_catalog.regclass::pg_catalog.text AS name
FROM tree JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) tree.oid
WHERE c.relkind OPERATOR(pg_catalog.=) 'f' ORDER BY 1`;

/** Partitions have copies of the foreign keys of their tables, on both sides. A key of several columns has an index that helps when that begins with one of them. */
const REFERENCES_SQL = `
WITH RECURSIVE ${TREE_SQL}
SELECT r.conname::pg_catalog.text AS name, r.conrelid::pg_catalog.regclass::pg_catalog.text AS "table",
  n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS relation, r.confdeltype::pg_catalog.text AS "onDelete",
  (SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY k.ordinal)
   FROM pg_catalog.unnest(r.conkey) WITH ORDINALITY AS k(attnum, ordinal) JOIN pg_catalog.pg_attribute a
     ON a.attrelid OPERATOR(pg_catalog.=) r.conrelid AND a.attnum OPERATOR(pg_catalog.=) k.attnum) AS columns,
  (SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY k.ordinal)
   FROM pg_catalog.unnest(r.confkey) WITH ORDINALITY AS k(attnum, ordinal) JOIN pg_catalog.pg_attribute a
     ON a.attrelid OPERATOR(pg_catalog.=) r.confrelid AND a.attnum OPERATOR(pg_catalog.=) k.attnum) AS referenced,
  (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('schema', s.nspname, 'name', o.oprname) ORDER BY k.ordinal)
   FROM pg_catalog.unnest(r.conpfeqop) WITH ORDINALITY AS k(operator, ordinal)
   JOIN pg_catalog.pg_operator o ON o.oid OPERATOR(pg_catalog.=) k.operator
   JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) o.oprnamespace) AS operators,
  EXISTS (
    SELECT FROM pg_catalog.pg_index i WHERE i.indrelid OPERATOR(pg_catalog.=) r.conrelid AND i.indisvalid
      AND i.indpred IS NULL AND (i.indkey::pg_catalog.int2[])[0] OPERATOR(pg_catalog.=) ANY (r.conkey)
  ) AS "hasIndex",
  pg_catalog.has_table_privilege(r.conrelid, 'SELECT') AS "canSelect",
  pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS "canName",
  pg_catalog.row_security_active(r.conrelid) AS "hidesRows"
FROM pg_catalog.pg_constraint r
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE r.contype OPERATOR(pg_catalog.=) 'f' AND r.confrelid OPERATOR(pg_catalog.=) ANY (SELECT tree.oid FROM tree)
  AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_constraint p
  WHERE p.oid OPERATOR(pg_catalog.=) r.conparentid AND p.confrelid OPERATOR(pg_catalog.=) ANY (SELECT tree.oid FROM tree)
)
ORDER BY 2, 1`;

/** Those that are disabled, or are for session_replication_role = replica alone, do nothing here: such a role is refused. */
const RULES_SQL = `
WITH RECURSIVE ${TREE_SQL}
SELECT w.rulename::pg_catalog.text AS name, w.ev_class::pg_catalog.regclass::pg_catalog.text AS "table"
FROM tree JOIN pg_catalog.pg_rewrite w ON w.ev_class OPERATOR(pg_catalog.=) tree.oid
WHERE w.ev_type OPERATOR(pg_catalog.=) '4' AND w.ev_enabled OPERATOR(pg_catalog.=) ANY ('{O,A}') ORDER BY 2, 1`;

/** 8 is the bit of DELETE, 2 that of BEFORE, 1 that of FOR EACH ROW. */
const TRIGGERS_SQL = `
WITH RECURSIVE ${TREE_SQL}
SELECT t.tgname::pg_catalog.text AS name, t.tgrelid::pg_catalog.regclass::pg_catalog.text AS "table",
  (t.tgtype OPERATOR(pg_catalog.&) 3::pg_catalog.int2) OPERATOR(pg_catalog.=) 2::pg_catalog.int2 AS "isFirst"
FROM tree JOIN pg_catalog.pg_trigger t ON t.tgrelid OPERATOR(pg_catalog.=) tree.oid
WHERE NOT t.tgisinternal AND t.tgenabled OPERATOR(pg_catalog.=) ANY ('{O,A}')
  AND (t.tgtype OPERATOR(pg_catalog.&) 8::pg_catalog.int2) OPERATOR(pg_catalog.<>) 0::pg_catalog.int2
ORDER BY 2, 1`;

/** pg_publication_tables knows tables by schema, FOR ALL TABLES and by name alike, in every version. */
const PUBLICATIONS_SQL = `
WITH RECURSIVE ${LINE_SQL}
SELECT DISTINCT p.pubname::pg_catalog.text AS name
FROM line JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) line.oid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
JOIN pg_catalog.pg_publication p ON p.pubdelete
WHERE p.puballtables OR EXISTS (
    SELECT FROM pg_catalog.pg_publication_tables v WHERE v.pubname OPERATOR(pg_catalog.=) p.pubname
      AND v.schemaname OPERATOR(pg_catalog.=) n.nspname AND v.tablename OPERATOR(pg_catalog.=) c.relname
  ) OR EXISTS (
    SELECT FROM pg_catalog.pg_publication_rel r
    WHERE r.prpubid OPERATOR(pg_catalog.=) p.oid AND r.prrelid OPERATOR(pg_catalog.=) line.oid
  )
ORDER BY 1`;

const SUBSCRIPTIONS_SQL = `
WITH RECURSIVE ${LINE_SQL}
SELECT DISTINCT s.subname::pg_catalog.text AS name
FROM line JOIN pg_catalog.pg_subscription_rel r ON r.srrelid OPERATOR(pg_catalog.=) line.oid
JOIN pg_catalog.pg_subscription s ON s.oid OPERATOR(pg_catalog.=) r.srsubid ORDER BY 1`;

const SLOTS_SQL = `
SELECT s.slot_name::pg_catalog.text AS name, s.plugin::pg_catalog.text AS plugin FROM pg_catalog.pg_replication_slots s
WHERE s.slot_type OPERATOR(pg_catalog.=) 'logical' AND s.plugin OPERATOR(pg_catalog.<>) 'pgoutput'
  AND s.database OPERATOR(pg_catalog.=) pg_catalog.current_database() ORDER BY 1`;

const IDENTITY_SQL = `
WITH RECURSIVE ${TREE_SQL}
SELECT c.oid::pg_catalog.regclass::pg_catalog.text AS name
FROM tree JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) tree.oid
WHERE c.relkind OPERATOR(pg_catalog.=) 'r' AND c.relreplident OPERATOR(pg_catalog.<>) 'f' AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_index i WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid AND i.indisvalid AND CASE
    WHEN c.relreplident OPERATOR(pg_catalog.=) 'd' THEN i.indisprimary
    WHEN c.relreplident OPERATOR(pg_catalog.=) 'i' THEN i.indisreplident ELSE false END
) ORDER BY 1`;

/** Foreign tables among the table of this OID and its partitions. */
export async function findForeignLeaves(client: Client, oid: number): Promise<string[]> {
  return (await client.query<{ name: string }>(FOREIGN_SQL, [oid])).rows.map(({ name }) => name);
}

/** Throws FailureError when the table is not there, or the catalogue cannot be asked. */
export async function look(client: Client, table: string): Promise<PurgeFacts> {
  const { oid } = await describeRelation(client, table);
  const hazards = await readHazards(client, oid);
  const relation = await describeRelation(client, table);
  const of = async <Row extends object>(sql: string): Promise<Row[]> =>
    (await client.query<Row>(sql, [relation.oid])).rows;
  const names = async (sql: string): Promise<string[]> => (await of<{ name: string }>(sql)).map(({ name }) => name);
  const { rows: server } = await client.query<Omit<PurgeFacts['server'], 'isPooled'>>(SERVER_SQL);
  const [rights] = await of<PurgeFacts['rights']>(RIGHTS_SQL);
  if (server[0] === undefined || rights === undefined) throw new Error('the server gave no row');
  return {
    server: { ...server[0], isPooled: isPooled(client) },
    identity: await identifySource(client),
    relation,
    hazards,
    rights,
    keys: (await of<{ names: string[] }>(KEYS_SQL)).map((key) => key.names),
    foreignLeaves: await names(FOREIGN_SQL),
    references: await of<Reference>(REFERENCES_SQL),
    rules: await of<Named>(RULES_SQL),
    triggers: await of<PurgeFacts['triggers'][number]>(TRIGGERS_SQL),
    publications: await names(PUBLICATIONS_SQL),
    subscriptions: await names(SUBSCRIPTIONS_SQL),
    slots: (await client.query<{ name: string; plugin: string }>(SLOTS_SQL)).rows,
    withoutIdentity: await names(IDENTITY_SQL),
  };
}
