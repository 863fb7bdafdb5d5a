/** The planner's estimate of a statement: it costs nothing and knows the statistics, filters, views and partitions. */
import type { Client } from 'pg';
import { postgresFailure } from './errors.ts';
import { asOneStatement, type Statement } from './select.ts';

export interface Estimate {
  rows: number;
  /** Bytes of the rows as the planner thinks of them: rows x average width. */
  bytes: number;
}

interface ExplainedPlan {
  'Plan Rows': number;
  'Plan Width': number;
}

/** Estimates what `statement` will give. Throws FailureError when Postgres refuses it, so this also checks the SQL. */
export async function estimateRows(client: Client, statement: Statement): Promise<Estimate> {
  try {
    // The extended protocol takes one statement only, whatever stands in a filter.
    const { rows } = await client.query<{ 'QUERY PLAN': { Plan: ExplainedPlan }[] }>(
      asOneStatement(`EXPLAIN (FORMAT JSON) ${statement.text}`, statement.params),
    );
    const plan = rows[0]?.['QUERY PLAN'][0]?.Plan;
    const count = plan?.['Plan Rows'] ?? 0;
    return { rows: count, bytes: count * (plan?.['Plan Width'] ?? 0) };
  } catch (error) {
    throw postgresFailure(error, 'plan', 'explaining the statement');
  }
}
