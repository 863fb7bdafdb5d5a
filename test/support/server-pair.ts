/** A primary and its streaming standby. */
import { execFile } from 'node:child_process';
import { appendFile, chown, readdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { type EmbeddedPostgres, startPostgres } from '../../src/demo/embedded-postgres.ts';
import { eventually } from './cli.ts';
import { connect, query } from './postgres.ts';

const REPLICATES = { wal_level: 'replica', max_wal_senders: '2', wal_receiver_status_interval: '1s' };
/** What a copy of a running server leaves out. */
const OF_THE_PROCESS = new Set(['postmaster.pid', 'postmaster.opts']);

export class ServerPair {
  readonly primary: EmbeddedPostgres;
  readonly standby: EmbeddedPostgres;
  /** Of the superuser, for the database `postgres`. */
  readonly primaryUrl: string;

  constructor(primary: EmbeddedPostgres, standby: EmbeddedPostgres, primaryUrl: string) {
    this.primary = primary;
    this.standby = standby;
    this.primaryUrl = primaryUrl;
  }

  get standbyUrl(): string {
    return this.standby.url;
  }

  /** Resolves once the standby has all that the primary has committed. */
  async inStep(): Promise<void> {
    const [{ lsn } = { lsn: '' }] = await query<{ lsn: string }>(this.primaryUrl, 'SELECT pg_current_wal_lsn() AS lsn');
    await eventually('the standby is in step', async () => {
      const [row] = await query<{ there: boolean }>(
        this.standbyUrl,
        `SELECT pg_last_wal_replay_lsn() >= '${lsn}' AS there`,
      );
      return row?.there;
    });
  }

  /** The primary is gone at once, and the standby takes its place. */
  async failOver(): Promise<void> {
    this.primary.kill();
    await query(this.standbyUrl, 'SELECT pg_promote()');
  }

  async stop(): Promise<void> {
    await Promise.all([this.standby.stop(), this.primary.stop()]);
  }
}

export async function startServerPair(): Promise<ServerPair> {
  const [primary, standby] = await Promise.all([startPostgres({ settings: REPLICATES }), startPostgres()]);
  // The copy has the passwords of what it is copied from.
  const { password } = new URL(standby.url);
  await query(primary.url, `ALTER ROLE postgres PASSWORD '${password}'`);
  const primaryUrl = standby.url.replace(`:${standby.port}/`, `:${primary.port}/`);
  standby.kill();
  await copy(primary, primaryUrl, standby.dataDir);
  const conninfo = `host=127.0.0.1 port=${primary.port} user=postgres password=${password}`;
  await appendFile(path.join(standby.dataDir, 'postgresql.conf'), `primary_conninfo = '${conninfo}'\n`);
  await writeFile(path.join(standby.dataDir, 'standby.signal'), '');
  await standby.restart();
  return new ServerPair(primary, standby, primaryUrl);
}

/** Copies a server that runs, as pg_basebackup does. */
async function copy({ dataDir }: EmbeddedPostgres, url: string, target: string): Promise<void> {
  const client = await connect(url);
  await client.query(`SELECT pg_backup_start('copy', true)`);
  for (const name of await readdir(target)) await rm(path.join(target, name), { recursive: true });
  const names = (await readdir(dataDir)).filter((name) => !OF_THE_PROCESS.has(name));
  await promisify(execFile)('cp', ['-a', ...names.map((name) => path.join(dataDir, name)), target]);
  const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
  const label = path.join(target, 'backup_label');
  await writeFile(label, rows[0]?.labelfile ?? '');
  const { uid, gid } = await stat(target);
  await chown(label, uid, gid);
  await client.end();
}
