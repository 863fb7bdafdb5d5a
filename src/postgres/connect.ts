/** Opens a connection whose settings make the server print values in the one form that the line format names. */
import { Socket } from 'node:net';
import { Client, type ClientConfig } from 'pg';
import type { Stage } from '../base/errors.ts';
import { DirectSocket } from './direct-socket.ts';
import { postgresFailure } from './errors.ts';
import { quoteLiteral } from './identifiers.ts';
import { parsePostgresUrl, tlsOptions } from './url.ts';

/** A connection, for those who only pass it on. */
export type { Client };

/** Where to connect, as plain data that may cross the thread boundary. */
export interface ConnectionTarget {
  /** A postgres:// URL; it may hold a password. */
  url: string;
  /** Shown in pg_stat_activity, so that a DBA can see who it is. */
  applicationName: string;
}

/**
 * What the line format depends on, and the limits that would cut a long read short. They are set again in each
 * transaction, as a pooler may hand the session to somebody else in between.
 */
export const SETTINGS: Readonly<Record<string, string>> = {
  TimeZone: 'UTC',
  DateStyle: 'ISO',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  client_encoding: 'UTF8',
  statement_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  lock_timeout: '60s',
  // With row security on, rows that a policy hides would be missing in silence. Off, the server refuses the query.
  row_security: 'off',
  // A scan that starts in the middle of a table would give a query with LIMIT other rows each time.
  synchronize_seqscans: 'off',
};

/** Settings that only newer servers know: the version that brought them, and the value. */
const NEWER_SETTINGS: [number, string, string][] = [
  [140000, 'idle_session_timeout', '0'],
  [170000, 'transaction_timeout', '0'],
];

const CONNECT_TIMEOUT_MS = 15_000;
/** For the login and all settings: a server that falls silent in between would hold everything up. */
const READY_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_DELAY_MS = 30_000;

/** A timeout of 0 sent at startup is dropped by the driver, so everything is set by a statement after connecting. */
export async function connectPostgres(
  target: ConnectionTarget,
  stage: Stage = 'connect',
  signal?: AbortSignal,
): Promise<Client> {
  const client = newClient(target, stage);
  // Without a listener, an error on an idle connection would end the process. Queries report it themselves.
  client.on('error', () => undefined);
  const cut = (): void => {
    socketOf(client)?.destroy();
  };
  const deadline = setTimeout(cut, READY_TIMEOUT_MS);
  signal?.addEventListener('abort', cut, { once: true });
  try {
    signal?.throwIfAborted();
    await client.connect();
    await client.query(settingsStatement(SETTINGS));
    await setNewerSettings(client);
    return client;
  } catch (error) {
    await endConnection(client);
    signal?.throwIfAborted();
    throw postgresFailure(error, stage, `connecting to ${describeTarget(target.url)}`);
  } finally {
    clearTimeout(deadline);
    signal?.removeEventListener('abort', cut);
  }
}

function newClient(target: ConnectionTarget, stage: Stage): Client {
  try {
    return new Client(clientConfig(target));
  } catch (error) {
    throw postgresFailure(error, stage, `connecting to ${describeTarget(target.url)}`);
  }
}

/** Ends a connection for good, also one that is dead or in the middle of a query. Never throws, never waits long. */
export async function endConnection(client: Client): Promise<void> {
  const destroy = setTimeout(() => {
    socketOf(client)?.destroy();
  }, 2000);
  try {
    await client.end();
  } catch {
    socketOf(client)?.destroy();
  } finally {
    clearTimeout(destroy);
  }
}

/** `host:port/database` of a URL, without the user and the password. */
export function describeTarget(url: string): string {
  try {
    const { host = 'localhost', port = 5432, database } = parsePostgresUrl(url);
    return `${host}:${port}${database === undefined ? '' : `/${database}`}`;
  } catch {
    return 'the source';
  }
}

/** Not the URL itself: the driver takes parameters that cut a read short (query_timeout), and ignores misspelt ones. */
function clientConfig(target: ConnectionTarget): ClientConfig {
  const url = parsePostgresUrl(target.url);
  const { host, port, user, password, database, options, sslnegotiation, channelBinding } = url;
  const named = { host, port, user, password, database, options, sslnegotiation, ssl: tlsOptions(url) };
  return {
    ...Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined)),
    enableChannelBinding: channelBinding,
    application_name: target.applicationName.slice(0, 63),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
    // The driver wraps the socket for TLS, and then reads from below it.
    stream: (({ ssl }: { ssl: unknown }) => (ssl ? new Socket() : new DirectSocket())) as never,
  };
}

function settingsStatement(settings: Record<string, string>): string {
  const calls = Object.entries(settings).map(([name, value]) => `set_config('${name}', ${quoteLiteral(value)}, false)`);
  return `SELECT ${calls.join(', ')}`;
}

async function setNewerSettings(client: Client): Promise<void> {
  const { rows } = await client.query<{ version: number }>(
    "SELECT current_setting('server_version_num')::int AS version",
  );
  const version = rows[0]?.version ?? 0;
  const known = NEWER_SETTINGS.filter(([since]) => version >= since);
  if (known.length > 0) {
    await client.query(settingsStatement(Object.fromEntries(known.map(([, name, value]) => [name, value]))));
  }
  if (version >= 140000) await watchForOurDeath(client);
}

/** So that a long query ends with the process that asked for it. Servers on some systems cannot do it, and say so. */
async function watchForOurDeath(client: Client): Promise<void> {
  try {
    await client.query(settingsStatement({ client_connection_check_interval: '10s' }));
  } catch {
    // It saves the server work and changes nothing else.
  }
}

/** The server's id of this connection; 0 when it is not known. */
export function backendPid(client: Client): number {
  return (client as unknown as { processID: number | null }).processID ?? 0;
}

/** The socket below a client: the driver has no public way to pause or to cut it. */
export function socketOf(client: Client): Socket | undefined {
  return (client as unknown as { connection?: { stream?: Socket } }).connection?.stream;
}
