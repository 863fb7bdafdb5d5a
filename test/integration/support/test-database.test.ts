import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import { connect, sharedServerUrl, type TestDatabase, testDatabase } from '../../support/postgres.ts';

async function databaseExists(name: string): Promise<boolean> {
  const client = await connect(await sharedServerUrl());
  const { rowCount } = await client.query('select from pg_database where datname = $1', [name]);
  await client.end();
  return rowCount === 1;
}

describe('a test database', () => {
  let shared: TestDatabase;
  let nameOfEarlierTest = '';

  before(async () => {
    shared = await testDatabase();
  });

  test('is empty, and of the version it says', async () => {
    const { rows } = await shared.client.query<{ name: string; tables: number; version: string }>(
      `select current_database() as name, version(),
        (select count(*)::int from pg_class where relnamespace = 'public'::regnamespace) as tables`,
    );
    assert.equal(rows[0]?.name, shared.name);
    assert.equal(rows[0].tables, 0);
    assert.match(rows[0].version, new RegExp(`^PostgreSQL ${shared.version}\\.`));
  });

  test('can be asked for by a single test', async (t) => {
    const own = await testDatabase(t);
    nameOfEarlierTest = own.name;
    assert.notEqual(own.name, shared.name);
    assert.ok(await databaseExists(own.name));
  });

  test('is dropped after the test that asked for it', async () => {
    assert.equal(await databaseExists(nameOfEarlierTest), false);
  });

  test('lives as long as the file that asked for it', async () => {
    assert.ok(await databaseExists(shared.name));
  });
});
