/** Tells one server from another: an endpoint may spread its connections, and a snapshot is one server's. */
import type { Client } from 'pg';
import { fail, FailureError } from '../base/errors.ts';
import { postgresFailure } from './errors.ts';
import type { Statement } from './select.ts';
import { noteBackend } from './settings.ts';
import { importSnapshot, systemIdentifier } from './snapshot.ts';

/** What a server is known by, for as long as it runs. */
export interface ServerMark {
  /** Null where the role may not ask; primary and standbys have the same one. */
  systemIdentifier: string | null;
  /** When it was started, in seconds since 1970, to the microsecond. */
  startedAt: number;
  /** Where it was reached, `address:port` as it sees it itself; null by a socket of its machine. */
  address: string | null;
}

/** The mark of the server behind `client`, whose identifier may have been asked for already. */
export async function markServer(client: Client, known?: string | null): Promise<ServerMark> {
  const here = await askWhenAndWhere(client);
  return { ...here, systemIdentifier: known === undefined ? await systemIdentifier(client) : known };
}

/**
 * As {@link importSnapshot}, on the server that has exported it and on no other, where an id may happen to mean another
 * snapshot. Throws FailureError `several-servers` when the connection came to another one.
 */
export async function importSnapshotOf(
  client: Client,
  id: string,
  holder: ServerMark,
  own: Readonly<Record<string, string>> = {},
): Promise<void> {
  try {
    const [here] = await importSnapshot(client, id, own, [WHEN_AND_WHERE]);
    await requireSameServer(client, holder, () => readHere(client, here?.rows[0]));
  } catch (error) {
    if (!(error instanceof FailureError) || error.failure.code !== 'snapshot-lost') throw error;
    await client.query('ROLLBACK').catch(() => undefined);
    await requireSameServer(client, holder, () => askWhenAndWhere(client));
    throw error;
  }
}

async function requireSameServer(
  client: Client,
  holder: ServerMark,
  ask: () => Promise<WhenAndWhere> | WhenAndWhere,
): Promise<void> {
  try {
    const here = await ask();
    if (here.startedAt === holder.startedAt) return;
    throw (await isAnother(client, holder, here)) ? severalServers(holder, here) : restarted(here);
  } catch (error) {
    throw postgresFailure(error, 'snapshot', 'looking which server this is');
  }
}

function severalServers(holder: ServerMark, here: WhenAndWhere): FailureError {
  const message = `this url leads to several servers: the snapshot of the run is of ${describe(holder)}, and another connection came to ${describe(here)}`;
  return fail('several-servers', { stage: 'snapshot', message });
}

function restarted(here: WhenAndWhere): FailureError {
  const message = `the server was restarted, and has no snapshot from before: ${describe(here)}`;
  return fail('snapshot-lost', { stage: 'snapshot', message });
}

/** The same one after a restart has a later start, in the same place. */
async function isAnother(client: Client, holder: ServerMark, here: WhenAndWhere): Promise<boolean> {
  if (here.startedAt < holder.startedAt || here.address !== holder.address) return true;
  const identifier = await systemIdentifier(client);
  return identifier !== null && holder.systemIdentifier !== null && identifier !== holder.systemIdentifier;
}

type WhenAndWhere = Pick<ServerMark, 'startedAt' | 'address'>;

/** By text, as it is sent with other statements; whoever reads it has the settings of this project. */
const WHEN_AND_WHERE: Statement = {
  text: `SELECT pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()),
    pg_catalog.host(pg_catalog.inet_server_addr()), pg_catalog.inet_server_port(), pg_catalog.pg_backend_pid()`,
  params: [],
};

async function askWhenAndWhere(client: Client): Promise<WhenAndWhere> {
  // An ordinary query: the driver sends it together with others.
  const { rows } = await client.query<(string | number | null)[]>({ text: WHEN_AND_WHERE.text, rowMode: 'array' });
  return readHere(client, rows[0]);
}

/** Of values as the server prints them, or as the driver reads them. */
function readHere(client: Client, row: readonly (string | number | null)[] = []): WhenAndWhere {
  const [started, address = null, port, pid] = row;
  noteBackend(client, Number(pid));
  return { startedAt: Number(started), address: address === null ? null : `${address}:${port ?? ''}` };
}

function describe({ address, startedAt }: WhenAndWhere): string {
  return `${address ?? 'a socket'} (started ${new Date(startedAt * 1000).toISOString()})`;
}
