/** How a statement names the types of a key and the operators of their order, so that no search path has a say in it. */
import type { Client } from 'pg';

export interface KeyType {
  /** With its schema, quoted, without a modifier. */
  type: string;
  /** The schema of the operators that an order by this type goes by, quoted. */
  operators: string;
}

/** Types of Postgres's own, enums, arrays, composites and ranges go by operators of its own; an extension brings others along. */
const KEY_TYPES_SQL = `
WITH RECURSIVE wanted AS (
  SELECT k.n, pg_catalog.to_regtype(k.name)::pg_catalog.oid AS oid
  FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS k(name, n)
), below AS (
  SELECT wanted.n, wanted.oid FROM wanted
  UNION ALL
  SELECT below.n, t.typbasetype
  FROM below JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) below.oid
  WHERE t.typtype OPERATOR(pg_catalog.=) 'd'
)
SELECT pg_catalog.format('%I.%I', s.nspname, t.typname) AS type,
  pg_catalog.quote_ident(COALESCE((
    SELECT os.nspname
    FROM pg_catalog.pg_opclass c JOIN pg_catalog.pg_am m ON m.oid OPERATOR(pg_catalog.=) c.opcmethod
    JOIN pg_catalog.pg_amop p ON p.amopfamily OPERATOR(pg_catalog.=) c.opcfamily
      AND p.amoplefttype OPERATOR(pg_catalog.=) c.opcintype AND p.amoprighttype OPERATOR(pg_catalog.=) c.opcintype
    JOIN pg_catalog.pg_operator o ON o.oid OPERATOR(pg_catalog.=) p.amopopr
    JOIN pg_catalog.pg_namespace os ON os.oid OPERATOR(pg_catalog.=) o.oprnamespace
    WHERE m.amname OPERATOR(pg_catalog.=) 'btree' AND c.opcdefault AND c.opcintype OPERATOR(pg_catalog.=) base.oid
      AND o.oprname OPERATOR(pg_catalog.=) '<'
  ), 'pg_catalog')) AS operators
FROM wanted JOIN below ON below.n OPERATOR(pg_catalog.=) wanted.n
JOIN pg_catalog.pg_type base ON base.oid OPERATOR(pg_catalog.=) below.oid AND base.typtype OPERATOR(pg_catalog.<>) 'd'
JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) wanted.oid
JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) t.typnamespace
ORDER BY wanted.n`;

/** Describes the types of these names, as `format_type` printed them on this connection, in the same order. */
export async function describeKeyTypes(client: Client, names: readonly string[]): Promise<KeyType[]> {
  if (names.length === 0) return [];
  const { rows } = await client.query<KeyType>(KEY_TYPES_SQL, [names]);
  if (rows.length !== names.length) throw new Error(`a type of the key (${names.join(', ')}) is gone`);
  return rows;
}
