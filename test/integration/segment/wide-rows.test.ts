import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { testDatabase, type TestDatabase } from '../../support/postgres.ts';
import { oracleLines, readLines } from '../../support/read-lines.ts';

/** Expressions whose values go through the copy reader in pieces: longer than its window, or than what it takes whole. */
const WIDE: Record<string, string> = {
  'a text with every kind of character': `repeat(E'a"\\\\\\t\\u2028é😀\\x01\\n', 40000)`,
  'a text just above what is encoded whole': `repeat('x', 65537)`,
  'a text exactly as long as what is encoded whole': `repeat('x', 65536)`,
  'a varchar': `repeat('é', 300000)::varchar`,
  'a bytea': `decode(repeat('00ff1e', 200000), 'hex')`,
  'a json with line breaks': `('[' || repeat(E'1,\\r\\n 2,', 60000) || '3]')::json`,
  'a jsonb': `jsonb_build_array(repeat('"', 300000), 1)`,
  'a numeric of all its digits': `(repeat('9', 131072) || '.' || repeat('1', 16383))::numeric`,
  'an array of numbers': `(SELECT array_agg(CASE WHEN n % 7 = 0 THEN NULL ELSE n END) FROM generate_series(1, 60000) AS n)`,
  'an array of numerics with many digits': `(SELECT array_agg(repeat('8', 5000)::numeric) FROM generate_series(1, 100))`,
  'an array of two dimensions': `(SELECT array_agg(ARRAY[n::text, 'x"y', NULL]) FROM generate_series(1, 30000) AS n)`,
  'an array of three dimensions with long elements': `ARRAY[[[repeat('a', 100000), NULL], ['b', repeat('"', 70000)]], [['c', 'd'], ['e', 'f']]]`,
  'an array of timestamps': `(SELECT array_agg(timestamptz '2026-11-23' + n * interval '1.5 s') FROM generate_series(1, 40000) AS n)`,
  'an array of json, which the server encodes': `ARRAY[('[' || repeat('1,', 200000) || '2]')::json, NULL]`,
};

describe('a row that is wider than the window', () => {
  let database: TestDatabase;

  before(async () => {
    database = await testDatabase();
  });

  for (const [name, expression] of Object.entries(WIDE)) {
    test(`comes as row_to_json prints it: ${name}`, async () => {
      const query = `SELECT n AS id, CASE WHEN n <> 2 THEN ${expression} END AS wide, 'after' AS after, NULL::int AS nothing FROM generate_series(1, 3) AS n`;
      const lines = await readLines(database.url, { query }, 'copy');
      const expected = await oracleLines(database.url, `(${query})`);
      assert.equal(lines.length, 3);
      // Compared as booleans: a difference of lines this long is not to be printed.
      assert.deepEqual(
        lines.map((line, index) => line === expected[index]),
        [true, true, true],
      );
    });
  }

  test('stands between narrow ones, at any place of the window', async () => {
    const query = `SELECT n AS id, repeat('x', CASE WHEN n % 50 = 0 THEN 300000 + n ELSE n % 977 END) AS t FROM generate_series(1, 1500) AS n`;
    const expected = await oracleLines(database.url, `(${query})`);
    for (const reader of ['copy', 'query'] as const) {
      const lines = await readLines(database.url, { query }, reader);
      assert.equal(lines.filter((line, index) => line !== expected[index]).length, 0, reader);
      assert.equal(lines.length, 1500);
    }
  });

  test('may be the very first, behind the header of the stream', async () => {
    const query = `SELECT repeat('y', 1000000) AS t`;
    for (const reader of ['copy', 'query'] as const) {
      const [line] = await readLines(database.url, { query }, reader);
      assert.ok(line === `{"t":"${'y'.repeat(1_000_000)}"}`, reader);
    }
  });

  test('may have more columns than one buffer of lines has room for', async () => {
    const columns = Array.from(
      { length: 1200 },
      (_, index) => `repeat('z', 250) AS "column ${index} ${'n'.repeat(40)}"`,
    );
    const query = `SELECT ${columns.join(', ')} FROM generate_series(1, 3)`;
    assert.deepEqual(await readLines(database.url, { query }, 'copy'), await oracleLines(database.url, `(${query})`));
  });
});
