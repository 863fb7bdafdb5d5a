/** Looks at the database that restores are rehearsed in, and says everything at once that stands against it. */
import { toFailure } from '../../base/errors.ts';
import { formatBytes } from '../../base/units.ts';
import { sourceNamed, sourceOf } from '../../config/resolve.ts';
import type { Config, RehearseAudit, SourceConfig } from '../../config/schema.ts';
import { allEntries } from '../../config/tables.ts';
import { withConnection, type Client } from '../../postgres/connect.ts';
import { quoteIdentifier } from '../../postgres/identifiers.ts';
import { identifySource, type SourceIdentity } from '../../postgres/snapshot.ts';
import { describeSurroundings, type Surroundings } from '../../restore/target.ts';

/** What there is to know of the target before anything is decided. */
export interface TargetFacts {
  identity: SourceIdentity;
  place: Surroundings;
  /** Whether the role may make the schema, where it is not there. */
  canMakeSchema: boolean;
  /** The databases that archives read; why one could not be asked. Empty where it does not matter. */
  sources: readonly { name: string; identity: SourceIdentity | string }[];
}

export async function lookAtTarget(
  client: Client,
  config: Config,
  { schema, allowSource }: Pick<RehearseAudit, 'schema' | 'allowSource'>,
  signal?: AbortSignal,
): Promise<TargetFacts> {
  const identity = await identifySource(client);
  const place = await describeSurroundings(client, schema);
  const { rows } = await client.query<{ may: boolean }>(
    "SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may",
  );
  const sources: TargetFacts['sources'][number][] = [];
  for (const source of allowSource ? [] : sourcesOf(config))
    sources.push({ name: source.name, identity: await identify(source, signal) });
  return { identity, place, canMakeSchema: rows[0]?.may === true, sources };
}

/** Those that archives read. */
export function sourcesOf(config: Config): Set<SourceConfig> {
  return new Set(allEntries(config).map((archive) => sourceOf(config, archive)));
}

async function identify({ url }: SourceConfig, signal?: AbortSignal): Promise<SourceIdentity | string> {
  try {
    return await withConnection({ url, applicationName: 'pgsluice rehearsal' }, identifySource, signal);
  } catch (error) {
    signal?.throwIfAborted();
    return toFailure(error, 'connect').message;
  }
}

/** One line for each reason; empty when nothing stands against it. Pure: no query. */
export function refuseTarget({ identity, place, canMakeSchema, sources }: TargetFacts, schema: string): string[] {
  const { role } = place;
  const name = quoteIdentifier(schema);
  return [
    ...sources.flatMap((source) => refuseSource(identity, source)),
    ...(place.isReadOnly
      ? ['the server takes no writes: it is a standby, or default_transaction_read_only is on']
      : refuseSchema(place, name, canMakeSchema)),
    ...(place.canMakeTemp
      ? []
      : [
          `role ${role} may not make temporary tables, which a row that is too long for COPY needs: GRANT TEMP ON DATABASE ${quoteIdentifier(identity.database)} TO ${quoteIdentifier(role)}`,
        ]),
  ];
}

function refuseSchema({ schemaExists, canUseSchema, canCreate, role }: Surroundings, name: string, may: boolean) {
  const quoted = quoteIdentifier(role);
  if (!schemaExists)
    return may
      ? []
      : [`there is no schema ${name}, and role ${role} may not make it: CREATE SCHEMA ${name} AUTHORIZATION ${quoted}`];
  if (canUseSchema && canCreate) return [];
  return [`role ${role} may not make tables in the schema ${name}: GRANT USAGE, CREATE ON SCHEMA ${name} TO ${quoted}`];
}

/** Where nobody can know whether it is the same one, it is taken for it. */
function refuseSource(here: SourceIdentity, { name, identity: there }: TargetFacts['sources'][number]): string[] {
  const remedy = 'name another database, or set audits.rehearse.allowSource';
  if (typeof there === 'string')
    return [`nobody can tell whether it is the database of source ${name}, which did not answer (${there}): ${remedy}`];
  if (here.systemIdentifier === null || there.systemIdentifier === null) {
    const whose = here.systemIdentifier === null ? 'its own' : `that of source ${name}`;
    return [
      `nobody can tell whether it is the database of source ${name}: ${whose} role may not ask pg_control_system(); GRANT EXECUTE ON FUNCTION pg_control_system() to it, ${remedy}`,
    ];
  }
  const isSame = here.systemIdentifier === there.systemIdentifier && here.database === there.database;
  return isSame ? [`it is the database ${here.database} of source ${name}, which archives read: ${remedy}`] : [];
}

/** What a server has that decides which values it can hold. */
export type ServerKind = Pick<Surroundings, 'version' | 'encoding'>;

/** Why values that an archive of this source rightly has may not be possible in the database; undefined where all are. Pure. */
export function describeLacking(here: ServerKind, name: string, there: ServerKind): string | undefined {
  if (here.encoding !== 'UTF8' && here.encoding !== there.encoding)
    return `its encoding is ${here.encoding}, and that of source ${name} is ${there.encoding}: a rehearsal fails of a run with a character that ${here.encoding} lacks; make it anew with ENCODING 'UTF8'`;
  if (here.version < there.version)
    return `it is Postgres ${here.version}, and source ${name} is Postgres ${there.version}: a rehearsal fails of a run with a value that only the newer one knows; take a server that is no older`;
  return undefined;
}

/** A row takes less than its line, and its index and free space take less than that again. */
const SPACE_OF_A_BYTE = 2;
const RESERVE_BYTES = 64 * 1024 ** 2;

/** Undefined where there is room, or nobody can know. */
export function refuseSpace(jsonBytes: number, freeBytes: number | undefined): string | undefined {
  const needed = SPACE_OF_A_BYTE * jsonBytes + RESERVE_BYTES;
  if (freeBytes === undefined || needed <= freeBytes) return undefined;
  return `its disk has ${formatBytes(freeBytes)} free, and ${formatBytes(jsonBytes)} of JSON Lines may take ${formatBytes(needed)}: free some, or set audits.rehearse.atMost lower`;
}

/** The source that the config names; loading has made sure that there is one. */
export function rehearsalSource(config: Config, { source }: Pick<RehearseAudit, 'source'>): SourceConfig {
  const found = sourceNamed(config, source);
  if (found === undefined) throw new Error(`audits.rehearse names no source of this config`);
  return found;
}
