/** How much is free where the server keeps new tables: known only where it is on this very machine, and says where that is. */
import { readFile, statfs } from 'node:fs/promises';
import { backendPid, socketOf, type Client } from '../../postgres/connect.ts';

const PLACE_SQL = `
SELECT COALESCE(NULLIF(pg_catalog.pg_tablespace_location(t.oid), ''), (
    SELECT s.setting FROM pg_catalog.pg_settings s WHERE s.name OPERATOR(pg_catalog.=) 'data_directory'
  )) AS folder
FROM pg_catalog.pg_tablespace t
WHERE t.spcname::pg_catalog.text OPERATOR(pg_catalog.=) COALESCE(
  NULLIF(pg_catalog.current_setting('default_tablespace'), ''), (
    SELECT o.spcname::pg_catalog.text FROM pg_catalog.pg_database d
    JOIN pg_catalog.pg_tablespace o ON o.oid OPERATOR(pg_catalog.=) d.dattablespace
    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()))`;

/** In bytes; undefined where nobody can know from here. */
export async function findFreeBytes(client: Client): Promise<number | undefined> {
  if (!(await isOnThisMachine(client))) return undefined;
  const { rows } = await client.query<{ folder: string | null }>(PLACE_SQL);
  const folder = rows[0]?.folder ?? null;
  if (folder === null) return undefined;
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

/** The backend is a process of ours: a forwarded port, or a container, is not. */
async function isOnThisMachine(client: Client): Promise<boolean> {
  const { remoteAddress } = socketOf(client) ?? {};
  if (remoteAddress !== undefined && !/^(?:127\.|::1$|::ffff:127\.)/.test(remoteAddress)) return false;
  try {
    return (await readFile(`/proc/${backendPid(client)}/cmdline`, 'utf8')).startsWith('postgres');
  } catch {
    return false;
  }
}
