import { randomBytes } from 'node:crypto';
import { after } from 'node:test';

import pg from 'pg';

import type { EmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';
import { startSharedServer } from './shared-server.ts';

/** Gives each test file, or test, a database of its own. */

export interface TestDatabase {
  /** Connection string of the superuser for this database. */
  url: string;
  /** A connected client; it is ended, and the database dropped, when the test is over. */
  client: pg.Client;
  name: string;
  /** Major version of the server. */
  version: number;
}

export interface TestDatabaseOptions {
  /** Superuser's connection string of the server to use. Default: the shared one. */
  serverUrl?: string;
}

/** What a test context and a suite have in common; without one, clean-up waits for the end of the file. */
export interface Scope {
  after(fn: () => Promise<void>): void;
}

const cleanUpsOfFile: (() => Promise<void>)[] = [];
let ownServer: Promise<EmbeddedPostgres> | undefined;
let sharedSession: Promise<pg.Client> | undefined;

/** Creates an empty database. Call it with a test's context, or without at the top of a file or in `before`. */
export async function testDatabase(scope?: Scope, options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const serverUrl = options.serverUrl ?? (await sharedServerUrl());
  const name = `test_${process.pid}_${randomBytes(4).toString('hex')}`;
  const version = await onServer(serverUrl, async (server) => {
    const major = await majorVersion(server);
    // As files, a database is copied in a quarter of the time; before Postgres 15 there is no other way.
    await server.query(`create database ${name}${major >= 15 ? ' strategy file_copy' : ''}`);
    return major;
  });
  const url = withDatabase(serverUrl, name);
  const client = await connect(url);
  const cleanUp = async () => {
    await client.end().catch(() => undefined);
    // The server may be gone already, as it is in tests that kill it and in files that run by hand.
    await onServer(serverUrl, (server) => server.query(`drop database if exists ${name} with (force)`)).catch(
      () => undefined,
    );
  };
  if (scope === undefined) cleanUpsOfFile.push(cleanUp);
  else scope.after(cleanUp);
  return { url, client, name, version };
}

/** By one session of the file on the server that all share, or by one that is opened for it. */
async function onServer<T>(url: string, ask: (client: pg.Client) => Promise<T>): Promise<T> {
  if (url === process.env['PGSLUICE_TEST_PG']) return ask(await (sharedSession ??= connect(url)));
  const client = await connect(url);
  try {
    return await ask(client);
  } finally {
    await client.end();
  }
}

/** A connected client whose late errors (a server that is killed) do not end the test's process. */
export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** The rows of one statement, which has a connection of its own. */
export async function query<T>(url: string, sql: string): Promise<T[]> {
  const client = await connect(url);
  try {
    return (await client.query(sql)).rows as T[];
  } finally {
    await client.end();
  }
}

/** `url` with another database's name. */
export function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

/** The server of the global setup; a file that is run by hand starts one for itself. */
export async function sharedServerUrl(): Promise<string> {
  const shared = process.env['PGSLUICE_TEST_PG'];
  if (shared !== undefined) return shared;
  ownServer ??= startSharedServer();
  return (await ownServer).url;
}

// Registered when the file is loaded: within a hook or a test, `after` would mean the end of that one.
after(async () => {
  for (const cleanUp of cleanUpsOfFile.reverse()) await cleanUp();
  await (await sharedSession)?.end();
  await (await ownServer)?.stop();
});

async function majorVersion(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ version: number }>(
    `select current_setting('server_version_num')::int / 10000 as version`,
  );
  return rows[0]?.version ?? 0;
}
