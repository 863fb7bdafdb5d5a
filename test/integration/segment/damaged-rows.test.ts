import assert from 'node:assert/strict';
import { closeSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Failure } from '../../../src/base/errors.ts';
import { runInProcess } from '../../support/in-process.ts';
import { connect, testDatabase, type TestDatabase, withDatabase } from '../../support/postgres.ts';
import { idsOf, partKey, RUN } from '../../support/segments.ts';
import { openSite, type Site } from '../../support/site.ts';

const READERS = ['copy', 'cursor'] as const;
/** So that each segment is told from the others by its range. */
const BIGGER = { by: 'key', targetSize: '100KiB', parallel: 1 };
const CUT = { segments: { by: 'key', targetSize: '8KiB', parallel: 1 } };

let site: Site;
let runs = 0;

before(async () => {
  site = await openSite();
});

/** Archives from that database; the name of the archive, and the failure of its run, if it failed. */
async function archive(
  { url }: { url: string },
  parts: object,
): Promise<{ name: string; failure: Failure | undefined }> {
  runs += 1;
  const name = `run_${runs}`;
  const config = await site.writeConfig({ sources: { default: { url } }, archives: { [name]: { ...CUT, ...parts } } });
  const { result } = await runInProcess(site, config, name, RUN);
  return { name, failure: result.error };
}

