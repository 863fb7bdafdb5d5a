import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import { availableVersions, startPostgres } from '../../../src/demo/embedded-postgres.ts';
import { anyCharacter } from '../../support/any-text.ts';
import { createEveryTypeTable } from '../../support/every-type.ts';
import { testDatabase, type TestDatabase } from '../../support/postgres.ts';
import { oracleLines, readLines, type Reader } from '../../support/read-lines.ts';
import { triesOf } from '../../support/thorough.ts';

const READERS: Reader[] = ['cursor', 'copy', 'copy-without-simd'];

/** Characters of a text that passes in pieces, each of them a good number of times. */
const LONG = triesOf(875_000, 3_500_000);
const EVERY_TYPE = 'public.every_type';

let database: TestDatabase;
/** What the server prints for every type, and for a query of long texts. */
let everyType: string[];
let longLine: string;

const repeated = (count: number): string => `repeat(E'a"\\\\\\t\\u2028é😀\\x01', ${count})`;
const LONG_QUERY = `SELECT ${repeated(LONG)} AS long, 1 AS after, to_json(${repeated(LONG / 35)}) AS j, jsonb_build_array(${repeated(LONG / 35)}) AS jb`;

before(async () => {
  database = await testDatabase();
  const { table, rows } = await createEveryTypeTable(database.client);
  assert.equal(table, EVERY_TYPE);
  everyType = await oracleLines(database.url, table);
  assert.equal(everyType.length, rows);
  [longLine = ''] = await oracleLines(database.url, `(${LONG_QUERY})`);
  await database.client.query(
    `CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES;
     CREATE TABLE no_rows (id int)`,
  );
});

for (const reader of READERS)
  describe(`a line is, byte for byte, what row_to_json prints: read by ${reader}`, () => {
    test('for every built-in type and its edge values', async () => {
      assert.deepEqual(await readLines(database.url, { table: EVERY_TYPE }, reader), everyType);
    });

    test('for a query over every type, whose columns are renamed by position', async () => {
      const query = `SELECT * FROM ${EVERY_TYPE};`;
      assert.deepEqual(await readLines(database.url, { query }, reader), everyType);
    });

    test('for a text of many megabytes with every kind of character, in pieces', async () => {
      const [line] = await readLines(database.url, { query: LONG_QUERY }, reader);
      assert.ok(longLine.length > LONG * 14);
      // Comparing as booleans: a difference of texts this long is not to be printed.
      assert.ok(line === longLine, 'the long line differs');
    });

    test('for columns named alike in a query', async () => {
      const query = 'SELECT 1 AS a, 2 AS a, ARRAY[3] AS a, 4 AS "A"';
      assert.deepEqual(await readLines(database.url, { query }, reader), await oracleLines(database.url, `(${query})`));
      assert.deepEqual(await readLines(database.url, { query }, reader), ['{"a":1,"a":2,"a":[3],"A":4}']);
    });

    test('for a table without columns, and one without rows', async () => {
      assert.deepEqual(await readLines(database.url, { table: 'no_columns' }, reader), ['{}', '{}']);
      assert.deepEqual(await readLines(database.url, { table: 'no_rows' }, reader), []);
    });

    test('for random rows', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(randomRow, { minLength: 1, maxLength: 20 }), async (rows) => {
          await database.client.query(`DROP TABLE IF EXISTS random_rows;
        CREATE TABLE random_rows (t text, n numeric, f float8, f4 float4, i int8, ts timestamptz, b bytea, j json, jb jsonb, a text[], at timestamp[], iv interval)`);
          const values = rows.map((row, at) => valuesFrom(at * row.length)).join(', ');
          await database.client.query(`INSERT INTO random_rows VALUES ${values}`, rows.flat());
          assert.deepEqual(
            await readLines(database.url, { table: 'random_rows' }, reader),
            await oracleLines(database.url, 'random_rows'),
          );
        }),
        { numRuns: triesOf(12, 60) },
      );
    });
  });

/** The values of a random row, whose parameters come after that many others. */
function valuesFrom(before: number): string {
  const types = 'text numeric float8 float4 int8 float8 bytea json jsonb text[]'.split(' ');
  const [t, n, f, f4, i, seconds, b, j, jb, a] = types.map((type, at) => `$${before + at + 1}::${type}`);
  const time = `to_timestamp(${seconds})`;
  return `(${t}, ${n}, ${f}, ${f4}, ${i}, ${time}, ${b}, ${j}, ${jb}, ${a}, ARRAY[${time}::timestamp, NULL], make_interval(secs => ${f}))`;
}

describe('a query with parameters, which stay parameters', () => {
  for (const reader of ['query', 'cursor'] as const) {
    // As literals, '007'::int and '007'::text would be 7 and 007.
    test(`gives what the server makes of them: read by ${reader}`, async () => {
      const query = `SELECT $1::int AS number, $1::text AS text, $2 AS nothing, $3::bool AS b, n
        FROM generate_series(1, $4) AS n WHERE $5 <> 'x'`;
      const params = ['007', null, true, 3, `'; DROP TABLE no_rows; -- \\ "é`];
      const lines = await readLines(database.url, { query, params }, reader);
      assert.deepEqual(lines, await oracleLines(database.url, `(${query})`, params));
      assert.equal(lines[0], '{"number":7,"text":"7","nothing":null,"b":true,"n":1}');
      assert.equal(lines.length, 3);
    });
  }

  test('gives every built-in type as its line', async () => {
    const query = `SELECT * FROM ${EVERY_TYPE} WHERE $1`;
    assert.deepEqual(await readLines(database.url, { query, params: [true] }, 'query'), everyType);
  });
});

const text = fc
  .string({ unit: anyCharacter, maxLength: 60 })
  .map((value) => value.replaceAll(/\u0000/g, '').toWellFormed());
const double = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e12, max: 1e12 });

const randomRow = fc
  .tuple(
    fc.option(text),
    fc.option(
      fc.oneof(
        fc.bigInt().map(String),
        fc.constant('NaN'),
        double.map((value) => value.toFixed(12)),
      ),
    ),
    double,
    fc.float({ noNaN: true, noDefaultInfinity: true }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
    fc.double({ noNaN: true, min: -6e10, max: 2e11 }),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.jsonValue().map((value) => JSON.stringify(value, null, '\r\n ').replaceAll('\\u0000', '')),
    fc.jsonValue().map((value) => JSON.stringify(value).replaceAll('\\u0000', '')),
    fc.option(fc.array(fc.option(text), { maxLength: 4 })),
  )
  .map((values) => [...values]);

describe('on other versions of Postgres', () => {
  const versions = availableVersions().filter((version) => version !== 18);
  for (const version of versions) {
    test(`every type comes as row_to_json prints it on Postgres ${version}`, async (t) => {
      const server = await startPostgres({ version });
      t.after(() => server.stop());
      const database = await testDatabase(t, { serverUrl: server.url });
      const { table } = await createEveryTypeTable(database.client);
      const expected = await oracleLines(database.url, table);
      for (const reader of [...READERS, 'query'] as const)
        assert.deepEqual(await readLines(database.url, { table }, reader), expected, reader);
    });
  }
  test(
    'an older version is at hand',
    { skip: versions.length > 0 ? false : 'only Postgres 18 is installed here' },
    () => {
      assert.ok(versions.every((version) => version >= 13));
    },
  );
});
