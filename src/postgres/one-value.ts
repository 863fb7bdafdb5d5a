/** Asks a query of the config for its one value, in a transaction that writes nothing and takes no long. */
import type { Client, QueryArrayResult } from 'pg';
import { trimStatement } from './sql-text.ts';
import { whileReading } from './snapshot.ts';

const LIMIT = '1s';

/** A query that does not give what it is asked for. */
export class NoAnswer extends Error {}

/** Throws when it cannot be asked, or does not give one row of one column. */
export async function askOneValue(client: Client, query: string): Promise<unknown> {
  // No more than two rows, whatever it gives.
  const text = `SELECT * FROM (${trimStatement(query)}\n) AS asked LIMIT 2`;
  const ask = (): Promise<QueryArrayResult> => client.query({ text, rowMode: 'array' });
  const { rows, fields } = await whileReading(client, ask, { statement_timeout: LIMIT, lock_timeout: LIMIT });
  if (rows.length !== 1 || fields.length !== 1)
    throw new NoAnswer(
      `it gives ${rows.length === 2 ? 'several' : rows.length} rows of ${fields.length} columns, not one value`,
    );
  return rows[0]?.[0];
}

/** Whether it is true, or above 0; NULL is neither. Throws for what is no number and no truth value. */
export function meansWait(value: unknown): boolean {
  if (value === null || value === undefined) return false;
  if (typeof value === 'boolean') return value;
  const number = typeof value === 'number' || typeof value === 'string' ? Number(value) : Number.NaN;
  if (Number.isNaN(number) || value === '') throw new NoAnswer('its value is neither true or false nor a number');
  return number > 0;
}
