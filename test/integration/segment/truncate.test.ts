import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailureError } from '../../../src/base/errors.ts';
import type { ArchiveConfig } from '../../../src/config/schema.ts';
import { connectPostgres, endConnection } from '../../../src/postgres/connect.ts';
import { requireNotRewritten } from '../../../src/postgres/rewritten.ts';
import { beginReading, exportSnapshot } from '../../../src/postgres/snapshot.ts';
import { planRun } from '../../../src/run/plan.ts';
import { connect, testDatabase, type TestDatabase } from '../../support/postgres.ts';
import { SLOT } from '../../support/read-lines.ts';

const READINGS = {
  table: { table: 't' },
  view: { table: 'v' },
  query: { query: 'SELECT a.id FROM t a JOIN t b USING (id)' },
};

async function createTable({ client }: TestDatabase): Promise<void> {
  await client.query(
    'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100); CREATE VIEW v AS SELECT * FROM t',
  );
}

function archive(reading: Partial<ArchiveConfig>): ArchiveConfig {
  return { ...reading, segments: { by: 'auto', targetBytes: 1e9, parallel: 1 } } as ArchiveConfig;
}

for (const [name, reading] of Object.entries(READINGS)) {
  for (const command of ['TRUNCATE t', 'ALTER TABLE t ALTER COLUMN id TYPE bigint', 'VACUUM FULL t']) {
    test(`${command} between the snapshot and the plan is found, read by ${name}`, async (t) => {
      if (name === 'view' && command.startsWith('ALTER')) {
        t.skip('Postgres refuses to alter a column that a view uses');
        return;
      }
      const database = await testDatabase(t);
      await createTable(database);
      if (name !== 'view') await database.client.query('DROP VIEW v');
      const client = await connectPostgres({ url: database.url, applicationName: 'test' });
      t.after(() => endConnection(client));
      await beginReading(client);
      await exportSnapshot(client);
      await database.client.query(command);
      await planRun(client, archive(reading), SLOT);
      await assert.rejects(
        requireNotRewritten(client),
        (error) => error instanceof FailureError && error.failure.code === 'relation-rewritten',
      );
    });
  }

  test(`TRUNCATE after the plan waits for the end of the run, read by ${name}`, async (t) => {
    const database = await testDatabase(t);
    await createTable(database);
    const client = await connectPostgres({ url: database.url, applicationName: 'test' });
    t.after(() => endConnection(client));
    await beginReading(client);
    await exportSnapshot(client);
    await planRun(client, archive(reading), SLOT);
    await requireNotRewritten(client);
    const other = await connect(database.url);
    t.after(() => other.end());
    await other.query("SET lock_timeout = '100ms'");
    await assert.rejects(other.query('TRUNCATE t'), { code: '55P03' });
  });
}
