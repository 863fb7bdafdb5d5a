/** The demo's daemon, in this process: its page on a free port of loopback, and a smaller table every minute. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { Client } from 'pg';
import type { Log } from '../base/log.ts';
import type { Config } from '../config/schema.ts';
import { Daemon } from '../daemon/daemon.ts';
import { openHistory } from '../daemon/history/history.ts';
import { openNotify } from '../daemon/systemd/notify.ts';
import { createArticleTable } from './article-table.ts';
import type { DemoEnvironment } from './environment.ts';

const TABLE = 'public.fetch_queue_today';
const SHARE_OF_ROWS = 2;
const TOKEN_BYTES = 12;

/** Where the page is, and what its buttons ask for. */
export interface DemoPage {
  url: string;
  token: string;
}

/** Creates the smaller table, and adds it, the page and a history to the demo's config file. */
export async function prepareServing({ configFile, databaseUrl }: DemoEnvironment, rows: number): Promise<DemoPage> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await createArticleTable(client, { table: TABLE, rows: Math.ceil(rows / SHARE_OF_ROWS) });
  } finally {
    await client.end();
  }
  const page = { url: `http://127.0.0.1:${await freePort()}/`, token: randomBytes(TOKEN_BYTES).toString('base64url') };
  const config = await readFile(configFile, 'utf8');
  await writeFile(
    configFile,
    config.replace('archives:\n', `archives:\n${MINUTE_ARCHIVE}`) + daemonOptions(configFile, page),
  );
  return page;
}

interface ServeParts {
  configFile: string;
  reload: () => Config;
  log: Log;
  signal: AbortSignal;
}

/** Runs the daemon until `signal`; it then has what the config's drainTimeout gives it. */
export async function serveDemo({ configFile, reload, log, signal }: ServeParts): Promise<void> {
  const config = reload();
  const notify = await openNotify({}, () => undefined);
  const history = await openHistory(config.state, log);
  const daemon = new Daemon({ config, configFile, log, notify, history, reload });
  const ended = daemon.run();
  if (!signal.aborted) await Promise.race([once(signal, 'abort'), ended]);
  await daemon.stop('Ctrl-C');
  await ended;
}

const MINUTE_ARCHIVE = `  fetch_queue_today:
    table: ${TABLE}
    schedule: '* * * * *'
    segments: { targetSize: 32MiB, parallel: 1 }
`;

/** A warning is worth a line on the terminal; what goes well is on the page. */
function daemonOptions(configFile: string, { url, token }: DemoPage): string {
  return `http:
  listen: ${new URL(url).host}
  token: ${token}
state: ${path.join(path.dirname(configFile), 'state')}
drainTimeout: 5s
`;
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
