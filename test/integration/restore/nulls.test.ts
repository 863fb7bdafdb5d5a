/** NOT NULL in the catalogue is no proof: rows that break it may be there, and must come back. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Manifest } from '../../../src/ledger/manifest.ts';
import { testDatabase, type TestDatabase } from '../../support/postgres.ts';
import { difference, openYard, type Yard } from './support.ts';

describe('a NOT NULL that not all rows meet', () => {
  let database: TestDatabase;
  let yard: Yard;

  before(async () => {
    database = await testDatabase();
    yard = await openYard(database);
  });

  /** Archives the table and restores it into a new one; returns what the manifest says of its columns. */
  async function nullability(table: string): Promise<Record<string, boolean>> {
    const { manifest } = await yard.archive({ table }, { verifySource: true });
    const { columns } = JSON.parse(await readFile(fileURLToPath(manifest ?? ''), 'utf8')) as Manifest;
    const restored = await yard.restore('back', { create: true });
    assert.equal(restored.status, 'restored', JSON.stringify(restored));
    const differences = await difference(database.client, 't.*', table, 'back');
    await database.client.query('DROP TABLE back');
    assert.deepEqual(differences, []);
    return Object.fromEntries(columns.map(({ name, nullable }) => [name, nullable]));
  }

  test('is none of an inheritance parent alone', async () => {
    const { client, version } = database;
    const notNull = version >= 18 ? 'NOT NULL j NO INHERIT' : 'CHECK (true) NO INHERIT';
    await client.query(
      `CREATE TABLE parent (id int NOT NULL, j jsonb, ${notNull}); CREATE TABLE child () INHERITS (parent)`,
    );
    if (version < 18) await client.query('ALTER TABLE ONLY parent ALTER j SET NOT NULL');
    await client.query(`INSERT INTO parent VALUES (1, '1'); INSERT INTO child VALUES (2, NULL)`);
    assert.deepEqual(await nullability('parent'), { id: false, j: true });
  });

  test('is none that is NOT VALID, of the table or of a partition', async (t) => {
    const { client, version } = database;
    if (version < 18) {
      t.skip('NOT NULL is always valid before Postgres 18');
      return;
    }
    await client.query(
      `CREATE TABLE late (id int PRIMARY KEY, j jsonb, sure jsonb NOT NULL);
       INSERT INTO late VALUES (1, NULL, 'null'), (2, '2', '1');
       ALTER TABLE late ADD CONSTRAINT late_j NOT NULL j NOT VALID;
       CREATE TABLE parts (id int NOT NULL, j jsonb) PARTITION BY LIST (id);
       CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
       INSERT INTO parts VALUES (1, NULL);
       ALTER TABLE parts ADD CONSTRAINT parts_j NOT NULL j NOT VALID`,
    );
    assert.deepEqual(await nullability('late'), { id: false, j: true, sure: false });
    assert.deepEqual(await nullability('parts'), { id: false, j: true });
  });

  test('is proof where all partitions have it', async () => {
    await database.client.query(
      `CREATE TABLE good (id int NOT NULL, j jsonb NOT NULL) PARTITION BY LIST (id);
       CREATE TABLE good_1 PARTITION OF good FOR VALUES IN (1); INSERT INTO good VALUES (1, 'null')`,
    );
    assert.deepEqual(await nullability('good'), { id: false, j: false });
  });
});
