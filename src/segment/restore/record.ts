/** The record of a restore, in the target database: an object is noted in the very transaction that brings its rows. */
import type { Client } from '../../postgres/connect.ts';
import type { RestoredFacts, ObjectTask } from './task.ts';

type Counts = Pick<RestoredFacts, 'rows' | 'skipped'>;

const ENTRY = 'restore OPERATOR(pg_catalog.=) $1 AND object OPERATOR(pg_catalog.=) $2';

/**
 * Claims the object inside the open transaction. Resolves to its counts when it was restored before: by an earlier try, or by
 * this one whose commit was not confirmed. Another session that holds the claim is waited for.
 */
export async function beginObject(client: Client, { record, key, expected }: ObjectTask): Promise<Counts | undefined> {
  const { rowCount } = await client.query(
    `INSERT INTO ${record.table} (restore, object, sha256, rows, skipped) VALUES ($1, $2, $3, 0, 0) ON CONFLICT DO NOTHING`,
    [record.restore, key, expected.sha256],
  );
  if (rowCount === 1) return undefined;
  const { rows } = await client.query<{ rows: string; skipped: string }>(
    `SELECT rows, skipped FROM ${record.table} WHERE ${ENTRY}`,
    [record.restore, key],
  );
  return { rows: Number(rows[0]?.rows), skipped: Number(rows[0]?.skipped) };
}

/** Writes down what became of the object; it counts once the transaction commits. */
export async function noteObject(client: Client, { record, key }: ObjectTask, counts: Counts): Promise<void> {
  await client.query(
    `UPDATE ${record.table} SET rows = $3, skipped = $4, restored_at = pg_catalog.clock_timestamp() WHERE ${ENTRY}`,
    [record.restore, key, counts.rows, counts.skipped],
  );
}
