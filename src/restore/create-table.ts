/** Makes the target from the columns and the key that the manifest names. */
import type { Client } from '../postgres/connect.ts';
import { quoteIdentifier, quoteTableName } from '../postgres/identifiers.ts';
import type { Manifest } from '../ledger/manifest.ts';

/** Types of the archive that the target does not know, each once. */
export async function findMissingTypes(client: Client, { columns }: Manifest): Promise<string[]> {
  const types = [...new Set(columns.map(({ type }) => type))];
  const { rows } = await client.query<{ type: string }>(
    'SELECT type FROM unnest($1::text[]) WITH ORDINALITY AS t(type, n) WHERE to_regtype(type) IS NULL ORDER BY n',
    [types],
  );
  return rows.map(({ type }) => type);
}

export async function createTable(
  client: Client,
  into: { schema: string; table: string },
  { columns, primaryKey }: Manifest,
): Promise<void> {
  const lines = columns.map(
    ({ name, type, nullable }) => `${quoteIdentifier(name)} ${type}${nullable ? '' : ' NOT NULL'}`,
  );
  const hasKey = primaryKey.length > 0 && primaryKey.every((name) => columns.some((column) => column.name === name));
  if (hasKey) lines.push(`PRIMARY KEY (${primaryKey.map(quoteIdentifier).join(', ')})`);
  await client.query(`CREATE TABLE ${quoteTableName(into)} (${lines.join(', ')})`);
}
