import assert from 'node:assert/strict';
import { readdir, rm, truncate } from 'node:fs/promises';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { connect, testDatabase, type TestDatabase } from '../../support/postgres.ts';
import { countRows, openYard, type Yard } from './support.ts';

describe('before the first row', () => {
  let database: TestDatabase;
  let yard: Yard;
  let folder: string;

  before(async () => {
    database = await testDatabase();
    yard = await openYard(database);
    await database.client.query(
      `CREATE TYPE level AS ENUM ('low', 'high');
       CREATE TABLE original (id int PRIMARY KEY, customer_name text, amount numeric(12,2), level level, note varchar(20), city text);
       INSERT INTO original SELECT i, 'n' || i, i / 3.0, 'low', 'x', 'y' FROM generate_series(1, 300) AS i`,
    );
    const { run } = await yard.archive({ table: 'public.original', segments: { by: 'key', targetSize: '4KiB' } });
    folder = path.join(yard.folder, 'store/it', `run=${run}`);
  });

  async function refusal(table: string, changes: Parameters<Yard['restore']>[1] = {}): Promise<string[]> {
    const before = await tables();
    const result = await yard.restore(table, changes);
    assert.equal(result.status, 'refused', JSON.stringify(result));
    assert.deepEqual([result.rows, result.objects], [0, 0]);
    assert.deepEqual(await tables(), before, 'a refused restore leaves nothing behind');
    return result.problems;
  }

  async function tables(): Promise<string[]> {
    const { rows } = await database.client.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1`,
    );
    return rows.map(({ name }) => name);
  }

  test('everything about a table that has changed is reported at once', async () => {
    await database.client.query(
      `CREATE TABLE changed (id bigint PRIMARY KEY, customername text, amount numeric(12,1), level level, note varchar(20),
         town int, owner text NOT NULL, source text NOT NULL DEFAULT 'x', seen timestamptz);
       CREATE POLICY mine ON changed; ALTER TABLE changed ENABLE ROW LEVEL SECURITY`,
    );
    assert.deepEqual(await refusal('changed'), [
      'column customer_name (text) is not in the target; did you mean customername?',
      'column amount is numeric(12,1) in "public"."changed", and numeric(12,2) in the archive',
      'column city (text) is not in the target',
      'column owner of "public"."changed" is NOT NULL without a default, and the archive does not have it',
      'to bring values into other types, restore with --create into a new table, and from there by INSERT … SELECT with casts',
    ]);
    assert.equal(await countRows(database.client, 'changed'), 0);
  });

  test('a renamed column is guessed by its type, when only one has it', async () => {
    await database.client.query(
      'CREATE TABLE renamed (id int, customer_name text, amount numeric(12,2), level level, label varchar(20), city text)',
    );
    assert.deepEqual(await refusal('renamed'), [
      'column note (character varying(20)) is not in the target; was it renamed to label, which is character varying(20) as well?',
    ]);
  });

  test('a table that is not there, or is already, is said so with the way out', async () => {
    assert.deepEqual(await refusal('nowhere'), [
      'table "public"."nowhere" does not exist; --create makes it from the manifest',
    ]);
    assert.deepEqual(await refusal('original', { create: true }), [
      'table "public"."original" exists already; restore into it without --create',
    ]);
    assert.deepEqual(await refusal('t', { into: { schema: 'no_schema', table: 't' }, create: true }), [
      'schema no_schema does not exist',
    ]);
    await database.client.query('CREATE VIEW a_view AS SELECT * FROM original');
    assert.deepEqual(await refusal('a_view'), ['"public"."a_view" is no table']);
  });

  test('rights that are missing are named with the GRANT', async () => {
    const { client, name } = database;
    const role = `restorer_${name}`;
    await client.query(
      `CREATE ROLE ${role} LOGIN PASSWORD 'secret'; CREATE TABLE guarded (LIKE original INCLUDING ALL);
       ALTER TABLE guarded ADD serial_no serial; GRANT INSERT (id, note) ON guarded TO ${role};
       REVOKE TEMP ON DATABASE ${name} FROM PUBLIC; ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON guarded`,
    );
    const url = new URL(database.url);
    url.username = role;
    url.password = 'secret';
    const source = { name: 'other', url: url.href };
    try {
      assert.deepEqual(await refusal('guarded', { source, onConflict: 'skip' }), [
        `role ${role} may not insert into customer_name, amount, level, city of "public"."guarded": GRANT INSERT`,
        `role ${role} may not read "public"."guarded": GRANT SELECT`,
        `role ${role} may not make temporary tables, which --on-conflict skip needs: GRANT TEMP ON DATABASE`,
        `role ${role} may not create tables in the schema, where the restore keeps its record: GRANT CREATE ON SCHEMA`,
        `row-level security of "public"."guarded" applies to role ${role}; it needs BYPASSRLS, or to own the table`,
      ]);
      assert.deepEqual(await refusal('fresh', { source, create: true }), [
        `role ${role} may not create tables in the schema, where the restore keeps its record: GRANT CREATE ON SCHEMA`,
      ]);
    } finally {
      await client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  });

  test('what others have put under the name of the record: nothing of it runs as our role', async (t) => {
    const { client, name } = database;
    const role = `${name}_low`;
    await client.query(
      `CREATE TABLE watched (LIKE original INCLUDING ALL); CREATE TABLE calls (role text); GRANT INSERT ON calls TO public;
       CREATE ROLE ${role}; GRANT CREATE ON SCHEMA public TO ${role}`,
    );
    t.after(() => client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`));
    const { rows } = await client.query<{ name: string }>(
      "SELECT 'pgsluice_restore_' || 'watched'::regclass::oid AS name",
    );
    const record = rows[0]!.name;
    const columns = 'restore text, archive text, run text, object text, sha256 text, rows int8, skipped int8';
    await client.query(
      `SET ROLE ${role};
       CREATE FUNCTION called() RETURNS int8 LANGUAGE sql AS 'INSERT INTO calls VALUES (CURRENT_USER); SELECT 0::int8';
       CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM called(); RETURN NEW; END';
       CREATE VIEW ${record} AS SELECT ''::text AS restore, ''::text AS object, called() AS rows, 0::int8 AS skipped;
       RESET ROLE`,
    );
    const [aView] = await refusal('watched');
    await client.query(
      `SET ROLE ${role}; DROP VIEW ${record};
       CREATE TABLE ${record} (${columns}, restored_at timestamptz, PRIMARY KEY (restore, object));
       CREATE TRIGGER fired BEFORE INSERT ON ${record} FOR EACH ROW EXECUTE FUNCTION fired();
       GRANT ALL ON ${record} TO public; RESET ROLE`,
    );
    const [aTable] = await refusal('watched');
    assert.deepEqual((await client.query('SELECT * FROM calls')).rows, []);
    assert.ok(aView?.startsWith(`"public"."${record}" is no table`), aView);
    assert.ok(aTable?.startsWith(`the record "public"."${record}" is of role ${role}, which is neither`), aTable);
  });

  test('a database without the types of the archive, and one that takes no writes', async (t) => {
    const other = await testDatabase(t);
    const source = { name: 'other', url: other.url };
    assert.deepEqual(await refusal('fresh', { source, create: true }), [
      "type level of column level does not exist in the target; create it first: level (an enum of 'low', 'high')",
    ]);
    await other.client.query(`ALTER DATABASE ${other.name} SET default_transaction_read_only = on`);
    const fresh = await connect(other.url);
    t.after(() => fresh.end());
    const problems = await refusal('fresh', { source, create: true });
    assert.equal(problems[0], 'the server takes no writes: it is a standby, or default_transaction_read_only is on');
  });

  test('runs that are not there, and archives that have none', async () => {
    const [unknown] = await refusal('original', { run: '20200101T000000Z' });
    assert.match(
      unknown!,
      /^archive it has no run 20200101T000000Z in file:.*; the latest committed run is 20261123T020001Z$/,
    );
  });

  test('bounds of a key that the key cannot have', async () => {
    assert.deepEqual(await refusal('fresh', { create: true, keys: { from: 'x', to: '1,2' } }), [
      '--key-from x: invalid input syntax for type integer: "x"',
      '--key-to 1,2: invalid input syntax for type integer: "1,2"',
    ]);
  });

  test('objects that are missing or of another size, each by its name', async () => {
    const names = (await readdir(folder)).filter((name) => name.startsWith('part-'));
    assert.ok(names.length >= 3);
    await rm(path.join(folder, names[0]!));
    await truncate(path.join(folder, names[2]!), 10);
    const problems = await refusal('fresh', { create: true });
    assert.equal(problems.length, 2);
    assert.match(problems[0]!, /^object it\/run=.*\/part-00000\.jsonl\.gz is missing in file:/);
    assert.match(problems[1]!, /^object it\/run=.*\/part-00002\.jsonl\.gz has 10 bytes, and \d+ in the manifest/);
  });
});
