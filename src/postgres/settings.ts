/** The settings that the line format and long reads depend on, and where they are set: never where they would stay with others. */
import type { Client } from 'pg';
import { quoteLiteral } from './identifiers.ts';
import { together } from './together.ts';

/** What the line format depends on, and the limits that would cut a long read short. */
const SETTINGS: Readonly<Record<string, string>> = {
  TimeZone: 'UTC',
  DateStyle: 'ISO',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  client_encoding: 'UTF8',
  xmloption: 'content',
  array_nulls: 'on',
  quote_all_identifiers: 'off',
  // Literals of our statements hold backslashes that are meant.
  standard_conforming_strings: 'on',
  statement_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  lock_timeout: '60s',
  // With row security on, rows that a policy hides would be missing in silence. Off, the server refuses the query.
  row_security: 'off',
  // A scan that starts in the middle of a table would give a query with LIMIT other rows each time.
  synchronize_seqscans: 'off',
};

/** Settings that only newer servers know: the version that brought them, and the value. */
const NEWER_SETTINGS: readonly (readonly [version: number, name: string, value: string])[] = [
  [140000, 'idle_session_timeout', '0'],
  [170000, 'transaction_timeout', '0'],
];

/** Settings of a session, not of a transaction, that servers on some systems refuse. They only tell of a dead peer sooner. */
const LIVELINESS: readonly (readonly [version: number, name: string, value: string])[] = [
  [0, 'tcp_keepalives_idle', '15'],
  [0, 'tcp_keepalives_interval', '5'],
  [0, 'tcp_keepalives_count', '3'],
  // So that a long query ends with the process that asked for it.
  [140000, 'client_connection_check_interval', '10s'],
];

interface Connection {
  /** The id of the backend that answered last. */
  pid: number;
  /** Such as 180004. */
  version: number;
  pooled: boolean;
}

const CONNECTIONS = new WeakMap<Client, Connection>();

/**
 * Finds out whether a pooler is between, and sets nothing where one is: behind it, the session belongs to others in a moment, and
 * nothing may stay on it. A session that is ours alone is set up once. All of it is one round trip, so the server decides.
 */
export async function prepareConnection(client: Client): Promise<void> {
  const pid = announcedPid(client);
  const [connection, isLively] = await together(client, () => [
    askConnection(
      client,
      setWhereOurs(
        [...Object.entries(SETTINGS).map(([name, value]) => [0, name, value] as const), ...NEWER_SETTINGS],
        pid,
      ),
    ),
    client.query(`SELECT ${setWhereOurs(LIVELINESS, pid)}`).then(
      () => true,
      () => false,
    ),
  ]);
  CONNECTIONS.set(client, connection);
  // A system may have one and not another: the rest holds all the same.
  if (!connection.pooled && !isLively) await setLiveliness(client, connection);
}

/** The id of the backend by what was said at the login; a pooler says one of its own. */
function announcedPid(client: Client): number {
  return (client as unknown as { processID: number | null }).processID ?? 0;
}

/** SQL that sets what this server knows, where its backend has this id; and nothing elsewhere. */
function setWhereOurs(
  settings: readonly (readonly [since: number, name: string, value: string])[],
  pid: number,
): string {
  const calls = settings.map(([since, name, value]) => {
    const call = `pg_catalog.set_config('${name}', '${value}', false)`;
    return since === 0 ? call : `CASE WHEN ${VERSION} OPERATOR(pg_catalog.>=) ${since} THEN ${call} END`;
  });
  return `CASE WHEN pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) ${pid} THEN pg_catalog.concat(${calls.join(', ')}) END AS set`;
}

const VERSION = "pg_catalog.current_setting('server_version_num')::pg_catalog.int4";

/** What is said wherever a source is reached through one. */
export const POOLER_WARNING =
  'the connection goes through a pooler such as PgBouncer: a run holds one of its server connections throughout; connect to Postgres directly';

/** Whether a pooler such as PgBouncer is between: the id that it hands out is not the server's. */
export function isPooled(client: Client): boolean {
  return CONNECTIONS.get(client)?.pooled === true;
}

/** The id of the server's process behind a pooler, as far as it is known; undefined where the driver knows it. */
export function serverPid(client: Client): number | undefined {
  const connection = CONNECTIONS.get(client);
  return connection?.pooled === true ? connection.pid : undefined;
}

/** To be called first in each transaction; `own` are settings of this one. What is set so ends with the transaction. */
export async function setForTransaction(client: Client, own: Readonly<Record<string, string>> = {}): Promise<void> {
  const text = transactionSettings(client, own);
  if (text !== undefined) await client.query(text);
  const connection = CONNECTIONS.get(client);
  if (connection?.pooled === true) connection.pid = (await askConnection(client)).pid;
}

/** The statement that sets them, for who sends it with others; undefined where there is nothing to be set. */
export function transactionSettings(client: Client, own: Readonly<Record<string, string>>): string | undefined {
  const connection = CONNECTIONS.get(client);
  const settings = { ...(connection?.pooled === false ? {} : settingsOf(connection)), ...own };
  return Object.keys(settings).length === 0 ? undefined : statement(settings, true);
}

/** Notes which backend this transaction of a pooled connection is on. */
export function noteBackend(client: Client, pid: number): void {
  const connection = CONNECTIONS.get(client);
  if (connection?.pooled === true) connection.pid = pid;
}

/**
 * The same, with all settings, whatever the session has: for who decides by what the server prints, on a connection on which
 * code of others runs, such as triggers.
 */
export async function setAllForTransaction(client: Client, own: Readonly<Record<string, string>>): Promise<void> {
  await client.query(statement({ ...settingsOf(CONNECTIONS.get(client)), ...own }, true));
}

function settingsOf(connection: Connection | undefined): Record<string, string> {
  const known = NEWER_SETTINGS.filter(([since]) => (connection?.version ?? 0) >= since);
  return { ...SETTINGS, ...Object.fromEntries(known.map(([, name, value]) => [name, value])) };
}

/** `also` is asked in the same statement. */
async function askConnection(client: Client, also?: string): Promise<Connection> {
  const { rows } = await client.query<{ pid: number; version: number }>(
    `SELECT pg_catalog.pg_backend_pid() AS pid, ${VERSION} AS version${also === undefined ? '' : `, ${also}`}`,
  );
  const { pid = 0, version = 0 } = rows[0] ?? {};
  return { pid, version, pooled: announcedPid(client) !== pid };
}

async function setLiveliness(client: Client, { version }: Connection): Promise<void> {
  for (const [since, name, value] of LIVELINESS)
    if (version >= since) await client.query(statement({ [name]: value }, false)).catch(() => undefined);
}

function statement(settings: Readonly<Record<string, string>>, isLocal: boolean): string {
  const calls = Object.entries(settings).map(
    ([name, value]) => `pg_catalog.set_config('${name}', ${quoteLiteral(value)}, ${isLocal})`,
  );
  return `SELECT ${calls.join(', ')}`;
}
