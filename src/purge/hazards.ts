/** What a DELETE sets off besides, and what its statement was made for, as one text: whether it changed can be asked in each batch. */
import type { Client } from '../postgres/connect.ts';
import { TREE_SQL } from '../postgres/table-stats.ts';

/** 8 is the bit of DELETE in `tgtype`, '4' is DELETE in `ev_type`. New partitions alone change nothing. */
const HAZARDS_SQL = `
WITH RECURSIVE ${TREE_SQL}
SELECT pg_catalog.jsonb_build_object(
  'schema', n.nspname, 'table', c.relname,
  'columns', (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(a.attname, a.atttypid, a.atttypmod) ORDER BY a.attnum)
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped),
  'cascades', EXISTS (SELECT FROM tree JOIN pg_catalog.pg_constraint r ON r.confrelid OPERATOR(pg_catalog.=) tree.oid
    WHERE r.contype OPERATOR(pg_catalog.=) 'f' AND r.confdeltype OPERATOR(pg_catalog.=) ANY ('{c,n,d}')),
  'rules', EXISTS (SELECT FROM tree JOIN pg_catalog.pg_rewrite w ON w.ev_class OPERATOR(pg_catalog.=) tree.oid
    WHERE w.ev_type OPERATOR(pg_catalog.=) '4' AND w.ev_enabled OPERATOR(pg_catalog.=) ANY ('{O,A}')),
  'triggers', (SELECT pg_catalog.jsonb_agg(DISTINCT pg_catalog.jsonb_build_array(t.tgfoid, t.tgtype))
    FROM tree JOIN pg_catalog.pg_trigger t ON t.tgrelid OPERATOR(pg_catalog.=) tree.oid
    WHERE NOT t.tgisinternal AND t.tgenabled OPERATOR(pg_catalog.=) ANY ('{O,A}')
      AND (t.tgtype OPERATOR(pg_catalog.&) 8::pg_catalog.int2) OPERATOR(pg_catalog.<>) 0::pg_catalog.int2)
)::pg_catalog.text AS hazards
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.oid OPERATOR(pg_catalog.=) $1`;

/** Empty when there is no such table. */
export async function readHazards(client: Client, oid: number): Promise<string> {
  return (await client.query<{ hazards: string }>(HAZARDS_SQL, [oid])).rows[0]?.hazards ?? '';
}

/** The bits of ROW and BEFORE in `tgtype`. */
const BEFORE_ROW = 3;

/** Whether a trigger fires before each row, and may keep it. */
export function mayKeep(hazards: string): boolean {
  const { triggers } = JSON.parse(hazards) as { triggers: [functionOid: unknown, type: number][] | null };
  return (triggers ?? []).some(([, type]) => (type & BEFORE_ROW) === BEFORE_ROW);
}
