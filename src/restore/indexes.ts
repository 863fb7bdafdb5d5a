/** The target's indexes, with all that decides whether rows can be told apart or counted by one. */
import type { Client } from '../postgres/connect.ts';

export interface TargetIndex {
  /** Its key columns in their order, without those that are only included; null for an expression. */
  columns: readonly (string | null)[];
  isUnique: boolean;
  /** False for a deferrable constraint, which is not checked row by row. */
  isImmediate: boolean;
  /** False while it is being built, and after that failed. */
  isValid: boolean;
  /** Whether it holds only the rows that meet a condition. */
  isPartial: boolean;
  isBtree: boolean;
  /** Whether values are equal in it exactly when they are equal: by the type's own operators, and no collation that ignores differences. */
  isExact: boolean;
  /** The operator of each column by which two values are equal, as SQL; null where the index has none. */
  equalities: readonly (string | null)[];
  /** Whether a NULL is equal to another one. */
  nullsAreEqual: boolean;
}

const INDEXES_SQL = `
SELECT k.columns, i.indisunique AS "isUnique", i.indimmediate AS "isImmediate", i.indisvalid AS "isValid",
  i.indpred IS NOT NULL AS "isPartial", m.amname OPERATOR(pg_catalog.=) 'btree' AS "isBtree", k.exact AS "isExact",
  k.equalities,
  COALESCE((pg_catalog.to_jsonb(i) OPERATOR(pg_catalog.->>) 'indnullsnotdistinct')::pg_catalog.bool, false) AS "nullsAreEqual"
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid OPERATOR(pg_catalog.=) c.relam
CROSS JOIN LATERAL (
  SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY u.at) AS columns,
    pg_catalog.bool_and(o.opcdefault AND COALESCE(l.collisdeterministic, true)) AS exact,
    pg_catalog.array_agg(
      CASE WHEN p.oid IS NOT NULL THEN pg_catalog.format('OPERATOR(%I.%s)', s.nspname, p.oprname) END ORDER BY u.at
    ) AS equalities
  FROM ROWS FROM (
    pg_catalog.unnest(i.indkey::pg_catalog.int2[]), pg_catalog.unnest(i.indclass::pg_catalog.oid[]),
    pg_catalog.unnest(i.indcollation::pg_catalog.oid[])
  ) WITH ORDINALITY AS u(attnum, opclass, coll, at)
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid
    AND a.attnum OPERATOR(pg_catalog.=) u.attnum AND u.attnum OPERATOR(pg_catalog.>) 0
  LEFT JOIN pg_catalog.pg_opclass o ON o.oid OPERATOR(pg_catalog.=) u.opclass
  LEFT JOIN pg_catalog.pg_collation l ON l.oid OPERATOR(pg_catalog.=) u.coll
  LEFT JOIN pg_catalog.pg_amop e ON e.amopfamily OPERATOR(pg_catalog.=) o.opcfamily
    AND e.amoplefttype OPERATOR(pg_catalog.=) o.opcintype AND e.amoprighttype OPERATOR(pg_catalog.=) o.opcintype
    AND e.amopstrategy OPERATOR(pg_catalog.=) 3 AND m.amname OPERATOR(pg_catalog.=) 'btree'
  LEFT JOIN pg_catalog.pg_operator p ON p.oid OPERATOR(pg_catalog.=) e.amopopr
  LEFT JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) p.oprnamespace
  WHERE u.at OPERATOR(pg_catalog.<=) i.indnkeyatts
) AS k
WHERE i.indrelid OPERATOR(pg_catalog.=) $1 ORDER BY i.indexrelid`;

export async function describeIndexes(client: Client, oid: number): Promise<TargetIndex[]> {
  const { rows } = await client.query<TargetIndex>(INDEXES_SQL, [oid]);
  return rows;
}

/** Whether rows of a range of the key are found by an index; without one, each range costs a scan of the whole table. */
export function hasIndexFor(indexes: readonly TargetIndex[], key: readonly string[]): boolean {
  return indexes.some(
    ({ columns, isBtree, isValid, isPartial }) =>
      isBtree && isValid && !isPartial && key.every((name, at) => columns[at] === name),
  );
}
