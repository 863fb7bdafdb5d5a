/** Before the first row comes back into the table that it is of: the run is marked, so that no purge takes it away again. */
import { randomUUID } from 'node:crypto';
import os from 'node:os';
import { toFailure } from '../base/errors.ts';
import { TOOL } from '../base/tool.ts';
import type { ManifestHead } from '../ledger/manifest.ts';
import { RESTORED_FORMAT } from '../ledger/restored.ts';
import type { RunFolder } from '../ledger/run-folder.ts';
import { formatRunId, parseRunId } from '../ledger/run-id.ts';
import type { Client } from '../postgres/connect.ts';
import { quoteTableName } from '../postgres/identifiers.ts';
import { identifySource } from '../postgres/snapshot.ts';
import { Refusal } from './refusal.ts';
import type { RestoreRequest } from './request.ts';

/** Whether one of the two is the other, or a partition of it at whatever depth. */
const RELATED_SQL = `
WITH RECURSIVE line AS (
  SELECT o.oid, o.at FROM (VALUES (pg_catalog.to_regclass($1)::pg_catalog.oid, 1), (pg_catalog.to_regclass($2)::pg_catalog.oid, 2)) AS o(oid, at)
  WHERE o.oid IS NOT NULL
  UNION
  SELECT i.inhparent, line.at FROM line JOIN pg_catalog.pg_inherits i ON i.inhrelid OPERATOR(pg_catalog.=) line.oid
)
SELECT EXISTS (SELECT FROM line AS a JOIN line AS b ON a.oid OPERATOR(pg_catalog.=) b.oid
  WHERE a.at OPERATOR(pg_catalog.=) 1 AND b.at OPERATOR(pg_catalog.=) 2) AS related`;

/** Of any run of the window. A purge sees the mark, or is seen here: it connects before it looks for one. */
const PURGES_SQL = `
SELECT a.pid FROM pg_catalog.pg_stat_activity a
WHERE a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
  AND pg_catalog.starts_with(a.application_name, $1::pg_catalog.text) ORDER BY a.pid LIMIT 1`;

/** As the server keeps names of sessions. */
const MOST_NAME_CHARS = 63;

/**
 * Nothing where the rows go elsewhere. Throws Refusal when the run cannot be marked, or is being purged.
 */
export async function markOwnTable(
  client: Client,
  folder: RunFolder,
  { into }: RestoreRequest,
  manifest: ManifestHead,
): Promise<void> {
  if (!(await isOwnTable(client, into, manifest))) return;
  const name = quoteTableName(into);
  try {
    const { database } = await identifySource(client);
    await folder.markRestored({
      ...{ format: RESTORED_FORMAT, archive: folder.archive, run: folder.run, id: randomUUID() },
      ...{
        at: new Date().toISOString(),
        into: `${into.schema}.${into.table}`,
        database,
        host: os.hostname(),
        tool: TOOL,
      },
    });
  } catch (error) {
    const { code, message } = toFailure(error, 'restore');
    throw new Refusal([
      `${name} is the table of the archive, and _restored.json, by which a purge leaves what comes back, could not be written into the folder of the run: ${message} (${code}). Allow the restore to write that object (docs/s3.md), or restore --into another table`,
    ]);
  }
  const start = formatRunId(parseRunId(folder.run));
  const session = `pgsluice purge ${folder.archive}/${start}`.slice(0, MOST_NAME_CHARS);
  const { rows } = await client.query<{ pid: number }>(PURGES_SQL, [session]);
  if (rows[0] === undefined) return;
  throw new Refusal([
    `a purge of ${folder.archive} ${folder.run} is in progress (pid ${rows[0].pid}): wait for its end, or stop it, and restore then`,
  ]);
}

/** Where nobody can know whether the database is that of the run, it is taken for it. */
async function isOwnTable(
  client: Client,
  into: RestoreRequest['into'],
  { table, source }: ManifestHead,
): Promise<boolean> {
  if (table === undefined) return false;
  const here = await identifySource(client);
  const isSameSystem =
    here.systemIdentifier === null ||
    source.systemIdentifier === null ||
    here.systemIdentifier === source.systemIdentifier;
  if (!isSameSystem || here.database !== source.database) return false;
  if (table === `${into.schema}.${into.table}`) return true;
  const own = ownName(table);
  if (own === undefined) return false;
  const { rows } = await client.query<{ related: boolean }>(RELATED_SQL, [own, quoteTableName(into)]);
  return rows[0]?.related === true;
}

/** A manifest has `schema.name`, unquoted. */
function ownName(table: string): string | undefined {
  const at = table.indexOf('.');
  return at < 0 ? undefined : quoteTableName({ schema: table.slice(0, at), table: table.slice(at + 1) });
}
