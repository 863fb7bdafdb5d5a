/** Makes the target from the columns and the key that the manifest names. */
import type { Client } from '../postgres/connect.ts';
import { quoteIdentifier, quoteLiteral, quoteTableName } from '../postgres/identifiers.ts';
import type { ManifestHead } from '../ledger/manifest.ts';

/** `types` has the server's name of each type: the manifest's own words are in the statement as quoted names only. */
export async function createTable(
  client: Client,
  into: { schema: string; table: string },
  manifest: Pick<ManifestHead, 'columns' | 'primaryKey'>,
  types: ReadonlyMap<string, string>,
): Promise<void> {
  await client.query(creating(into, manifest, types));
}

/** The same for a rehearsal. Nobody's write-ahead log and no subscriber has a use for its rows. */
export async function createScratchTable(
  client: Client,
  into: { schema: string; table: string },
  manifest: Pick<ManifestHead, 'columns' | 'primaryKey'>,
  types: ReadonlyMap<string, string>,
  comment: string,
): Promise<void> {
  await client.query(creating(into, manifest, types, 'UNLOGGED TABLE'));
  await client.query(`COMMENT ON TABLE ${quoteTableName(into)} IS ${quoteLiteral(comment)}`);
}

export function creating(
  into: { schema: string; table: string },
  manifest: Pick<ManifestHead, 'columns' | 'primaryKey'>,
  types: ReadonlyMap<string, string>,
  what: 'TABLE' | 'UNLOGGED TABLE' = 'TABLE',
): string {
  return `CREATE ${what} ${quoteTableName(into)} (${describeColumns(manifest, types).join(', ')})`;
}

/** The columns and the key as CREATE TABLE takes them. */
export function describeColumns(
  { columns, primaryKey }: Pick<ManifestHead, 'columns' | 'primaryKey'>,
  types: ReadonlyMap<string, string>,
): string[] {
  const lines = columns.map(({ name, type, nullable }) => {
    const known = types.get(type);
    if (known === undefined) throw new Error(`the type of column ${name} was not looked up`);
    return `${quoteIdentifier(name)} ${known}${nullable ? '' : ' NOT NULL'}`;
  });
  const hasKey = primaryKey.length > 0 && primaryKey.every((name) => columns.some((column) => column.name === name));
  return hasKey ? [...lines, `PRIMARY KEY (${primaryKey.map(quoteIdentifier).join(', ')})`] : lines;
}
