/** Asks the planner whether a statement may give other rows each time it is run: its text tells that by no means. */
import type { Client } from 'pg';
import { postgresFailure } from './errors.ts';
import { randomFunctionOf, rowChoiceOf, scannedRelations, type PlanNode, type UniqueKey } from './plan-tree.ts';
import { asOneStatement, buildSelect, type Selection } from './select.ts';
import { isNotNull } from './table-stats.ts';

/**
 * An order that an index, a merge or several processes give has no sort key in the plan, and min() and max() by an index
 * look like LIMIT 1. Without those, what is ordered is sorted, and a limit in the plan is one of the statement.
 */
const PLAIN_PLAN_SQL = `
SELECT pg_catalog.set_config('enable_indexscan', 'off', true), pg_catalog.set_config('enable_indexonlyscan', 'off', true),
  pg_catalog.set_config('enable_mergejoin', 'off', true), pg_catalog.set_config('enable_incremental_sort', 'off', true),
  pg_catalog.set_config('max_parallel_workers_per_gather', '0', true)`;

const UNIQUE_KEYS_SQL = `
SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS relation,
  pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY k.ordinal) AS columns
FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]))
  AS wanted(schema, relation)
JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) wanted.schema
JOIN pg_catalog.pg_class c
  ON c.relnamespace OPERATOR(pg_catalog.=) n.oid AND c.relname OPERATOR(pg_catalog.=) wanted.relation
JOIN pg_catalog.pg_index i ON i.indrelid OPERATOR(pg_catalog.=) c.oid
CROSS JOIN pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, ordinal)
JOIN pg_catalog.pg_attribute a
  ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.=) k.attnum
WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
  AND k.ordinal OPERATOR(pg_catalog.<=) i.indnkeyatts
GROUP BY i.indexrelid, n.nspname, c.relname HAVING pg_catalog.bool_and(${isNotNull('a')})`;

/**
 * By what `selection` picks rows that may be others the next time, such as LIMIT; undefined when by nothing. `key` are the
 * names of the columns that segments are cut by. Throws FailureError.
 */
export async function findRowChoice(
  client: Client,
  selection: Selection,
  key: readonly string[],
): Promise<string | undefined> {
  try {
    return await withPlainPlans(client, async () => {
      const root = await explain(client, selection);
      // A function in the filter of a table is asked once for each row, in that row's own segment.
      const random = selection.kind === 'query' ? randomFunctionOf(root) : undefined;
      const indexes = key.map((name) => selection.columns.findIndex((column) => column.name === name));
      return random ?? rowChoiceOf({ root, key: indexes, uniqueKeys: await findUniqueKeys(client, root) });
    });
  } catch (error) {
    throw postgresFailure(error, 'plan', 'explaining the statement');
  }
}

/** A query is explained as it is, so that the columns of the plan's root are its own. */
async function explain(client: Client, selection: Selection): Promise<PlanNode> {
  const { text, params } =
    selection.kind === 'query' ? { text: `(\n${selection.sql}\n)`, params: selection.params } : buildSelect(selection);
  const { rows } = await client.query<{ 'QUERY PLAN': { Plan: PlanNode }[] }>(
    asOneStatement(`EXPLAIN (VERBOSE, FORMAT JSON) ${text}`, params),
  );
  const root = rows[0]?.['QUERY PLAN'][0]?.Plan;
  if (root === undefined) throw new Error('EXPLAIN gave no plan');
  return root;
}

async function findUniqueKeys(client: Client, root: PlanNode): Promise<UniqueKey[]> {
  const relations = scannedRelations(root);
  const { rows } = await client.query<UniqueKey>(UNIQUE_KEYS_SQL, [
    relations.map(({ schema }) => schema),
    relations.map(({ relation }) => relation),
  ]);
  return rows;
}

/** The settings go with the transaction, or with the savepoint in the one that is open. */
async function withPlainPlans<T>(client: Client, work: () => Promise<T>): Promise<T> {
  const isOpen = client.getTransactionStatus() === 'T';
  await client.query(isOpen ? 'SAVEPOINT plain_plans' : 'BEGIN READ ONLY');
  try {
    await client.query(PLAIN_PLAN_SQL);
    return await work();
  } finally {
    await client.query(isOpen ? 'ROLLBACK TO SAVEPOINT plain_plans' : 'ROLLBACK');
    if (isOpen) await client.query('RELEASE SAVEPOINT plain_plans');
  }
}
