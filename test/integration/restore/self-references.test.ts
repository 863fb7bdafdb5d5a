/** Foreign keys of a table to itself: objects one after the other, or the key dropped meanwhile; whatever breaks it off, it comes back. */
import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import type { Client } from 'pg';
import type { RestoreResult } from '../../../src/restore/request.ts';
import { eventually } from '../../support/cli.ts';
import { connect, testDatabase, type TestDatabase } from '../../support/postgres.ts';
import { countRows, difference, openYard, recordsIn, type Yard } from './support.ts';

const ROWS = 300;
const SEGMENTS = { by: 'key', targetSize: '8KiB' };
/** The row that waits where a test holds the lock. */
const WAITS = 200;
const HOLD = 4711;

let database: TestDatabase;
let client: Client;
let yard: Yard;
/** The latest run is of all rows, which refer to later ones; these are of a part of them, and of rows that refer to earlier ones. */
let part: string;
let stem: string;

before(async () => {
  database = await testDatabase();
  ({ client } = database);
  yard = await openYard(database);
  await client.query(
    `CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree);
     INSERT INTO tree SELECT i, CASE WHEN i < ${ROWS} THEN i + 1 END FROM generate_series(1, ${ROWS}) AS i;
     CREATE TABLE stem (id int PRIMARY KEY, parent int);
     INSERT INTO stem SELECT i, CASE WHEN i > 1 THEN i - 1 END FROM generate_series(1, ${ROWS}) AS i`,
  );
  part = (await yard.archive({ table: 'tree', segments: SEGMENTS, where: 'id < 250' })).run;
  stem = (await yard.archive({ table: 'stem', segments: SEGMENTS })).run;
  const { objects } = await yard.archive({ table: 'tree', segments: SEGMENTS });
  assert.ok(objects > 2, `${objects} objects`);
});

const DEFINITION =
  'FOREIGN KEY (parent) REFERENCES back(id) ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED';

async function makeTarget(definition = DEFINITION): Promise<void> {
  await client.query(
    `DROP TABLE IF EXISTS back; CREATE TABLE back (id int PRIMARY KEY, parent int, CONSTRAINT "to ""up" ${definition});
     COMMENT ON CONSTRAINT "to ""up" ON back IS E'it''s \\\\ the\\ntree'`,
  );
}
beforeEach(() => makeTarget());

interface Standing {
  definition: string;
  comment: string;
}

async function foreignKeys(): Promise<Standing[]> {
  const { rows } = await client.query<Standing>(
    `SELECT pg_get_constraintdef(oid) AS definition, obj_description(oid) AS comment FROM pg_constraint
     WHERE conrelid = 'back'::regclass AND contype = 'f'`,
  );
  return rows;
}

async function recordOf(): Promise<string | undefined> {
  return (await recordsIn(client))[0];
}

/** All rows, the key as it was, and no record. */
async function assertWhole(result: RestoreResult): Promise<void> {
  assert.equal(result.status, 'restored', JSON.stringify(result));
  assert.equal(result.dropped, undefined);
  assert.deepEqual(await difference(client, 't.*', 'tree', 'back'), []);
  assert.deepEqual(await foreignKeys(), [{ definition: DEFINITION, comment: "it's \\ the\ntree" }]);
  assert.equal(await recordOf(), undefined);
}

