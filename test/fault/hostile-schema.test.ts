/** A low user may create functions, operators and types in a schema that comes first on our search path: none of them runs as us. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type { Manifest } from '../../src/ledger/manifest.ts';
import { createLog } from '../../src/base/log.ts';
import { NEVER } from '../../src/base/signals.ts';
import { endConnection } from '../../src/postgres/connect.ts';
import { purgeRun } from '../../src/purge/purge-run.ts';
import { checkOnline } from '../../src/run/check-online.ts';
import { openLock } from '../../src/run/lock.ts';
import type { RunResult } from '../../src/run/run-archive.ts';
import { callsOfDoubles, createHostileSchema, searchingIn } from '../support/hostile-schema.ts';
import { connect, testDatabase, type TestDatabase } from '../support/postgres.ts';
import { oracleLines } from '../support/read-lines.ts';
import { difference, openYard, type Yard } from '../integration/restore/support.ts';

const ROWS = 3000;

/** Its order is that of an extension's type: the operators are in a schema that is on nobody's search path. */
const WORD_TYPE = `
CREATE TYPE app.word;
CREATE FUNCTION app.word_in(cstring) RETURNS app.word LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION app.word_out(app.word) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE app.word (INPUT = app.word_in, OUTPUT = app.word_out, LIKE = text);
CREATE FUNCTION app.cmp(app.word, app.word) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'bttext_pattern_cmp';
${Object.entries({ lt: '<', le: '<=', ge: '>=', gt: '>' })
  .map(
    ([name, operator]) =>
      `CREATE FUNCTION app.${name}(app.word, app.word) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'text_pattern_${name}';
       CREATE OPERATOR app.${operator} (LEFTARG = app.word, RIGHTARG = app.word, FUNCTION = app.${name});`,
  )
  .join('\n')}
CREATE FUNCTION app.eq(app.word, app.word) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'texteq';
CREATE OPERATOR app.= (LEFTARG = app.word, RIGHTARG = app.word, FUNCTION = app.eq);
CREATE OPERATOR CLASS app.word_ops DEFAULT FOR TYPE app.word USING btree AS
  OPERATOR 1 app.<, OPERATOR 2 app.<=, OPERATOR 3 app.=, OPERATOR 4 app.>=, OPERATOR 5 app.>, FUNCTION 1 app.cmp(app.word, app.word);`;

const TABLES = `
CREATE TYPE app.mood AS ENUM ('calm', 'wild');
CREATE TYPE app.pair AS (x int, y text);
CREATE TABLE app.things (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, numbers int[], pair app.pair, mood app.mood, j json, jb jsonb,
  n numeric(20, 5), at timestamptz, bytes bytea, net inet, span interval, flags bit(3), words text[], word app.word);
INSERT INTO app.things (name, numbers, pair, mood, j, jb, n, at, bytes, net, span, flags, words, word)
  SELECT 'name ' || i, ARRAY[i, NULL], ROW(i, 'y')::app.pair, 'wild', '{"a": 1}', '{"b": 2}', i / 7.0, '2026-11-23 02:15:00.123456+01',
    '\\x00ff', '10.0.0.1', '1 day 02:00', B'101', ARRAY['a', NULL], ('w' || i)::app.word
  FROM generate_series(1, ${ROWS}) AS i;
CREATE TABLE app.worded (part int, word app.word, PRIMARY KEY (part, word));
INSERT INTO app.worded SELECT i % 3, ('w' || i)::app.word FROM generate_series(1, ${ROWS}) AS i;
CREATE TABLE app.purged (
  id int, mood app.mood, at timestamptz, j json, jb jsonb, words text[], parent int, PRIMARY KEY (id, mood), UNIQUE (id),
  FOREIGN KEY (parent) REFERENCES app.purged (id));
CREATE INDEX ON app.purged (parent);
CREATE TABLE app.referring (id int REFERENCES app.purged (id));
CREATE INDEX ON app.referring (id);
INSERT INTO app.purged SELECT i, 'calm', '2026-01-01', '{}', '{"a": null}', '{a,b}', CASE WHEN i > 1 THEN i / 2 END
  FROM generate_series(1, 100) AS i;
INSERT INTO app.purged VALUES (101, 'calm', NULL, NULL, 'null', '[0:1]={a,b}', 1);
INSERT INTO app.referring VALUES (50);
CREATE TABLE app.parted (id int NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE app.parted_1 PARTITION OF app.parted FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
CREATE TABLE app.parted_2 PARTITION OF app.parted FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
INSERT INTO app.parted SELECT i, date '2026-01-01' + i % 360 FROM generate_series(1, ${ROWS}) AS i;
ANALYZE`;

