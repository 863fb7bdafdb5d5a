/** Makes the statements of a purge from the facts of its preflight. */
import type { ManifestHead } from '../ledger/manifest.ts';
import type { Client } from '../postgres/connect.ts';
import { describeKeyTypes } from '../postgres/key-types.ts';
import type { PurgeFacts } from './look.ts';
import { keyOf } from './preflight.ts';
import { buildStatements, type PurgeStatements, type PurgeTarget } from './statement.ts';

export interface PreparedPurge {
  statements: PurgeStatements;
  /** Names of the key's columns. */
  key: readonly string[];
  /** Parameters of the window; none without one. */
  bounds: readonly string[];
  oid: number;
  /** Those of the facts. */
  hazards: string;
}

const WINDOW_TYPES = { 1082: 'date', 1114: 'timestamp', 1184: 'timestamptz' } as const;

/** Only for facts against which nothing stands. */
export async function prepare(client: Client, facts: PurgeFacts, manifest: ManifestHead): Promise<PreparedPurge> {
  const { relation, references } = facts;
  const columns = keyOf(facts);
  if (columns === undefined) throw new Error('a table without a key is not purged');
  const types = await describeKeyTypes(
    client,
    columns.map(({ type }) => type),
  );
  const key = columns.map(({ name }) => name);
  const { window } = manifest;
  const statements = buildStatements({
    schema: relation.schema,
    table: relation.name,
    isPartitioned: relation.kind === 'partitioned',
    columns: relation.columns,
    archived: manifest.columns,
    key: types.map((type, at) => ({ ...type, name: key[at] ?? '' })),
    references,
    window: windowOf(facts, manifest),
  });
  const bounds = window === undefined ? [] : [window.from, window.to];
  return { statements, key, bounds, oid: relation.oid, hazards: facts.hazards };
}

function windowOf({ relation }: PurgeFacts, { window }: ManifestHead): PurgeTarget['window'] {
  if (window === undefined) return undefined;
  const oid = relation.columns.find(({ name }) => name === window.column)?.baseTypeOid;
  const type = Object.entries(WINDOW_TYPES).find(([known]) => Number(known) === oid)?.[1];
  // The columns are those of the manifest, so that this is a manifest which nobody of us wrote.
  if (type === undefined) throw new Error(`${window.column} is no column of a window`);
  return { column: window.column, type };
}
