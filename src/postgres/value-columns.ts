/** Whether equal values of a column are printed alike, so that a folder may be named by what is printed; and the indexes they have. */
import type { Client } from 'pg';
import type { Column } from './columns.ts';
import type { ValueColumn } from './distinct-values.ts';
import { postgresFailure } from './errors.ts';
import { asOneStatement, columnReference, fromSelection, type Selection } from './select.ts';

/** By the OID of the type below all domains. */
const TYPES: Readonly<Record<number, string>> = {
  16: 'pg_catalog.bool',
  20: 'pg_catalog.int8',
  21: 'pg_catalog.int2',
  23: 'pg_catalog.int4',
  25: 'pg_catalog.text',
  1043: 'pg_catalog.text',
  1082: 'pg_catalog.date',
  2950: 'pg_catalog.uuid',
};
const TEXT = 'pg_catalog.text';

/** The columns at these places of the selection; or, for the first of them that does not do, why. Throws FailureError. */
export async function describeValueColumns(
  client: Client,
  selection: Selection,
  indexes: readonly number[],
): Promise<ValueColumn[] | { column: Column; why: string }> {
  const described: ValueColumn[] = [];
  for (const index of indexes) {
    const column = selection.columns[index];
    if (column === undefined) throw new Error(`there is no column ${index}`);
    const type = column.isEnum ? await nameType(client, column.baseTypeOid) : TYPES[column.baseTypeOid];
    if (type === undefined) return { column, why: `it is of type ${column.type}` };
    const plain = columnReference(selection, index);
    if (type === TEXT && !(await isDeterministic(client, selection, plain)))
      return { column, why: 'its collation takes different texts for equal, or is not known' };
    // What is below a domain is compared by operators of its own.
    const reference = column.typeOid === column.baseTypeOid ? plain : `(${plain})::${type}`;
    described.push({ name: column.name, reference, type, isText: type === TEXT });
  }
  return described;
}

async function nameType(client: Client, oid: number): Promise<string> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT pg_catalog.format('%I.%I', n.nspname, t.typname) AS name
     FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
     WHERE t.oid OPERATOR(pg_catalog.=) $1::pg_catalog.oid`,
    [oid],
  );
  if (rows[0] === undefined) throw new Error(`the type ${oid} is gone`);
  return rows[0].name;
}

/** Asked of the statement itself, as a query's columns are in no catalogue. No row is read. */
async function isDeterministic(client: Client, selection: Selection, reference: string): Promise<boolean> {
  const params = selection.kind === 'query' ? selection.params : [];
  const text = `
SELECT c.collisdeterministic AS deterministic
FROM (SELECT 1) AS one LEFT JOIN (SELECT ${reference} AS v FROM ${fromSelection(selection)} LIMIT 0) AS none ON true
JOIN pg_catalog.pg_collation c
  ON c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regcollation(pg_catalog.pg_collation_for(none.v))::pg_catalog.oid`;
  try {
    const { rows } = await client.query<{ deterministic: boolean }>(asOneStatement(text, params));
    return rows[0]?.deterministic === true;
  } catch (error) {
    throw postgresFailure(error, 'plan', 'looking at the collation of a column');
  }
}

/** A column that an index leads with. */
export interface LeadingColumn {
  name: string;
  /** Whether the index has the values in the column's own order. */
  isOrdered: boolean;
}

/** The columns that valid indexes over all rows of a table lead with. */
export async function findLeadingColumns(client: Client, oid: number): Promise<LeadingColumn[]> {
  const { rows } = await client.query<LeadingColumn>(
    `SELECT a.attname AS name, m.amname OPERATOR(pg_catalog.=) 'btree' AND o.opcdefault
       AND i.indcollation[0] OPERATOR(pg_catalog.=) a.attcollation AS "isOrdered"
     FROM pg_catalog.pg_index i
     JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid
       AND a.attnum OPERATOR(pg_catalog.=) i.indkey[0]
     JOIN pg_catalog.pg_class x ON x.oid OPERATOR(pg_catalog.=) i.indexrelid
     JOIN pg_catalog.pg_am m ON m.oid OPERATOR(pg_catalog.=) x.relam
     JOIN pg_catalog.pg_opclass o ON o.oid OPERATOR(pg_catalog.=) i.indclass[0]
     WHERE i.indrelid OPERATOR(pg_catalog.=) $1::pg_catalog.oid AND i.indisvalid AND i.indpred IS NULL`,
    [oid],
  );
  return rows;
}
