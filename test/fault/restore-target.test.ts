/** What happens to the target while rows are brought into it, or before a restore is taken up: no loss without a word. */
import assert from 'node:assert/strict';
import { before, beforeEach, describe, test } from 'node:test';
import type { Client } from 'pg';
import { countRows, difference, openYard, recordsIn, type Yard } from '../integration/restore/support.ts';
import { eventually } from '../support/cli.ts';
import { connect, testDatabase, type TestDatabase } from '../support/postgres.ts';
import type { RestoreResult } from '../../src/restore/request.ts';

const ROWS = 300;
const HOLD = 4712;

describe('a target that changes', () => {
  let database: TestDatabase;
  let client: Client;
  let yard: Yard;
  /** The run of all rows. */
  let first: string;

  before(async () => {
    database = await testDatabase();
    ({ client } = database);
    yard = await openYard(database);
    await client.query(
      `CREATE TABLE original (id int PRIMARY KEY, v text); INSERT INTO original SELECT i, 'v' || i FROM generate_series(1, ${ROWS}) AS i;
       CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN PERFORM pg_advisory_xact_lock_shared(${HOLD}); RETURN NEW; END $$`,
    );
    first = (await yard.archive({ table: 'original', segments: { by: 'key', targetSize: '4KiB' } })).run;
  });

  const makeTarget = (name = 'target'): Promise<unknown> =>
    client.query(
      `DROP TABLE IF EXISTS ${name}; CREATE TABLE ${name} (LIKE original INCLUDING ALL);
       CREATE TRIGGER hold BEFORE INSERT ON ${name} FOR EACH ROW WHEN (NEW.id = 250) EXECUTE FUNCTION hold()`,
    );
  beforeEach(() => makeTarget());

  const begun = (): Promise<unknown> =>
    eventually('some rows are in, and the others wait', async () => {
      const { rowCount } = await client.query("SELECT FROM pg_stat_activity WHERE wait_event = 'advisory'");
      return rowCount === 1 && (await countRows(client, 'target')) > 0;
    });

  /** Begins a restore, which waits before row 250; does something to the target, and lets it go on. */
  async function whileRestoring(act: (holder: Client) => Promise<unknown>): Promise<RestoreResult> {
    const holder = await connect(database.url);
    try {
      await holder.query(`SELECT pg_advisory_lock(${HOLD})`);
      const restoring = yard.restore('target', { run: first });
      await begun();
      const acting = act(holder);
      // It waits for the transaction that is held.
      await eventually('it is asked for', async () => {
        const { rowCount } = await client.query(
          "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'relation' AND relation = 'target'::regclass",
        );
        return rowCount !== null && rowCount > 0;
      });
      await holder.query(`SELECT pg_advisory_unlock_all()`);
      await acting;
      return await restoring;
    } finally {
      await holder.end();
    }
  }

  const losses: Record<string, string> = {
    'is truncated': 'TRUNCATE target',
    'is truncated, and gets as many rows of somebody else,': `TRUNCATE target; INSERT INTO target SELECT -i FROM generate_series(1, ${ROWS}) AS i`,
    'loses some rows': 'BEGIN; LOCK TABLE target; DELETE FROM target WHERE id < 5; COMMIT',
  };
  for (const [what, sql] of Object.entries(losses)) {
    test(`that ${what} while rows come in fails with the figures`, async () => {
      const other = await connect(database.url);
      const result = await whileRestoring(() => other.query(sql));
      await other.end();
      assert.deepEqual([result.status, result.error?.code], ['failed', 'rows-missing']);
      await client.query(`DROP TABLE ${(await recordsIn(client))[0]!}`);
    });
  }

  test('that is dropped and made again while rows come in fails', async () => {
    const other = await connect(database.url);
    const result = await whileRestoring(() =>
      other.query('BEGIN; DROP TABLE target; CREATE TABLE target (LIKE original INCLUDING ALL); COMMIT'),
    );
    await other.end();
    assert.deepEqual([result.status, result.error?.code], ['failed', 'rows-missing']);
    assert.match(result.error?.message ?? '', /was dropped and made again while it was restored into/);
    await client.query('TRUNCATE target');
    const again = await yard.restore('target', { run: first });
    assert.deepEqual([again.status, await recordsIn(client)], ['restored', []]);
  });

  async function breakOff(): Promise<void> {
    await client.query(`INSERT INTO target VALUES (${ROWS}, 'mine')`);
    assert.equal((await yard.restore('target', { run: first })).error?.code, 'row-exists');
    assert.equal((await recordsIn(client)).length, 1);
  }

  /** Ends the session of the restore while a statement of it waits for a lock, which `holder` has. */
  async function endWhereItWaits(holder: Client, restoring: Promise<RestoreResult>): Promise<RestoreResult> {
    await eventually('it waits', async () => {
      const { rowCount } = await client.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
         AND application_name LIKE 'pgsluice restore % on %' AND wait_event_type = 'Lock' AND wait_event = 'relation'`,
      );
      return rowCount === 1;
    });
    const result = await restoring;
    await holder.query('ROLLBACK');
    return result;
  }

  test('while the session is ended in mid-statement, is gone on with as the hint says', async () => {
    const holder = await connect(database.url);
    await holder.query('BEGIN; LOCK TABLE target');
    const ahead = await endWhereItWaits(holder, yard.restore('target', { run: first }));
    await holder.query(`SELECT pg_advisory_lock(${HOLD})`);
    const restoring = yard.restore('target', { run: first });
    await begun();
    await holder.query(
      `BEGIN; LOCK TABLE ${(await recordsIn(client))[0]!} IN ACCESS SHARE MODE; SELECT pg_advisory_unlock_all()`,
    );
    // Its record is dropped last.
    const atEnd = await endWhereItWaits(holder, restoring);
    await holder.end();
    for (const { status, error } of [ahead, atEnd]) {
      assert.deepEqual([status, error?.code], ['failed', 'connection-lost'], error?.message);
      assert.match(error?.hint ?? '', /Give the same command again: it goes on/);
      assert.doesNotMatch(error?.hint ?? '', /tried again/);
    }
    const { status, resumed, rows, counted } = await yard.restore('target', { run: first });
    assert.deepEqual([status, resumed, rows, counted], ['restored', true, ROWS, ROWS]);
  });

  test('that was dropped and made again, under another oid, is filled anew; the old record goes', async () => {
    await breakOff();
    await makeTarget();
    const result = await yard.restore('target', { run: first });
    assert.deepEqual([result.status, result.resumed, result.rows], ['restored', false, ROWS]);
    assert.deepEqual(await recordsIn(client), []);
  });

  test('that has the oid of another one by now is not taken for that one', async () => {
    await breakOff();
    const [record] = await recordsIn(client);
    await makeTarget();
    const { rows } = await client.query<{ oid: number }>("SELECT 'target'::regclass::oid AS oid");
    await client.query(`ALTER TABLE ${record!} RENAME TO pgsluice_restore_${rows[0]!.oid}`);
    const result = await yard.restore('target', { run: first });
    assert.equal(result.status, 'refused');
    assert.match(result.problems.join(), /rows that it had brought are gone: .* holds 0 of the \d+ rows/);
    await client.query(`DROP TABLE ${(await recordsIn(client))[0]!}`);
    assert.equal((await yard.restore('target', { run: first })).status, 'restored');
  });

  test('is filled by one restore at a time', async () => {
    const holder = await connect(database.url);
    await holder.query(`SELECT pg_advisory_lock(${HOLD})`);
    const restoring = yard.restore('target', { run: first });
    await begun();
    const second = await yard.restore('target', { run: first, keys: { to: '10' } });
    assert.equal(second.error?.code, 'locked');
    await holder.end();
    assert.equal((await restoring).status, 'restored');
    assert.deepEqual(await difference(client, 't.*', 'original', 'target'), []);
  });

  test('may be read by a run meanwhile, which sees whole objects, and may be that of a run in progress', async () => {
    const reader = await connect(database.url);
    await reader.query(`BEGIN; LOCK TABLE target IN ACCESS SHARE MODE; SELECT pg_advisory_lock(${HOLD})`);
    const restoring = yard.restore('target', { run: first });
    await begun();
    const there = await countRows(client, 'target');
    const run = await yard.archive({ table: 'target' });
    assert.equal(run.rows, there);
    await reader.query(`SELECT pg_advisory_unlock(${HOLD})`);
    assert.equal((await restoring).status, 'restored');
    await reader.end();
  });

  test('on an older server than that of the archive is filled with a warning', async () => {
    let archived = '';
    await yard.changeManifest(first, ({ source }) => {
      archived = source.serverVersion;
      source.serverVersion = '99.1 (of a later day)';
    });
    const { status, warnings } = await yard.restore('target', { run: first });
    await yard.changeManifest(first, ({ source }) => {
      source.serverVersion = archived;
    });
    assert.equal(status, 'restored');
    assert.match(
      warnings.join('; '),
      /the archive is of Postgres 99, and this server is Postgres \d+: an object with a value/,
    );
  });

  test('with row security is filled by its owner, unless that is forced upon him', async () => {
    const role = database.name;
    await client.query(
      `CREATE ROLE ${role} LOGIN PASSWORD 'x'; GRANT ALL ON SCHEMA public TO ${role}; ALTER TABLE target OWNER TO ${role};
       CREATE POLICY p ON target USING (id > 100);
       ALTER TABLE target ENABLE ROW LEVEL SECURITY; ALTER TABLE target FORCE ROW LEVEL SECURITY`,
    );
    const url = new URL(database.url);
    [url.username, url.password] = [role, 'x'];
    const request = { run: first, source: { ...yard.config.sources['default']!, url: url.href } };
    assert.match((await yard.restore('target', request)).problems.join(), /^row-level security of .* applies to role/);
    await client.query('ALTER TABLE target NO FORCE ROW LEVEL SECURITY');
    const { status, rows, counted } = await yard.restore('target', request);
    assert.deepEqual([status, rows, counted], ['restored', ROWS, ROWS]);
    await client.query(`DROP TABLE target; DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });
});