interface Case {
  archive: Record<string, unknown>;
  /** The same rows as SQL has them; what a restore is given, and which of the rows come back by it. */
  from: string;
  keys?: { from: string; to: string };
  kept?: string;
}

/** The SQL in them is the operator's, and names nothing that the search path finds. */
const CASES: Record<string, Case> = {
  'a table by its key': {
    archive: { table: 'app.things', segments: { by: 'key', targetSize: '64KiB' } },
    from: 'app.things',
    keys: { from: '5', to: '700' },
    kept: 'WHERE id BETWEEN 5 AND 700',
  },
  'a table by pages, with a filter, through a cursor': {
    archive: {
      table: 'app.things',
      where: 'id OPERATOR(pg_catalog.>) 10',
      segments: { by: 'pages', targetSize: '64KiB' },
      read: 'cursor',
    },
    from: '(SELECT * FROM app.things WHERE id > 10)',
  },
  "a table whose key has a type of an extension's": {
    archive: { table: 'app.worded', segments: { by: 'key', targetSize: '16KiB' } },
    from: 'app.worded',
    keys: { from: '1,w2', to: '2,w5' },
    kept: 'WHERE part = 1 AND word OPERATOR(app.>=) $$w2$$ OR part = 2 AND word OPERATOR(app.<=) $$w5$$',
  },
  'a partitioned table': {
    archive: { table: 'app.parted', segments: { by: 'auto', targetSize: '16KiB' } },
    from: 'app.parted',
  },
  'a query with a key': {
    archive: {
      query: 'SELECT * FROM app.things WHERE id OPERATOR(pg_catalog.<) 2000',
      key: ['id'],
      segments: { by: 'key', targetSize: '64KiB' },
    },
    from: '(SELECT * FROM app.things WHERE id < 2000)',
  },
};

