/** The table of a rehearsal: made for it alone, compared with the lines that it was filled from, and dropped. */
import type { ManifestColumn, ManifestHead } from '../ledger/manifest.ts';
import type { StoredManifest } from '../ledger/stored-manifest.ts';
import type { Client } from '../postgres/connect.ts';
import { defineTypes } from '../postgres/type-definitions.ts';
import type { RowDigest } from '../postgres/row-digest.ts';
import { attributesToCome, definitionsOf, fits } from './compare-types.ts';
import { resolveTypes } from './types.ts';

/** What a restore into such a table is asked besides. */
export interface ScratchRequest {
  /** Of the table, in the transaction that makes it: by this, and nothing else, it is known as ours. */
  comment: string;
  /** Whether the object at this place of the manifest is left out. */
  isOutside: (index: number) => boolean;
  /** Before the table is made: its columns as it gets them. */
  onColumns: (columns: ScratchColumns) => void;
  /** Once the table is there. */
  onMade: () => Promise<void> | void;
  /** Of the lines of the objects of a task that is done. */
  onLines: (lines: RowDigest) => Promise<void> | void;
}

export interface ScratchColumns {
  columns: readonly ManifestColumn[];
  substitutes: readonly Substitute[];
}

/** A column that gets another type, as the database lacks its own. */
export interface Substitute {
  column: string;
  type: string;
  as: 'text' | 'json';
}

const SUBSTITUTE_OIDS = { text: 25, json: 114 } as const;

/** What is printed in quotes is a text; all else keeps its form as JSON. */
const IN_QUOTES: ReadonlySet<ManifestColumn['encoding']> = new Set([
  'string',
  'date',
  'timestamp',
  'timestamptz',
  'text',
]);

/** Their values name what is in a database, or are printed as its locale has it: in another one they fail, or are others. */
const OF_A_DATABASE =
  /^(?:pg_catalog\.)?(?:money|aclitem|reg(?:class|collation|config|dictionary|namespace|oper|operator|proc|procedure|role|type))(?:\[\])?$/;

/** The manifest as if its columns had types that this database has. */
export async function substituteTypes(
  client: Client,
  manifest: StoredManifest,
): Promise<{ manifest: StoredManifest; substitutes: Substitute[] }> {
  const lacking = await findLacking(client, manifest);
  const substitutes = manifest.columns
    .filter(({ type }) => lacking.has(type))
    .map(({ name, type, encoding }): Substitute => ({
      column: name,
      type,
      as: IN_QUOTES.has(encoding) ? 'text' : 'json',
    }));
  // In tables that inherit, a key may be there again.
  const archived = manifest.inherited === true ? { ...manifest, primaryKey: [] } : manifest;
  if (substitutes.length === 0) return { manifest: archived, substitutes };
  const byColumn = new Map(substitutes.map((substitute) => [substitute.column, substitute]));
  const columns = manifest.columns.map((column) => {
    const as = byColumn.get(column.name)?.as;
    return as === undefined ? column : { ...column, type: as, typeOid: SUBSTITUTE_OIDS[as] };
  });
  // Values of json are in no order.
  const hasKey = archived.primaryKey.every((name) => byColumn.get(name)?.as !== 'json');
  return { manifest: { ...archived, columns, primaryKey: hasKey ? archived.primaryKey : [] }, substitutes };
}

/** Types of the archive that are not there, or that are something else there, by whatever would print other lines. */
async function findLacking(client: Client, { columns, types }: ManifestHead): Promise<Set<string>> {
  const found = await resolveTypes(client, columns);
  const { rows } = await client.query<{ oid: number }>(
    `SELECT t.oid::pg_catalog.int8::pg_catalog.float8 AS oid
     FROM (SELECT pg_catalog.to_regtype(name)::pg_catalog.oid AS oid FROM pg_catalog.unnest($1::pg_catalog.text[]) AS name) AS t
     WHERE t.oid IS NOT NULL`,
    [[...found.values()]],
  );
  const here = definitionsOf(
    await defineTypes(
      client,
      rows.map(({ oid }) => oid),
    ),
  );
  const known = definitionsOf(types);
  const isThere = (type: string): boolean => {
    const name = found.get(type);
    if (name === undefined || !fits(type, name, known, here)) return false;
    return attributesToCome(type, name, known, here).length === 0;
  };
  return new Set(columns.map(({ type }) => type).filter((type) => OF_A_DATABASE.test(type) || !isThere(type)));
}
