/** What rows may fail by though they were fine where they came from: said before the first row, with the way out, which works. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { testDatabase, type TestDatabase } from '../../support/postgres.ts';
import { countRows, difference, openYard, type Yard } from './support.ts';

const SEGMENTS = { by: 'key', targetSize: '2KiB' };

let database: TestDatabase;
let yard: Yard;

before(async () => {
  database = await testDatabase();
  yard = await openYard(database);
});

describe('a table that refers to itself', () => {
  test('is refused where its rows come in several objects, with statements that bring it back', async () => {
    await database.client.query(
      `CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree);
       INSERT INTO tree SELECT i, CASE WHEN i < 300 THEN i + 1 END FROM generate_series(1, 300) AS i;
       CREATE TABLE tree_back (id int PRIMARY KEY, parent int CONSTRAINT up REFERENCES tree_back)`,
    );
    const { objects } = await yard.archive({ table: 'tree', segments: SEGMENTS });
    assert.ok(objects > 2);
    const { status, problems } = await yard.restore('tree_back');
    assert.equal(status, 'refused');
    const [, drop, add, validate] =
      /^"public"\."tree_back" refers to itself by "up", .* not there yet: .*--self-references later does (ALTER TABLE .*); and after the restore, (ALTER .* NOT VALID); (ALTER .* VALIDATE CONSTRAINT "up")$/.exec(
        problems.join('\n'),
      ) ?? [];
    assert.ok(drop !== undefined, problems.join('\n'));
    await database.client.query(drop);
    assert.equal((await yard.restore('tree_back')).status, 'restored');
    await database.client.query(`${add}; ${validate}`);
    assert.deepEqual(await difference(database.client, 't.*', 'tree', 'tree_back'), []);
  });

  test('comes back in one object, as the key is checked at its end', async () => {
    await yard.archive({ table: 'tree', segments: { by: 'none' } });
    await database.client.query('TRUNCATE tree_back');
    assert.equal((await yard.restore('tree_back')).status, 'restored');
    await database.client.query('DROP TABLE tree_back');
  });
});

test('foreign keys to others and exclusion constraints are named, and disabled ones are not', async () => {
  await database.client.query(
    `CREATE TABLE town (id int PRIMARY KEY); INSERT INTO town VALUES (1);
     CREATE TABLE stay (id int PRIMARY KEY, town int REFERENCES town, during int4range, EXCLUDE USING gist (during WITH &&));
     INSERT INTO stay VALUES (1, 1, '[1,3)'), (2, 1, '[3,5)');
     CREATE TABLE stay_back (id int PRIMARY KEY, town int CONSTRAINT at REFERENCES town, during int4range, CONSTRAINT once EXCLUDE USING gist (during WITH &&))`,
  );
  await yard.archive({ table: 'stay' });
  const first = await yard.restore('stay_back');
  assert.equal(first.status, 'restored', JSON.stringify(first.error));
  assert.deepEqual(first.warnings, [
    '"public"."stay_back" refers to public.town by "at": an object with a row that refers to nothing there fails',
    '"public"."stay_back" has the exclusion constraint "once": an object with a row that it excludes fails; to restore all and look afterwards, ' +
      'ALTER TABLE "public"."stay_back" DROP CONSTRAINT "once"; and after the restore, ALTER TABLE "public"."stay_back" ADD CONSTRAINT "once" EXCLUDE USING gist (during WITH &&)',
  ]);
  await database.client.query(
    `DELETE FROM stay_back WHERE id = 1; UPDATE stay_back SET id = 9, during = '[2,9)'; ALTER TABLE stay_back DISABLE TRIGGER ALL`,
  );
  const second = await yard.restore('stay_back');
  assert.equal(second.error?.code, 'constraint-violated');
  assert.match(second.error.hint, /^An exclusion constraint keeps rows out/);
  assert.ok(!second.warnings.some((warning) => warning.includes('public.town')), second.warnings.join('\n'));
});

describe('a partitioned table', () => {
  before(async () => {
    await database.client.query(
      'CREATE TABLE flat (id int PRIMARY KEY, v text); INSERT INTO flat SELECT i, i FROM generate_series(1, 300) AS i',
    );
    await yard.archive({ table: 'flat', segments: SEGMENTS });
  });

  test('without the partitions for the ends of the key is refused, and takes the rows once they are there', async () => {
    await database.client.query('CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)');
    const none = await yard.restore('parts');
    assert.deepEqual(none.problems, ['"public"."parts" has no partition that takes rows: create its partitions first']);
    await database.client.query(
      `CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (290);
       CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (400) TO (500) PARTITION BY RANGE (id);
       CREATE TABLE parts_2_1 PARTITION OF parts_2 FOR VALUES FROM (400) TO (450)`,
    );
    const refused = await yard.restore('parts');
    assert.equal(refused.status, 'refused');
    assert.match(
      refused.problems.join('\n'),
      /^"public"\."parts" has no partition for keys of objects with \(\d+\) to \(300\): create/,
    );
    assert.equal((await yard.restore('parts', { keys: { to: '200' } })).rows, 200);
    await database.client.query('TRUNCATE parts; CREATE TABLE parts_3 PARTITION OF parts DEFAULT');
    assert.deepEqual((await yard.restore('parts')).rows, 300);
  });

  test('by another column is warned of, and a row that goes nowhere says what is missing', async () => {
    await database.client.query(
      `CREATE TABLE by_v (id int, v text) PARTITION BY LIST (v); CREATE TABLE by_v_1 PARTITION OF by_v FOR VALUES IN ('1')`,
    );
    const { warnings, error } = await yard.restore('by_v');
    assert.deepEqual(warnings, [
      '"public"."by_v" has no DEFAULT partition: an object with a row that no partition takes fails',
    ]);
    assert.equal(error?.code, 'constraint-violated');
    assert.match(error.hint, /^The table has no partition for this row: create it/);
  });
});

test('tables that inherit are told of by the manifest, and by the target', async () => {
  await database.client.query(
    `CREATE TABLE elder (id int PRIMARY KEY); CREATE TABLE heir () INHERITS (elder);
     INSERT INTO elder VALUES (1); INSERT INTO heir VALUES (2)`,
  );
  await yard.archive({ table: 'elder' });
  await database.client.query('TRUNCATE elder');
  const { rows, warnings } = await yard.restore('elder');
  assert.equal(rows, 2);
  assert.deepEqual(warnings, [
    'tables inherit from "public"."elder": all rows go into it alone, and none into them',
    'the archive holds the rows of the tables that inherit from public.elder as well: all go into "public"."elder"',
  ]);
  assert.equal(await countRows(database.client, 'ONLY elder'), 2);
});

test('rows of tables that inherit, with the same key, are not taken for rows that are there already', async () => {
  await database.client.query(
    `CREATE TABLE aunt (id int PRIMARY KEY, v text); CREATE TABLE niece () INHERITS (aunt);
     INSERT INTO aunt VALUES (1, 'her own'); INSERT INTO niece VALUES (1, 'of the niece');
     CREATE TABLE keyed (LIKE aunt INCLUDING ALL); CREATE TABLE bare (LIKE aunt)`,
  );
  await yard.archive({ table: 'aunt' });
  for (const options of [{ onConflict: 'skip' }, { onConflict: 'skip', create: true }] as const) {
    const { status, problems } = await yard.restore('create' in options ? 'made' : 'keyed', options);
    assert.equal(status, 'refused');
    assert.match(problems.join(), /skip would lose all but one of them/);
  }
  const { error } = await yard.restore('keyed');
  assert.equal(error?.code, 'row-exists');
  assert.match(error.hint, /^The archive holds the rows of tables that inherit.* Restore into a table without this/);
  assert.equal((await yard.restore('bare')).status, 'restored');
  assert.equal(await countRows(database.client, 'bare'), 2);
});

test('a run that was resumed says what can be twice, and does not send anybody to skip', async () => {
  await database.client.query(
    `CREATE TABLE member (id int PRIMARY KEY, email text);
     INSERT INTO member SELECT i, CASE WHEN i < 300 THEN 'm' || i ELSE 'm1' END FROM generate_series(1, 300) AS i;
     CREATE TABLE member_back (id int PRIMARY KEY, email text UNIQUE)`,
  );
  const { run } = await yard.archive({ table: 'member', segments: SEGMENTS });
  const before = await yard.restore('member_back');
  assert.match(before.error?.hint ?? '', /pass over them with --on-conflict skip/);
  await database.client.query(
    'DROP TABLE member_back; CREATE TABLE member_back (id int PRIMARY KEY, email text UNIQUE)',
  );
  await yard.changeManifest(run, (manifest) => {
    manifest.consistency = 'resumed';
    manifest.snapshots = [{ ...manifest.snapshot, takenAt: '2026-11-23T02:00:00.000Z' }, manifest.snapshot];
  });
  const { error, warnings } = await yard.restore('member_back');
  assert.equal(error?.code, 'row-exists');
  assert.match(
    error.hint,
    /^The objects of this run were not read under one snapshot: .*--on-conflict skip would lose one of the two rows\. .*HAVING count/,
  );
  assert.match(
    warnings[0] ?? '',
    /^the run was resumed, so its objects are of 2 moments, 2026-11-23T02:00:00\.000Z to .*: a row whose key changed in between can be there twice or not at all, and what is unique beside \(id\) can be there twice; afterwards, SELECT "id" FROM "public"\."member_back" GROUP BY "id" HAVING count\(\*\) > 1, and the same/,
  );
});

test('a range of the key goes by the order of the table also where rows come by their values', async () => {
  await database.client.query(
    `CREATE TABLE words (id text COLLATE "und-x-icu" PRIMARY KEY); INSERT INTO words VALUES ('a'), ('B'), ('b'), ('C');
     CREATE TABLE words_back (LIKE words INCLUDING ALL)`,
  );
  const { run } = await yard.archive({ table: 'words', segments: { by: 'none' } });
  await yard.changeManifest(run, ({ objects }) => {
    objects[0]!.longestLine = 1_080_000_000;
  });
  const { status, error } = await yard.restore('words_back', { keys: { from: 'a', to: 'B' } });
  assert.equal(status, 'restored', JSON.stringify(error));
  const { rows } = await database.client.query('SELECT id FROM words_back ORDER BY id');
  assert.deepEqual(rows, [{ id: 'a' }, { id: 'b' }, { id: 'B' }]);
});

describe('an object with a line that COPY does not take', () => {
  let run = '';

  before(async () => {
    await database.client.query(
      `CREATE DOMAIN raw AS bytea CHECK (length(VALUE) < 400000);
       CREATE TABLE wide (id int PRIMARY KEY, tabs text, bytes bytea, raw raw, short varchar(3));
       INSERT INTO wide SELECT i, repeat(E'\\t\\n\\\\N', 40000 * i), decode(repeat('00ff5c', 50001 * i), 'hex'), '\\x00', 'abc'
         FROM generate_series(0, 2) AS i;
       INSERT INTO wide VALUES (3, NULL, NULL, '', NULL)`,
    );
    ({ run } = await yard.archive({ table: 'wide', segments: { by: 'none' } }));
    await yard.changeManifest(run, ({ objects }) => {
      objects[0]!.longestLine = 1_080_000_000;
    });
  });

  test('comes back by its values, which is said', async () => {
    const { warnings, status, rows, error } = await yard.restore('wide_back', { create: true });
    assert.equal(status, 'restored', JSON.stringify(error));
    assert.equal(rows, 4);
    assert.match(
      warnings.join('\n'),
      /^a line of it\/run=.*\/part-00000\.jsonl\.gz has 1,080,000,000 bytes, and COPY takes rows of 1,073,741,823 at most, .*: restore brings this object value by value/,
    );
    assert.deepEqual(await difference(database.client, 't.*', 'wide', 'wide_back'), []);
  });

  test('is passed over row by row where rows are there, and chosen from by a range', async () => {
    await database.client.query('DELETE FROM wide_back WHERE id IN (1, 3)');
    const skipping = await yard.restore('wide_back', { onConflict: 'skip' });
    assert.deepEqual([skipping.status, skipping.rows, skipping.skipped], ['restored', 2, 2]);
    assert.deepEqual(await difference(database.client, 't.*', 'wide', 'wide_back'), []);
    await database.client.query('TRUNCATE wide_back');
    const range = await yard.restore('wide_back', { keys: { from: '1', to: '2' } });
    assert.deepEqual([range.status, range.rows], ['restored', 2]);
    assert.deepEqual(
      await difference(database.client, 't.*', '(SELECT * FROM wide WHERE id IN (1, 2))', 'wide_back'),
      [],
    );
  });

  test('is refused where rules would see its rows, or fails whole where a value does not fit', async () => {
    await database.client.query(
      `TRUNCATE wide_back; CREATE RULE wide_rule AS ON INSERT TO wide_back WHERE NEW.id = 2 DO INSTEAD NOTHING`,
    );
    const ruled = await yard.restore('wide_back');
    assert.match(
      ruled.problems.join(),
      /a row that is too long for COPY does not go with rules, and .* has "wide_rule"/,
    );
    await database.client.query(
      `DROP RULE wide_rule ON wide_back; ALTER TABLE wide_back ADD CHECK (id < 2 OR raw <> '\\x00');
       CREATE FUNCTION no_copy() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN IF current_query() LIKE 'COPY%' THEN RAISE 'by COPY'; END IF; RETURN NEW; END $$;
       CREATE TRIGGER no_copy BEFORE INSERT ON wide_back FOR EACH ROW EXECUTE FUNCTION no_copy()`,
    );
    const { status, error } = await yard.restore('wide_back');
    assert.deepEqual([status, error?.code], ['failed', 'constraint-violated']);
    assert.equal(await countRows(database.client, 'wide_back'), 0);
  });

  test('is damaged when it is not what the manifest says, and nothing of it is restored', async () => {
    await database.client.query('DROP TABLE wide_back');
    await yard.changeManifest(run, ({ objects }) => {
      objects[0]!.crc32 = '00000000';
    });
    const { status, error } = await yard.restore('wide_back', { create: true });
    assert.deepEqual([status, error?.code], ['failed', 'object-damaged']);
    assert.equal(await countRows(database.client, 'wide_back'), 0);
  });
});

test('a composite whose type got attributes, or has them in another order, comes back by their names', async () => {
  await database.client.query(
    `CREATE TYPE spot AS (x int, y text); CREATE TABLE spots (id int PRIMARY KEY, at spot, all_at spot[]);
     INSERT INTO spots VALUES (1, (1, 'a,"b'), ARRAY[(2, NULL)::spot]), (2, NULL, NULL)`,
  );
  await yard.archive({ table: 'spots' });
  await database.client.query('ALTER TYPE spot ADD ATTRIBUTE z int CASCADE');
  const grown = await yard.restore('spots_back', { create: true });
  assert.equal(grown.status, 'restored', JSON.stringify(grown.error));
  assert.deepEqual(grown.warnings, [
    'column at: the archive has no values of spot."z", which come back as NULL',
    'column all_at: the archive has no values of spot."z", which come back as NULL',
  ]);
  assert.deepEqual(await difference(database.client, 't.*', 'spots', 'spots_back'), []);
  await database.client.query('ALTER TYPE spot DROP ATTRIBUTE y CASCADE');
  const { status, problems } = await yard.restore('spots_less', { create: true });
  assert.equal(status, 'refused');
  assert.equal(
    problems[0],
    'column at would be spot (of "x" integer, "z" integer) here, and is spot (of "x" integer, "y" text) in the archive',
  );
});
