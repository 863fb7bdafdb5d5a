/** Whether rows of a key ascend. Only the server knows: the order of a text depends on its collation, that of an enum on its definition. */
import type { Client } from 'pg';
import { postgresFailure } from './errors.ts';
import { compareRow, type Compared } from './row-comparison.ts';
import { asOneStatement, fromSelection, type Selection } from './select.ts';

/** The place of the first row that is greater than the one after it; undefined when there is none. Throws FailureError. */
export async function findDescent(
  client: Client,
  selection: Selection,
  key: readonly Compared[],
  rows: readonly (readonly string[])[],
): Promise<number | undefined> {
  if (rows.length < 2) return undefined;
  const params = selection.kind === 'query' ? selection.params : [];
  const texts = key.map((_, at) => `pg_catalog.unnest($${params.length + at + 1}::pg_catalog.text[])`).join(', ');
  const names = key.map((_, at) => `k${at + 1}`);
  const next = names.map((name) => `pg_catalog.lead(${name}) OVER (ORDER BY n) AS next_${name}`).join(', ');
  const columns = key.map(({ reference }, at) => `${reference} AS c${at + 1}`).join(', ');
  // No row of the source is read; its columns stand there for their collations, which the texts then take on.
  const compared = key.map(({ type, operators }, at) => ({
    ...{ type, operators },
    reference: `COALESCE(c${at + 1}, k${at + 1}::${type})`,
  }));
  const isGreater = compareRow(
    compared,
    '>',
    names.map((name) => `next_${name}`),
  );
  const text = `
SELECT pg_catalog.min(n)::pg_catalog.int4 AS n
FROM (
  SELECT n, ${names.join(', ')}, ${next} FROM ROWS FROM (${texts}) WITH ORDINALITY AS u(${names.join(', ')}, n)
) AS bounds
LEFT JOIN (SELECT ${columns} FROM ${fromSelection(selection)} LIMIT 0) AS none ON true
WHERE ${isGreater}`;
  const values = key.map((_, at) => rows.map((row) => row[at] ?? null));
  try {
    const { rows: found } = await client.query<{ n: number | null }>(asOneStatement(text, [...params, ...values]));
    const n = found[0]?.n ?? null;
    return n === null ? undefined : n - 1;
  } catch (error) {
    throw postgresFailure(error, 'plan', 'comparing the bounds of the segments');
  }
}
