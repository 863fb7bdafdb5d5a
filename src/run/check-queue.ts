/** Looks at the queue of other hosts: whether it answers, may be set up, and is in none of the databases that are read. */
import { sourceOf } from '../config/resolve.ts';
import type { Config, HostsConfig } from '../config/schema.ts';
import type { Client } from '../postgres/connect.ts';
import { identifySource, type SourceIdentity } from '../postgres/snapshot.ts';
import type { OnlineFinding } from './online-finding.ts';

/** Connects to a URL for one look at it. Throws FailureError. */
type Look = <T>(url: string, look: (client: Client) => Promise<T>) => Promise<T>;

const subject = 'hosts';

/** Throws FailureError where the queue does not answer; a source that does not is told elsewhere. */
export async function checkQueue(config: Config, hosts: HostsConfig, look: Look): Promise<OnlineFinding[]> {
  const { identity, findings } = await look(hosts.url, async (client) => ({
    identity: await identifySource(client),
    findings: await checkSchema(client, hosts.schema),
  }));
  for (const source of new Set(Object.values(config.archives).map((archive) => sourceOf(config, archive)))) {
    const other = await look(source.url, identifySource).catch(() => undefined);
    if (other === undefined || !isSame(identity, other)) continue;
    const message = `the queue is in the database of source "${source.name}", under another name of its server`;
    findings.push({ level: 'error', subject, message, hint: OWN_DATABASE });
  }
  return findings;
}

const OWN_DATABASE =
  'Create a database of its own for it: the snapshot of a run keeps a queue in its database from being vacuumed.';

function isSame(one: SourceIdentity, other: SourceIdentity): boolean {
  return (
    one.systemIdentifier !== null && one.systemIdentifier === other.systemIdentifier && one.database === other.database
  );
}

async function checkSchema(client: Client, schema: string): Promise<OnlineFinding[]> {
  const { rows } = await client.query<{ there: boolean; may_create: boolean; may_use: boolean; database: string }>(
    `SELECT n.oid IS NOT NULL AS there, pg_catalog.current_database() AS database,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may_create,
       COALESCE(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false) AS may_use
     FROM (SELECT 1) AS one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) $1`,
    [schema],
  );
  const [found] = rows;
  const where = `schema ${schema} of database ${found?.database ?? ''}`;
  if (found?.there === true && found.may_use) return [{ level: 'ok', subject, message: `the queue is in ${where}` }];
  if (found?.there !== true && found?.may_create === true)
    return [{ level: 'ok', subject, message: `the queue will be made in ${where}` }];
  const message = found?.there === true ? `the role may not use ${where}` : `the role may not create ${where}`;
  const hint = `GRANT CREATE ON DATABASE to the role of hosts.url for the first start, or make it the owner of the schema.`;
  return [{ level: 'error', subject, message, hint }];
}