describe('--self-references later', () => {
  test('drops the key, and brings it back as it was, with all rows looked at', async () => {
    const result = await yard.restore('back', { selfReferences: 'later' });
    await assertWhole(result);
    assert.deepEqual(result.warnings, [
      '"public"."back" is without its foreign keys "to ""up" until the restore is done: they are added again at its end, and all rows are looked at',
    ]);
  });

  describe('that is broken off', () => {
    let holder: Client;

    before(async () => {
      await client.query(
        `CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_advisory_xact_lock_shared(${HOLD}); RETURN NEW; END $$`,
      );
    });
    beforeEach(async () => {
      await client.query(
        `CREATE TRIGGER wait BEFORE INSERT ON back FOR EACH ROW WHEN (NEW.id = ${WAITS}) EXECUTE FUNCTION wait()`,
      );
      holder = await connect(database.url);
      await holder.query(`SELECT pg_advisory_lock(${HOLD})`);
    });
    afterEach(() => holder.end());

    const waitsFor = (statement: string): Promise<unknown> =>
      eventually(`${statement} waits`, async () => {
        const { rowCount } = await client.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'pgsluice%'
             AND wait_event_type = 'Lock' AND query LIKE $1`,
          [`${statement}%`],
        );
        return rowCount !== null && rowCount > 0;
      });

    /** Ends all its sessions, as its kill would. */
    async function breakOff(restoring: Promise<RestoreResult>): Promise<RestoreResult> {
      await client.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'pgsluice%'`,
      );
      const result = await restoring;
      await holder.end();
      assert.equal(result.status, 'failed', JSON.stringify(result));
      return result;
    }

    const begin = async (): Promise<Promise<RestoreResult>[]> => {
      const restoring = yard.restore('back', { selfReferences: 'later' });
      await waitsFor('COPY');
      await eventually('some objects are in', async () => (await countRows(client, 'back')) > 0);
      return [restoring];
    };

    /** Up to the ADD CONSTRAINT, which waits for another session's insert. */
    const beginToAdd = async (): Promise<Promise<RestoreResult>[]> => {
      const restoring = await begin();
      await holder.query(`BEGIN; LOCK TABLE back IN ROW EXCLUSIVE MODE; SELECT pg_advisory_unlock(${HOLD})`);
      await waitsFor('ALTER TABLE "public"."back" ADD');
      return restoring;
    };

    test('between two objects goes on without being asked to, and says meanwhile what is dropped', async () => {
      const [restoring] = await begin();
      const { dropped, error } = await breakOff(restoring!);
      assert.deepEqual(await foreignKeys(), []);
      assert.deepEqual(dropped, [
        'ALTER TABLE "public"."back" ADD CONSTRAINT "to ""up" FOREIGN KEY (parent) REFERENCES "public"."back" (id) ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED NOT VALID',
        'ALTER TABLE "public"."back" VALIDATE CONSTRAINT "to ""up"',
      ]);
      assert.equal(error?.code, 'session-lost');
      await assertWhole(await yard.restore('back'));
    });

    test('before the key is there again goes on', async () => {
      const [restoring] = await beginToAdd();
      await breakOff(restoring!);
      assert.deepEqual([await foreignKeys(), await countRows(client, 'back')], [[], ROWS]);
      await assertWhole(await yard.restore('back'));
    });

    test('between the key and the look at all rows goes on', async (t) => {
      const [restoring] = await beginToAdd();
      // Whoever asks for a lock after the ADD gets it before the VALIDATE.
      const next = await connect(database.url);
      t.after(() => next.end());
      const locked = next.query('BEGIN; LOCK TABLE back IN SHARE UPDATE EXCLUSIVE MODE');
      await eventually('the lock is asked for', async () => {
        const { rowCount } = await client.query(
          "SELECT FROM pg_locks WHERE relation = 'back'::regclass AND mode = 'ShareUpdateExclusiveLock' AND NOT granted",
        );
        return rowCount === 1;
      });
      await holder.query('ROLLBACK');
      await locked;
      await waitsFor('ALTER TABLE "public"."back" VALIDATE');
      await breakOff(restoring!);
      await next.end();
      assert.deepEqual(
        (await foreignKeys()).map(({ definition }) => definition),
        [`${DEFINITION} NOT VALID`],
      );
      await assertWhole(await yard.restore('back', { selfReferences: 'ordered' }));
    });

    test('before its record is gone goes on', async () => {
      const [restoring] = await begin();
      await holder.query(`BEGIN; TABLE ${await recordOf()}; SELECT pg_advisory_unlock(${HOLD})`);
      await waitsFor('DROP TABLE');
      await breakOff(restoring!);
      assert.equal((await foreignKeys())[0]?.definition, DEFINITION);
      await assertWhole(await yard.restore('back', { selfReferences: 'later' }));
    });

    test('and whose record a crash empties says what is dropped, and puts it back with the rows that are missing', async () => {
      const [restoring] = await begin();
      await breakOff(restoring!);
      await client.query(`TRUNCATE ${await recordOf()}`);
      const { status, problems } = await yard.restore('back');
      assert.equal(status, 'refused');
      assert.match(problems[0] ?? '', /a crash of the server emptied its record/);
      assert.match(
        problems[1] ?? '',
        /^"public"\."back" is without "to ""up" until a restore into it is done; before its record is dropped, put back what is missing, and validate it once its rows are whole: ALTER TABLE .* ADD CONSTRAINT .*; ALTER TABLE .* VALIDATE/,
      );
      await client.query('ALTER TABLE back ADD CONSTRAINT never CHECK (id < 299)');
      assert.equal((await yard.restore('back', { onConflict: 'skip' })).error?.code, 'constraint-violated');
      await client.query('ALTER TABLE back DROP CONSTRAINT never');
      await assertWhole(await yard.restore('back', { onConflict: 'skip' }));
    });

    test('and whose record somebody has changed is refused', async () => {
      const [restoring] = await begin();
      await breakOff(restoring!);
      const record = await recordOf();
      for (const referred of ['(id), ADD COLUMN x int', '(id); DROP TABLE tree', '(f(id))'])
        await client.query(
          `COMMENT ON TABLE ${record} IS E'about\\n[{"name":"k","definition":{"referring":"FOREIGN KEY (parent)","referred":"${referred}"},"isValidated":true,"comment":null}]'`,
        );
      const { status, problems } = await yard.restore('back');
      assert.equal(status, 'refused');
      assert.match(problems.join('\n'), /names foreign keys that a restore has dropped, and was changed: add them/);
      await client.query(`DROP TABLE ${record}`);
    });
  });

  test('fails at the end where rows refer to nothing: the key is there, and new rows are held to it', async () => {
    const { status, rows, error, dropped } = await yard.restore('back', { run: part, selfReferences: 'later' });
    assert.deepEqual([status, rows, dropped], ['failed', 249, undefined]);
    assert.equal(error?.code, 'constraint-violated');
    assert.match(error.message, /^all rows were restored, and some of "public"\."back" refer by "to ""up" to rows/);
    const [, validate] = /(ALTER TABLE .* VALIDATE CONSTRAINT "to ""up")/.exec(error.hint) ?? [];
    assert.equal((await foreignKeys())[0]?.definition, `${DEFINITION} NOT VALID`);
    assert.equal(await recordOf(), undefined);
    await client.query('INSERT INTO back VALUES (250, NULL)');
    await client.query(validate ?? '');
    assert.equal((await foreignKeys())[0]?.definition, DEFINITION);
  });

  test('leaves a key that was NOT VALID as it was, and what lies in one object alone', async () => {
    await makeTarget(DEFINITION);
    await client.query(
      `ALTER TABLE back DROP CONSTRAINT "to ""up"; ALTER TABLE back ADD CONSTRAINT "to ""up" ${DEFINITION} NOT VALID`,
    );
    assert.equal((await yard.restore('back', { selfReferences: 'later' })).status, 'restored');
    assert.equal((await foreignKeys())[0]?.definition, `${DEFINITION} NOT VALID`);
    await makeTarget();
    const { warnings } = await yard.restore('back', { selfReferences: 'later', keys: { from: `${ROWS}` } });
    assert.deepEqual([warnings, await countRows(client, 'back')], [[], 1]);
  });

  test('is refused, and changes nothing, where the key would not come back as it is', async () => {
    const refused = async (): Promise<string> => {
      const { status, problems } = await yard.restore('back', { selfReferences: 'later' });
      assert.deepEqual([status, await recordOf()], ['refused', undefined]);
      assert.equal((await foreignKeys())[0]?.definition, DEFINITION);
      return problems.join('\n');
    };
    const { rows } = await client.query<{ name: string }>(
      `SELECT quote_ident(tgname) AS name FROM pg_trigger WHERE tgrelid = 'back'::regclass AND tgisinternal LIMIT 1`,
    );
    await client.query(`ALTER TABLE back ENABLE ALWAYS TRIGGER ${rows[0]!.name}`);
    assert.match(
      await refused(),
      /could not be added again as it is: .*its triggers are not as it made them; drop it yourself/,
    );
    await makeTarget();
    await client.query(
      `CREATE ROLE ${database.name}; GRANT ALL ON SCHEMA public TO ${database.name}; GRANT ALL ON back TO ${database.name}`,
    );
    const url = new URL(database.url);
    const source = { ...yard.config.sources['default']!, url: url.href };
    await client.query(`ALTER ROLE ${database.name} LOGIN PASSWORD 'x'`);
    url.username = database.name;
    url.password = 'x';
    const { problems } = await yard.restore('back', { selfReferences: 'later', source: { ...source, url: url.href } });
    assert.match(
      problems.join('\n'),
      /could not be added again as it is: must be owner of table back; drop it yourself/,
    );
    assert.equal((await foreignKeys())[0]?.definition, DEFINITION);
    await client.query(`DROP OWNED BY ${database.name}; DROP ROLE ${database.name}`);
  });

  test('does for a partitioned table what its version can', async () => {
    await client.query(
      `DROP TABLE back; CREATE TABLE back (id int PRIMARY KEY, parent int CONSTRAINT up REFERENCES back) PARTITION BY RANGE (id);
       CREATE TABLE back_1 PARTITION OF back FOR VALUES FROM (0) TO (150);
       CREATE TABLE back_2 PARTITION OF back FOR VALUES FROM (150) TO (400)`,
    );
    const { status, problems } = await yard.restore('back', { selfReferences: 'later' });
    if (database.version < 18) assert.match(problems.join('\n'), /could not be added again as it is: .*NOT VALID/);
    else assert.equal(status, 'restored', problems.join('\n'));
    const keys = (await foreignKeys()).map(({ definition }) => definition);
    assert.ok(keys.includes('FOREIGN KEY (parent) REFERENCES back(id)'), keys.join());
  });
});

describe('--self-references ordered', () => {
  test('brings rows that refer to earlier ones, with the key in place', async () => {
    await client.query(
      `CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END $$;
       CREATE TRIGGER dawdle BEFORE INSERT ON back FOR EACH ROW WHEN (NEW.id = 10) EXECUTE FUNCTION dawdle()`,
    );
    const { status, warnings, error } = await yard.restore('back', { run: stem, selfReferences: 'ordered' });
    assert.equal(status, 'restored', JSON.stringify(error));
    assert.deepEqual(warnings.slice(1), [
      '"public"."back" refers to itself by "to ""up": its objects are restored one after the other',
    ]);
    assert.deepEqual(await difference(client, 't.*', 'stem', 'back'), []);
  });

  test('fails at a row that refers to a later one, and later goes on from there', async () => {
    const { error } = await yard.restore('back', { selfReferences: 'ordered' });
    assert.equal(error?.code, 'constraint-violated');
    assert.match(error.hint, /--self-references later goes on with what is missing/);
    await assertWhole(await yard.restore('back', { selfReferences: 'later' }));
  });
});
