import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Client } from 'pg';
import { toFailure } from '../../src/base/errors.ts';
import { NEVER } from '../../src/base/signals.ts';
import { loadConfig } from '../../src/config/load.ts';
import { connectPostgres } from '../../src/postgres/connect.ts';
import { Readiness } from '../../src/daemon/view/readiness.ts';
import { runInProcess } from '../support/in-process.ts';
import { pgBouncerProblem, startPgBouncer, type PgBouncer } from '../support/pgbouncer.ts';
import { connect, withDatabase } from '../support/postgres.ts';
import { openSite, type Site } from '../support/site.ts';
import { skipWithout } from '../support/needs.ts';

const RUN = '20261123T021500Z';
/** Server connections that pgsluice and the application share. */
const POOL = 5;

describe(
  'a source behind PgBouncer in transaction mode',
  { skip: skipWithout('pgbouncer', pgBouncerProblem() ?? false) },
  () => {
    let site: Site;
    let pooler: PgBouncer | undefined;
    let url: string;
    let config: string;

    after(() => pooler?.stop());

    before(async () => {
      site = await openSite();
      pooler = await startPgBouncer(site.database.url, POOL);
      url = pooler.url;
      await site.database.client.query(
        `CREATE TABLE t (id int PRIMARY KEY, at timestamptz, f float8);
       INSERT INTO t SELECT i, '2026-01-01', i / 3.0 FROM generate_series(1, 20000) AS i; ANALYZE t`,
      );
      config = await site.writeConfig({
        sources: { default: { url } },
        archives: { t: { table: 't', segments: { by: 'key', targetSize: '200KiB', parallel: 2 } } },
      });
    });

    test('is archived and said, and an application finds its settings and its connections as they were', async () => {
      const before = await settingsOfAll(url);
      const application = await connect(url);
      const run = { isOver: false };
      const seen = new Set<string>();
      const work = (async () => {
        while (!run.isOver) seen.add(await settings(application));
      })();
      const { result, log } = await runInProcess(site, config, 't', RUN);
      run.isOver = true;
      await work;
      await application.end();
      assert.equal(result.status, 'committed', JSON.stringify(result.error));
      assert.equal(result.rows, 20_000);
      assert.ok(result.objects > 2);
      assert.match(log.map(({ message }) => message).join('\n'), /goes through a pooler such as PgBouncer/);
      // Of the line, TimeZone and extra_float_digits are set in the transaction alone.
      const [line = ''] = await site.lines('t', RUN);
      assert.equal(line, '{"id":1,"at":"2026-01-01T00:00:00+00:00","f":0.3333333333333333}');
      assert.deepEqual([...seen], [before[0]], 'while the run was in progress');
      assert.deepEqual(await settingsOfAll(url), before, 'after it');
      const { rows } = await site.database.client.query(
        `SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database() WHERE locktype = 'advisory'`,
      );
      assert.equal(rows.length, 0, 'no lock stays');
    });

    test('whose database is not there is no lost connection', async () => {
      const refused = connectPostgres({ url: withDatabase(url, 'nowhere'), applicationName: 'pgsluice' });
      await assert.rejects(refused, (error) => {
        const { code, transient } = toFailure(error, 'connect');
        assert.deepEqual([code, transient], ['database-not-found', false]);
        return true;
      });
    });

    test('is said by check, plan and the readiness, and a restore refuses it', async () => {
      const says = /goes through a pooler such as PgBouncer/;
      assert.match((await site.run(['check', '--online'], config)).stdout, says);
      assert.match((await site.run(['plan', 't'], config)).stdout, says);
      const checks = await new Readiness(NEVER).check(loadConfig(config, site.environment));
      assert.match(checks.find(({ subject }) => subject === 'sources.default')?.message ?? '', says);
      const restore = await site.run(['restore', 't', RUN, '--into', 'public.back', '--create'], config);
      assert.equal(restore.code, 1);
      assert.match(restore.stderr, /does not go through a pooler/);
      assert.ok(restore.stderr.includes('behind-pooler'), restore.stderr);
      assert.deepEqual(await settingsOfAll(url), Array(POOL).fill(await settingsOfOne(url)));
    });
  },
);

/** What an application could notice. */
async function settings(client: Client): Promise<string> {
  const { rows } = await client.query<{ all: string }>(
    `SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) AS all FROM pg_settings
     WHERE name NOT IN ('application_name', 'transaction_isolation', 'transaction_read_only', 'transaction_deferrable')`,
  );
  return rows[0]?.all ?? '';
}

/** The settings of every server connection: as many transactions at once as there are connections hold one each. */
async function settingsOfAll(url: string): Promise<string[]> {
  const clients = await Promise.all(Array.from({ length: POOL }, () => connect(url)));
  try {
    for (const client of clients) await client.query('BEGIN');
    return await Promise.all(clients.map(settings));
  } finally {
    for (const client of clients) await client.end();
  }
}

async function settingsOfOne(url: string): Promise<string> {
  const client = await connect(url);
  try {
    return await settings(client);
  } finally {
    await client.end();
  }
}
