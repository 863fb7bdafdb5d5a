/** Purges by partitions on Postgres 13, which cannot detach while others go on: one transaction, and nothing half done. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { purgeCommand } from '../../../src/commands/purge.ts';
import { availableVersions, startPostgres, type EmbeddedPostgres } from '../../../src/demo/embedded-postgres.ts';
import type { PurgeResult } from '../../../src/purge/request.ts';
import { eventually } from '../../support/cli.ts';
import { commandInProcess, runInProcess } from '../../support/in-process.ts';
import { connect } from '../../support/postgres.ts';
import { openSite, type Site } from '../../support/site.ts';

const RUN = '20260101T000000Z';
const skip = availableVersions().includes(13) ? false : 'Postgres 13 is not there';

describe('on Postgres 13', { skip }, () => {
  let server: EmbeddedPostgres;
  let site: Site;

  before(async () => {
    server = await startPostgres({ version: 13, settings: { max_prepared_transactions: '2' } });
    site = await openSite(server.url);
  });
  after(() => server.stop());

  const sql = async (text: string): Promise<Record<string, unknown>[]> =>
    (await site.database.client.query(text)).rows as Record<string, unknown>[];

  async function archive(name: string, then: string): Promise<string> {
    await sql(`CREATE TABLE ${name} (id int NOT NULL, day date NOT NULL) PARTITION BY RANGE (day);
      CREATE TABLE ${name}_1 PARTITION OF ${name} FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
      CREATE TABLE ${name}_2 PARTITION OF ${name} FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
      INSERT INTO ${name} SELECT i, date '2026-01-01' + i % 31 FROM generate_series(1, 100) AS i`);
    const archives = {
      [name]: { table: name, window: { column: 'day', every: 'partition' }, purge: { after: '7d', then } },
    };
    const config = await site.writeConfig({ log: { level: 'silent' }, archives });
    const { result } = await runInProcess(site, config, name, RUN);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    return config;
  }

  async function purge(config: string, name: string): Promise<{ code: number; result: PurgeResult; said: string }> {
    const { code, stdout } = await commandInProcess(site, config, (invocation) =>
      purgeCommand(invocation, name, { runs: [RUN], execute: true, yes: false }),
    );
    const [result] = JSON.parse(stdout) as PurgeResult[];
    assert.ok(result !== undefined);
    return { code, result, said: result.problems.map((problem) => `${problem.code}: ${problem.message}`).join('\n') };
  }

  test('a prepared transaction stands against it, by its name', async () => {
    const config = await archive('prepared', 'drop');
    const other = await connect(site.database.url);
    await other.query(`BEGIN; INSERT INTO prepared VALUES (7, '2026-02-07'); PREPARE TRANSACTION 'left alone'`);
    try {
      const { code, said } = await purge(config, 'prepared');
      assert.equal(code, 2);
      assert.match(said, /^partition-blocked: it would wait for the prepared transaction left alone \(since 20/);
    } finally {
      await other.query(`ROLLBACK PREPARED 'left alone'`);
      await other.end();
    }
    assert.deepEqual(await sql('SELECT count(*)::int AS n FROM prepared'), [{ n: 100 }]);
  });

  test('a row that is committed while the partition is waited for keeps it', async () => {
    const config = await archive('late', 'drop');
    const writer = await connect(site.database.url);
    await writer.query(`BEGIN; INSERT INTO late VALUES (101, '2026-01-07')`);
    const purging = purge(config, 'late');
    await eventually(
      'the purge waits for the partition',
      async () => (await sql(`SELECT FROM pg_locks WHERE NOT granted AND relation = 'late_1'::regclass`)).length > 0,
    );
    await writer.query('COMMIT');
    await writer.end();
    const { code, said } = await purging;
    assert.deepEqual([code, /^partition-changed: .*it has 101 rows, the run has 100/.test(said)], [2, true], said);
    assert.deepEqual(await sql('SELECT count(*)::int AS n FROM late'), [{ n: 101 }]);
  });

  for (const [then, state] of [
    ['drop', 'dropped'],
    ['detach', 'detached'],
  ])
    test(`then: ${then}`, async () => {
      const name = `whole_${then}`;
      const config = await archive(name, then ?? '');
      const { code, result } = await purge(config, name);
      assert.deepEqual([code, result.totals.deleted, result.partition], [0, 100, { name: `public.${name}_1`, state }]);
      const [row] = await sql(
        `SELECT to_regclass('${name}_1') IS NULL AS gone, (SELECT count(*)::int FROM ${name}) AS n`,
      );
      assert.deepEqual(row, { gone: then === 'drop', n: 0 });
    });
});
