import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type EmbeddedPostgres, startPostgres } from '../../src/demo/embedded-postgres.ts';
import { countRows, openYard, type Yard } from '../integration/restore/support.ts';
import { eventually } from '../support/cli.ts';
import { connect, testDatabase, type TestDatabase } from '../support/postgres.ts';

const ROWS = 300;

describe('the record of a restore that was broken off', () => {
  let server: EmbeddedPostgres;
  let database: TestDatabase;
  let yard: Yard;

  before(async () => {
    const settings = { wal_level: 'logical', max_wal_senders: '4', max_replication_slots: '4' };
    server = await startPostgres({ settings });
    database = await testDatabase(undefined, { serverUrl: server.url });
    await database.client.query(
      `CREATE TABLE original (id int PRIMARY KEY, v text); INSERT INTO original SELECT i, 'v' || i FROM generate_series(1, ${ROWS}) AS i;
       CREATE TABLE target (LIKE original INCLUDING ALL); CREATE TABLE other (id int PRIMARY KEY)`,
    );
    yard = await openYard(database);
    await yard.archive({ table: 'original', segments: { by: 'key', targetSize: '4KiB' } });
  });
  after(() => server.stop());

  /** By a row that is in the way of the last object, which is gone afterwards. */
  async function breakOff(): Promise<void> {
    await database.client.query(`TRUNCATE target; INSERT INTO target VALUES (${ROWS}, 'mine')`);
    assert.equal((await yard.restore('target')).error?.code, 'row-exists');
    await database.client.query(`DELETE FROM target WHERE id = ${ROWS}`);
    assert.ok((await countRows(database.client, 'target')) > 100, 'some objects are in');
  }

  test('is not published: subscribers get the rows of all tables, and new ones can subscribe', async (t) => {
    const subscriber = await testDatabase(t, { serverUrl: server.url });
    const { client } = database;
    await subscriber.client.query(
      'CREATE TABLE target (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY)',
    );
    await client.query(
      'CREATE PUBLICATION everything FOR ALL TABLES; CREATE PUBLICATION schema FOR TABLES IN SCHEMA public',
    );
    const subscribe = async (name: string, publication: string): Promise<void> => {
      // A server that subscribes to itself waits for itself, unless the slot is there before.
      await client.query(`SELECT pg_create_logical_replication_slot('${name}', 'pgoutput')`);
      await subscriber.client.query(
        `CREATE SUBSCRIPTION ${name} CONNECTION '${database.url}' PUBLICATION ${publication} WITH (create_slot = false, copy_data = false)`,
      );
    };
    const unsubscribe = async (name: string): Promise<void> => {
      for (const change of ['DISABLE', 'SET (slot_name = NONE)'])
        await subscriber.client.query(`ALTER SUBSCRIPTION ${name} ${change}`);
      await subscriber.client.query(`DROP SUBSCRIPTION ${name}`);
    };
    // Of this one nothing changes any more, but whoever subscribes must have it.
    await subscriber.client.query('CREATE TABLE original (id int PRIMARY KEY, v text)');
    await subscribe('early', 'everything');
    try {
      await breakOff();
      await subscribe('late', 'schema');
      await unsubscribe('late');
      assert.equal((await yard.restore('target')).status, 'restored');
      await client.query('INSERT INTO other VALUES (1)');
      await eventually('the row has arrived', async () => (await countRows(subscriber.client, 'other')) === 1);
      assert.equal(await countRows(subscriber.client, 'target'), ROWS);
      const refused = await yard.restore('made', { create: true });
      const [, statement] =
        /^"public"\."made" would be published by everything, schema, .*would apply nothing any more.* without --create: (CREATE TABLE .*)$/.exec(
          refused.problems.join('\n'),
        ) ?? [];
      assert.ok(statement !== undefined, refused.problems.join('\n'));
      for (const side of [subscriber.client, client]) await side.query(statement);
      await subscriber.client.query('ALTER SUBSCRIPTION early REFRESH PUBLICATION WITH (copy_data = false)');
      assert.equal((await yard.restore('made')).status, 'restored');
      await eventually('its rows arrive', async () => (await countRows(subscriber.client, 'made')) === ROWS);
    } finally {
      await unsubscribe('early');
      // The server notices a little later that nobody takes from a slot any more.
      await eventually(
        'no slot is in use',
        async () => (await client.query('SELECT FROM pg_replication_slots WHERE active')).rowCount === 0,
      );
      await client.query(
        'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots; DROP TABLE IF EXISTS made',
      );
    }
    const alone = await yard.restore('made', { create: true });
    assert.deepEqual(alone.warnings, [
      '"public"."made" would be published by everything, schema: whoever subscribes must have such a table',
    ]);
    await client.query('DROP PUBLICATION everything; DROP PUBLICATION schema; DROP TABLE made');
  });

  test('of an earlier version, which was logged, is published no more once it is taken up', async () => {
    await breakOff();
    const found = async (): Promise<{ name: string; kind: string }[]> => {
      const { rows } = await database.client.query<{ name: string; kind: string }>(
        "SELECT relname AS name, relpersistence::text AS kind FROM pg_class WHERE relkind = 'r' AND relname LIKE 'pgsluice_restore_%'",
      );
      return rows;
    };
    const [record] = await found();
    assert.equal(record?.kind, 'u');
    await database.client.query(`ALTER TABLE ${record.name} SET LOGGED; INSERT INTO target VALUES (${ROWS}, 'mine')`);
    assert.equal((await yard.restore('target')).error?.code, 'row-exists');
    assert.equal((await found())[0]?.kind, 'u');
    await database.client.query(`DELETE FROM target WHERE id = ${ROWS}`);
    const { status, resumed } = await yard.restore('target');
    assert.deepEqual([status, resumed, await found()], ['restored', true, []]);
  });

  test('is lost in a crash of the server: it is refused to bring rows again, and passing over them goes on', async () => {
    await breakOff();
    server.kill();
    await server.restart();
    const client = await connect(database.url);
    const there = await countRows(client, 'target');
    const { status, problems } = await yard.restore('target');
    assert.equal(status, 'refused');
    assert.match(
      problems[0] ?? '',
      /a crash of the server emptied its record, "public"."pgsluice_restore_\d+": pass over/,
    );
    assert.equal(await countRows(client, 'target'), there);
    const whole = await yard.restore('target', { onConflict: 'skip' });
    assert.deepEqual([whole.status, whole.rows, whole.skipped], ['restored', ROWS - there, there]);
    assert.equal(await countRows(client, 'target'), ROWS);
    await client.end();
  });
});