describe('with doubles of all that Postgres has in front of it on the search path', () => {
  let database: TestDatabase;
  let yard: Yard;

  before(async () => {
    database = await testDatabase();
    await createHostileSchema(database.client);
    await database.client.query(`CREATE SCHEMA app; ${WORD_TYPE} ${TABLES}`);
    yard = await openYard({ ...database, url: searchingIn(database.url, 'hostile', 'pg_catalog') });
  });

  /** As a set, since segments by pages have no order. */
  async function linesOf({ manifest }: RunResult): Promise<string[]> {
    const { objects } = JSON.parse(await readFile(fileURLToPath(manifest ?? ''), 'utf8')) as Manifest;
    assert.ok(objects.length > 1, 'there is one segment only');
    const files = await Promise.all(objects.map(({ key }) => readFile(path.join(yard.folder, 'store', key))));
    return files.flatMap((file) => gunzipSync(file).toString().split('\n').slice(0, -1)).sort();
  }

  test('an unqualified statement falls for them', async () => {
    const client = await connect(yard.database.url);
    const statements = [
      `SELECT to_json('{1}'::pg_catalog.int4[])`,
      'SELECT pg_catalog.now() = pg_catalog.now()',
      'SELECT oid FROM pg_class',
      'SELECT count(*)',
      'SELECT min(1)',
      `SELECT 'a'::text`,
    ];
    try {
      for (const sql of statements)
        await assert.rejects(client.query(sql), /hijacked in|is not an aggregate function/, sql);
    } finally {
      await client.end();
    }
    assert.equal((await callsOfDoubles(database.client)).length, 5);
  });

  for (const [name, { archive, from, keys = {}, kept = '' }] of Object.entries(CASES)) {
    test(`none is called, and the lines and the rows that come back are the same: ${name}`, async () => {
      const { client } = database;
      const before = (await callsOfDoubles(client)).length;
      const result = await yard.archive(archive, { verifySource: true });
      assert.deepEqual(await linesOf(result), (await oracleLines(database.url, from)).sort());
      const restored = await yard.restore('back', { into: { schema: 'app', table: 'back' }, create: true, keys });
      assert.equal(restored.status, 'restored', JSON.stringify(restored));
      const differences = await difference(client, 't.*', `(SELECT * FROM ${from} AS t ${kept})`, 'app.back');
      await client.query('DROP TABLE app.back');
      assert.deepEqual(differences, []);
      assert.deepEqual((await callsOfDoubles(client)).slice(before), []);
    });
  }

  test('none is called by a restore that passes over rows and sets a sequence', async () => {
    const { client } = database;
    const before = (await callsOfDoubles(client)).length;
    await client.query('CREATE TABLE app.again (LIKE app.things INCLUDING ALL)');
    await yard.archive({ table: 'app.things' });
    const into = { schema: 'app', table: 'again' };
    for (const skipped of [0, ROWS]) {
      const result = await yard.restore('again', { into, onConflict: 'skip' });
      assert.equal(result.skipped, skipped, JSON.stringify(result));
    }
    const { rows } = await client.query(`INSERT INTO app.again (name) VALUES ('next') RETURNING id`);
    assert.deepEqual(rows, [{ id: ROWS + 1 }]);
    assert.deepEqual((await callsOfDoubles(client)).slice(before), []);
  });

  async function purge(archive: Record<string, unknown>, run?: string) {
    const { config } = yard;
    const it = { ...config.archives['it']!, ...archive, purge: { afterMs: 3_600_000, accept: [], ...archive } };
    const request = { archive: it, run, byAge: false, source: config.sources['default']!, execute: true };
    return purgeRun({ config, log: createLog({ level: 'silent' }), signal: NEVER }, request);
  }

  test('none is called by a purge of rows, and nothing is hidden by one', async () => {
    const { client } = database;
    const before = (await callsOfDoubles(client)).length;
    await yard.archive({ table: 'app.purged' });
    const { status, totals, problems, error } = await purge({});
    assert.equal(status, 'purged', JSON.stringify([problems, error]));
    // 50 is referred to, and refers to 25, and so on.
    assert.deepEqual([totals.deleted, totals.referenced, totals.inexact], [94, 6, 1]);
    // By a role that has another search path, types have other names.
    const { config } = yard;
    const source = { ...config.sources['default']!, url: database.url };
    const it = { ...config.archives['it']!, purge: { afterMs: 3_600_000, accept: [] } };
    const other = { archive: it, run: undefined, byAge: false, again: true, source, execute: false };
    const context = { config, log: createLog({ level: 'silent' }), signal: NEVER };
    assert.equal((await purgeRun(context, other)).status, 'counted');
    await client.query('CREATE TABLE app.falling (id int REFERENCES app.purged (id) ON DELETE CASCADE)');
    await yard.archive({ table: 'app.purged' });
    assert.deepEqual(
      (await purge({})).problems.map(({ code }) => code),
      ['purge-cascades', 'purge-unindexed-reference'],
    );
    assert.deepEqual((await callsOfDoubles(client)).slice(before), []);
  });

  test('none is called by a purge of a partition', async () => {
    const { client } = database;
    const before = (await callsOfDoubles(client)).length;
    const window = { column: 'at', every: 'partition' };
    await yard.run({ table: 'app.parted', window }, '20260101T000000Z');
    const { status, problems, error } = await purge({ then: 'drop' }, '20260101T000000Z');
    assert.equal(status, 'purged', JSON.stringify([problems, error]));
    const { rows } = await client.query(`SELECT to_regclass('app.parted_1') AS gone`);
    assert.deepEqual(rows, [{ gone: null }]);
    assert.deepEqual((await callsOfDoubles(client)).slice(before), []);
  });

  test('none is called by check, and by a run that is locked out', async () => {
    const { client } = database;
    const before = (await callsOfDoubles(client)).length;
    const { config } = yard;
    const findings = await checkOnline(config);
    assert.deepEqual(
      findings.filter(({ level }) => level === 'error'),
      [],
    );
    const target = { source: config.sources['default']!, archive: 'it', folderUrl: 'file:///somewhere' };
    const holder = await openLock(target);
    await assert.rejects(openLock(target), /holds its lock: "pgsluice it on /);
    await endConnection(holder);
    assert.deepEqual((await callsOfDoubles(client)).slice(before), []);
  });
});
