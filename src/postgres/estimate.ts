/** The planner's estimate of a statement: it costs nothing and knows the statistics, filters, views and partitions. */
import type { Client } from 'pg';
import { postgresFailure } from './errors.ts';
import { remoteReadsOf, type PlanNode } from './plan-tree.ts';
import { asOneStatement, type Statement } from './select.ts';

export interface Estimate {
  rows: number;
  /** Bytes of the rows as the planner thinks of them: rows x average width. */
  bytes: number;
}

/** What the planner says of a statement. */
export interface Outlook {
  estimate: Estimate;
  /** What the statement reads of other servers, as a person knows it; empty when all is here. */
  remoteReads: readonly string[];
}

/** Asks the planner what `statement` will do. Throws FailureError when Postgres refuses it, so this also checks the SQL. */
export async function explainStatement(client: Client, statement: Statement): Promise<Outlook> {
  try {
    // The extended protocol takes one statement only, whatever stands in a filter.
    const { rows } = await client.query<{ 'QUERY PLAN': { Plan: PlanNode }[] }>(
      asOneStatement(`EXPLAIN (FORMAT JSON) ${statement.text}`, statement.params),
    );
    const plan = rows[0]?.['QUERY PLAN'][0]?.Plan;
    if (plan === undefined) throw new Error('EXPLAIN gave no plan');
    const count = Number(plan['Plan Rows']);
    return { estimate: { rows: count, bytes: count * Number(plan['Plan Width']) }, remoteReads: remoteReadsOf(plan) };
  } catch (error) {
    throw postgresFailure(error, 'plan', 'explaining the statement');
  }
}