/** That the failure names the segment's range, and the row before `id`: the key begins a range, or is that of the last row. */
function assertPlace({ message }: Failure, id: number): void {
  const range = / \(in (?:from \((\d+)\))? ?(?:below \((\d+)\))?, after (\d+) rows?/.exec(message);
  assert.ok(range !== null, message);
  const [from, below] = [Number(range[1] ?? 1), Number(range[2] ?? Infinity)];
  assert.ok(from <= id && id < below, message);
  assert.match(message, new RegExp(`; the last of them has the key \\(id\\) = \\(${id - 1}\\)\\)`));
}

describe('text that is not in the encoding of its database', () => {
  let server: TestDatabase;
  let ascii: { url: string };

  before(async () => {
    server = await testDatabase();
    const { client, name, url } = server;
    await client.query(`CREATE DATABASE ${name}_ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0`);
    ascii = { url: withDatabase(url, `${name}_ascii`) };
    const second = await connect(ascii.url);
    await second.query(
      `CREATE TABLE t (id int PRIMARY KEY, v text);
       INSERT INTO t SELECT i, 'v' || CASE WHEN i = 500 THEN convert_from('\\xe9', 'SQL_ASCII') ELSE 'é' END
       FROM generate_series(1, 900) AS i; ANALYZE t`,
    );
    await second.end();
  });
  after(async () => {
    await server.client.query(`DROP DATABASE ${server.name}_ascii WITH (FORCE)`);
  });

  for (const read of READERS)
    test(`fails by ${read}, and the place is named`, async () => {
      const { failure } = await archive(ascii, { table: 't', read });
      assert.deepEqual([failure?.code, failure?.transient], ['invalid-bytes', false]);
      assert.match(failure!.message, /invalid byte sequence for encoding "UTF8": 0xe9/);
      assertPlace(failure!, 500);
    });

  test('is got out as the failure says', async () => {
    const { failure } = await archive(ascii, { table: 't' });
    const [expression = ''] = /convert_from\(.*\) AS v/.exec(failure?.hint ?? '') ?? [];
    const bad = await archive(ascii, { query: `SELECT id, ${expression} FROM t WHERE id = 500`, segments: {} });
    assert.deepEqual(await site.lines(bad.name, RUN), ['{"id":500,"v":"vé"}']);
    const rest = await archive(ascii, { table: 't', where: 'id <> 500' });
    assert.equal((await idsOf(site, rest.name)).length, 899);
  });
});

describe('text that is no UTF-8 in a database that says it is', () => {
  let server: TestDatabase;
  let lying: { url: string };

  before(async () => {
    server = await testDatabase();
    const { client, name, url } = server;
    lying = { url: withDatabase(url, `${name}_lying`) };
    await client.query(`CREATE DATABASE ${name}_lying ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0`);
    const second = await connect(lying.url);
    // Texts of U+FFFD, which is none that came in the place of another; one byte, and three as U+FFFD has.
    await second.query(
      `CREATE TABLE t (id int PRIMARY KEY, v text);
       INSERT INTO t SELECT i, repeat('\u{FFFD}', i % 7) FROM generate_series(1, 900) AS i; CREATE TABLE u (LIKE t);
       UPDATE t SET v = convert_from('\\x4de9', 'SQL_ASCII') WHERE id = 500;
       INSERT INTO u VALUES (1, convert_from('\\xf09f98', 'SQL_ASCII')); ANALYZE`,
    );
    await second.end();
    await client.query(`UPDATE pg_database SET encoding = pg_char_to_encoding('UTF8') WHERE datname = $1`, [
      `${name}_lying`,
    ]);
  });
  after(async () => {
    await server.client.query(`DROP DATABASE ${server.name}_lying WITH (FORCE)`);
  });

  test('fails by cursor, which cannot keep it, and is got out as the failure says', async () => {
    const { failure } = await archive(lying, { table: 't', read: 'cursor' });
    assert.deepEqual([failure?.code, failure?.transient], ['invalid-bytes', false]);
    assert.match(failure!.message, /not in UTF-8, though its database says that it is \(in v\)/);
    assertPlace(failure!, 500);
    const wide = await archive(lying, {
      query: 'SELECT id, v FROM u WHERE id > $1',
      params: [0],
      read: 'cursor',
      segments: {},
    });
    assert.equal(wide.failure?.code, 'invalid-bytes');
    const [expression = ''] = /convert_from\(.*\) AS v/.exec(failure?.hint ?? '') ?? [];
    const bad = await archive(lying, { query: `SELECT ${expression} FROM t WHERE id = 500`, segments: {} });
    assert.deepEqual(await site.lines(bad.name, RUN), ['{"v":"Mé"}']);
    const rest = await archive(lying, { table: 't', read: 'cursor', where: 'id <> 500' });
    assert.equal((await idsOf(site, rest.name)).length, 899);
  });

  test('is kept by copy, and by a query with parameters, byte for byte', async () => {
    for (const rows of [
      { query: 'SELECT v FROM t WHERE id = 500' },
      { query: 'SELECT v FROM t WHERE id = $1', params: [500] },
    ]) {
      const { name } = await archive(lying, { ...rows, compression: { codec: 'none' }, segments: {} });
      const stored = await site.stored(partKey(name, 0, 'jsonl'));
      assert.deepEqual(stored?.body, Buffer.from('{"v":"M\xe9"}\n', 'latin1'));
    }
  });
});

describe('a table that is damaged', () => {
  let database: TestDatabase;

  before(async () => {
    database = await testDatabase();
    await database.client.query(
      `CREATE TABLE toasted (id int PRIMARY KEY, v text STORAGE EXTERNAL);
       INSERT INTO toasted SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 60) AS i;
       CREATE TABLE paged (id int PRIMARY KEY, v text);
       INSERT INTO paged SELECT i, repeat('x', 100) FROM generate_series(1, 900) AS i; ANALYZE; CREATE EXTENSION pg_surgery`,
    );
    await database.client.query(
      `DO $$ DECLARE toast regclass; chunk tid; BEGIN
           SELECT reltoastrelid INTO toast FROM pg_class WHERE oid = 'toasted'::regclass;
           EXECUTE format('SELECT ctid FROM %s WHERE chunk_id = (SELECT pg_column_toast_chunk_id(v) FROM toasted WHERE id = 30) LIMIT 1', toast) INTO chunk;
           PERFORM heap_force_kill(toast, ARRAY[chunk]);
         END $$`,
    );
  });

  for (const [by, parts] of [
    ['copy', { table: 'toasted', read: 'copy' }],
    ['cursor', { table: 'toasted', read: 'cursor' }],
    ['a query with parameters', { query: 'SELECT * FROM toasted WHERE id > $1', params: [0], key: ['id'] }],
  ] as const)
    test(`in its TOAST fails by ${by}, and the place is named`, async () => {
      const { failure } = await archive(database, { ...parts, segments: BIGGER });
      assert.deepEqual([failure?.code, failure?.transient], ['server-corruption', false]);
      assert.match(failure!.message, /chunk number/);
      assert.match(failure!.hint, /amcheck/);
      assertPlace(failure!, 30);
      const rest = await archive(database, { table: 'toasted', where: 'id <> 30' });
      assert.equal((await idsOf(site, rest.name)).length, 59);
    });

  test('in a page fails by pages too, and the other pages are got out as the failure says', async () => {
    await damagePage('paged', 3);
    const { failure } = await archive(database, { table: 'paged', segments: { by: 'pages', targetSize: '16KiB' } });
    assert.deepEqual([failure?.code, failure?.transient], ['server-corruption', false]);
    assert.match(failure!.message, /invalid page in block 3 .*\(in public\.paged, pages \d+ to \d+, after \d+ rows/);
    const [query = ''] = /SELECT \* FROM t WHERE .*'\(8,0\)'/.exec(failure!.hint) ?? [];
    const passing = query.replaceAll(' t ', ' paged ').replace('(7,0)', '(3,0)').replace('(8,0)', '(4,0)');
    const rest = await archive(database, { query: passing, segments: {} });
    const ids = await idsOf(site, rest.name);
    assert.ok(ids.length > 700 && ids.length < 900, `${ids.length} rows`);
  });

  /** Writes over a page in its file, and has the server forget what it holds of it. */
  async function damagePage(table: string, page: number): Promise<void> {
    const { client } = database;
    await client.query('CREATE EXTENSION pg_buffercache');
    await client.query('CHECKPOINT');
    const { rows } = await client.query<{ folder: string; file: string }>(
      `SELECT current_setting('data_directory') AS folder, pg_relation_filepath($1) AS file`,
      [table],
    );
    await client.query('SELECT pg_buffercache_evict_relation($1::regclass)', [table]);
    const file = openSync(path.join(rows[0]!.folder, rows[0]!.file), 'r+');
    writeSync(file, Buffer.alloc(8192, 0xa5), 0, 8192, page * 8192);
    closeSync(file);
  }
});
