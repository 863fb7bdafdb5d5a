/** The columns of a key as statements compare them, by what the server says of their types. */
import type { Client } from '../postgres/connect.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { describeKeyTypes } from '../postgres/key-types.ts';
import type { Compared } from '../postgres/row-comparison.ts';
import type { KeyColumn } from './keys.ts';

export async function describeKey(client: Client, columns: readonly KeyColumn[]): Promise<Compared[]> {
  const types = await describeKeyTypes(
    client,
    columns.map(({ type }) => type),
  );
  return types.map((type, at) => ({ ...type, reference: quoteIdentifier(columns[at]?.name ?? '') }));
}
