/** Opens a connection whose settings make the server print values in the one form that the line format names. */
import { Socket } from 'node:net';
import { Client, type ClientConfig } from 'pg';
import type { Stage } from '../base/errors.ts';
import { DirectSocket } from './direct-socket.ts';
import { postgresFailure } from './errors.ts';
import { listenForLastWords } from './last-words.ts';
import { sendOneStatementEach } from './one-statement.ts';
import { prepareConnection, serverPid } from './settings.ts';
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

const CONNECT_TIMEOUT_MS = 15_000;
/** For the login and all settings: a server that falls silent in between would hold everything up. */
const READY_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_DELAY_MS = 30_000;

/**
 * Connects, and sets what reading depends on, unless a pooler is between: then each transaction sets it for itself.
 * Throws FailureError, and the signal's reason when it aborts.
 */
export async function connectPostgres(
  target: ConnectionTarget,
  stage: Stage = 'connect',
  signal?: AbortSignal,
): Promise<Client> {
  const client = newClient(target, stage);
  // Without a listener, an error on an idle connection would end the process. Queries report it themselves.
  client.on('error', () => undefined);
  listenForLastWords(client);
  const cut = (): void => {
    socketOf(client)?.destroy();
  };
  const deadline = setTimeout(cut, READY_TIMEOUT_MS);
  signal?.addEventListener('abort', cut, { once: true });
  try {
    signal?.throwIfAborted();
    await client.connect();
    sendOneStatementEach(client);
    await prepareConnection(client);
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

/** Connects for one piece of work, and ends the connection with it. Throws what {@link connectPostgres} and `work` throw. */
export async function withConnection<T>(
  target: ConnectionTarget,
  work: (client: Client) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const client = await connectPostgres(target, 'connect', signal);
  try {
    return await work(client);
  } finally {
    await endConnection(client);
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

/** The server's id of this connection; 0 when it is not known. */
export function backendPid(client: Client): number {
  const asked = serverPid(client);
  if (asked !== undefined) return asked;
  return (client as unknown as { processID: number | null }).processID ?? 0;
}

/** The socket below a client: the driver has no public way to pause or to cut it. */
export function socketOf(client: Client): Socket | undefined {
  return (client as unknown as { connection?: { stream?: Socket } }).connection?.stream;
}

/** The role that a URL logs in as, and the database, with what the driver takes for what the URL leaves open. */
export function describeLogin(url: string): { role: string; database: string } {
  const { user = '', database = '' } = new Client(clientConfig({ url, applicationName: '' }));
  return { role: user, database };
}

/** How a library that brings its own pool along is to connect. */
export function poolConfig(target: ConnectionTarget): Omit<ClientConfig, 'stream'> {
  const { stream: _stream, ...config } = clientConfig(target);
  return config;
}
