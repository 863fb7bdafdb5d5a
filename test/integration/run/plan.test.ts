import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { FailureError } from '../../../src/base/errors.ts';
import type { ArchiveConfig } from '../../../src/config/schema.ts';
import { connectPostgres, endConnection, type Client } from '../../../src/postgres/connect.ts';
import { digestRows } from '../../../src/postgres/row-digest.ts';
import { planRun, segmentSelect, type RunPlan } from '../../../src/run/plan.ts';
import { SLOT } from '../../support/read-lines.ts';
import { testDatabase, type TestDatabase } from '../../support/postgres.ts';
import { narrowTo } from '../../../src/segment/narrow.ts';

const KIB = 1024;

let database: TestDatabase;
let client: Client;

before(async () => {
  database = await testDatabase();
  client = await connectPostgres({ url: database.url, applicationName: 'plan test' });
});
after(async () => {
  await endConnection(client);
});

type Parts = Partial<Pick<ArchiveConfig, 'table' | 'query' | 'params' | 'columns' | 'exclude' | 'where' | 'key'>>;

async function plan(parts: Parts, by: 'auto' | 'key' | 'pages' | 'none', targetBytes: number): Promise<RunPlan> {
  const archive = { name: 'a', ...parts, segments: { by, targetBytes, parallel: 2 } } as ArchiveConfig;
  return planRun(client, archive, SLOT);
}

/** The rows of each segment, as texts of all columns. */
async function readSegments(planned: RunPlan): Promise<string[][]> {
  const segments: string[][] = [];
  for (const segment of planned.segments) {
    const { text, params } = segmentSelect(planned, segment, 'cursor');
    const { rows } = await client.query({ text, values: [...params], rowMode: 'array' });
    segments.push((rows as unknown[]).map((row) => JSON.stringify(row)));
  }
  return segments;
}

/** Checks that the segments hold exactly the rows that `sql` gives, each once; returns how many each one has. */
async function assertAllRowsOnce(
  planned: RunPlan,
  sql: string,
  params: unknown[] = [],
  read?: string[][],
): Promise<number[]> {
  // Whoever takes the run up must find the bounds in order, by whatever type and collation they are.
  assert.equal(await planned.cut.problemByServer?.(planned.segments), undefined);
  const segments = read ?? (await readSegments(planned));
  const { rows } = await client.query({ text: sql, values: params, rowMode: 'array' });
  const expected = (rows as unknown[]).map((row) => JSON.stringify(row)).sort();
  const found = segments.flat().sort();
  assert.equal(found.length, expected.length, `${found.length} rows in ${segments.length} segments`);
  assert.ok(found.join('\n') === expected.join('\n'), 'the rows differ');
  return segments.map((segment) => segment.length);
}

function median(counts: readonly number[]): number {
  return counts.toSorted((a, b) => a - b)[Math.floor(counts.length / 2)]!;
}

const KEYS: [string, string, string, string][] = [
  ['a bigint', 'id bigint PRIMARY KEY', 'i::bigint * 1000000007', 'id'],
  ['a negative and a positive int', 'id int PRIMARY KEY', 'i - 3000', 'id'],
  ['an int and a text together', 'a int, b text, PRIMARY KEY (a, b)', `i / 500, 'b' || i`, 'a, b'],
  [
    'a text and an int whose columns stand in another order',
    'n int, t text, PRIMARY KEY (t, n)',
    `i, md5((i / 3)::text)`,
    't, n',
  ],
  ['a text', 'id text PRIMARY KEY', `'k' || md5(i::text)`, 'id'],
  ['a text in the C collation', 'id text COLLATE "C" PRIMARY KEY', `chr(65 + i % 50) || chr(200 + i % 90) || i`, 'id'],
  [
    'a text in a collation that the database does not have',
    'id text COLLATE "und-x-icu" PRIMARY KEY',
    `CASE WHEN i % 2 = 0 THEN chr(65 + i % 26) ELSE chr(97 + i % 26) END || i`,
    'id',
  ],
  ['a uuid', 'id uuid PRIMARY KEY', 'md5(i::text)::uuid', 'id'],
  [
    'a timestamptz in microseconds',
    'id timestamptz PRIMARY KEY',
    `timestamptz '2026-03-29 00:59:59.999001+00' + i * interval '1 microsecond'`,
    'id',
  ],
  [
    'a date and a timestamp with infinities, and before Christ',
    'd date, t timestamp, PRIMARY KEY (d, t)',
    `CASE WHEN i % 97 = 1 THEN 'infinity' WHEN i % 97 = 2 THEN '4000-01-01 BC' ELSE date '2026-01-01' + i / 10 END, CASE WHEN i % 10 = 0 AND i % 97 > 2 THEN '-infinity' ELSE timestamp '2026-01-01' + i * interval '1 s' END`,
    'd, t',
  ],
  ['a numeric of many digits', 'id numeric PRIMARY KEY', `i * 1.000000000000000000000000001`, 'id'],
  ['a float8', 'id float8 PRIMARY KEY', `i / 7.0::float8`, 'id'],
  ['a bytea', 'id bytea PRIMARY KEY', `decode(md5(i::text), 'hex')`, 'id'],
  ['a boolean and an int', 'f boolean, n int, PRIMARY KEY (f, n)', 'i % 2 = 0, i', 'f, n'],
  [
    'an enum',
    'm mood, n int, PRIMARY KEY (m, n)',
    `(ARRAY['sad', 'it''s "ok"', 'Happy\\'])[1 + i % 3]::mood, i`,
    'm, n',
  ],
  ['a domain', 'id positive PRIMARY KEY', 'i', 'id'],
  ['a char(n)', 'id char(12) PRIMARY KEY', `'c' || i`, 'id'],
  ['an inet', 'id inet PRIMARY KEY', `inet '10.0.0.0' + i`, 'id'],
  ['a range', 'id int4range PRIMARY KEY', `int4range(i, i + 5)`, 'id'],
];

describe('a cut by the primary key', () => {
  before(async () => {
    await database.client.query(
      `CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"', 'Happy\\'); CREATE DOMAIN positive AS int CHECK (VALUE > 0)`,
    );
  });

  for (const [at, [name, definition, values, columns]] of KEYS.entries()) {
    test(`of ${name} gives each row once, in segments of about one size`, async () => {
      const table = `keyed${at}`;
      await database.client.query(
        `CREATE TABLE ${table} (${definition}, pad text);
         INSERT INTO ${table} (${columnsOf(definition)}, pad) SELECT ${values}, repeat('x', 40) FROM generate_series(1, 6000) AS i; ANALYZE ${table}`,
      );
      const planned = await plan({ table }, 'key', 32 * KIB);
      assert.equal(planned.cut.name, 'key');
      assert.ok(planned.segments.length >= 8, `${planned.segments.length} segments`);
      const segments = await readSegments(planned);
      const counts = await assertAllRowsOnce(planned, `SELECT * FROM ${table}`, [], segments);
      assert.ok(Math.max(...counts) <= 2 * median(counts), counts.join());
      const ordered = await client.query({ text: `SELECT * FROM ${table} ORDER BY ${columns}`, rowMode: 'array' });
      assert.equal(
        segments.flat().join('\n') === (ordered.rows as unknown[]).map((row) => JSON.stringify(row)).join('\n'),
        true,
        'the segments are not in the order of the key',
      );
      const [first, second, third] = [...planned.segments].map(({ range }) => range!.upper);
      const back = [third, second, first, null].map((upper, index) => ({
        index,
        range: { lower: null, upper: upper! },
      }));
      assert.equal(await planned.cut.problemByServer?.(back), 'segment 1 ends before it begins');
    });
  }

  test('where 90% of the rows lie in 1% of its range has no segment of twice the median', async () => {
    await database.client.query(
      `CREATE TABLE skewed (id bigint PRIMARY KEY, pad text);
       INSERT INTO skewed SELECT CASE WHEN i <= 45000 THEN 500000 + i ELSE (i - 45000) * 900 + CASE WHEN i > 45500 THEN 60000 ELSE 0 END END, repeat('x', 50)
         FROM generate_series(1, 50000) AS i ON CONFLICT DO NOTHING; ANALYZE skewed`,
    );
    const { rows } = await client.query<{ n: number; dense: number }>(
      `SELECT count(*)::int AS n, (count(*) FILTER (WHERE id BETWEEN 500000 AND 545000))::int AS dense FROM skewed`,
    );
    assert.ok(rows[0]!.dense / rows[0]!.n >= 0.9);
    for (const target of [64 * KIB, 256 * KIB, 1024 * KIB]) {
      const planned = await plan({ table: 'skewed' }, 'key', target);
      assert.ok(planned.segments.length >= 4);
      const counts = await assertAllRowsOnce(planned, 'SELECT * FROM skewed');
      assert.ok(Math.max(...counts) <= 2 * median(counts), `target ${target}: ${counts.join()}`);
    }
  });

  test('whose skew lies in the first of two columns has no segment of twice the median', async () => {
    await database.client.query(
      `CREATE TABLE tenants (tenant int, at timestamptz, PRIMARY KEY (tenant, at));
       INSERT INTO tenants SELECT CASE WHEN i % 10 < 9 THEN 7 ELSE i END, timestamptz '2026-01-01' + i * interval '1 s'
         FROM generate_series(1, 40000) AS i; ANALYZE tenants`,
    );
    const planned = await plan({ table: 'tenants' }, 'key', 100 * KIB);
    assert.ok(planned.segments.length >= 10);
    const counts = await assertAllRowsOnce(planned, 'SELECT * FROM tenants');
    assert.ok(Math.max(...counts) <= 2 * median(counts), counts.join());
  });

  test('of hostile values loses no row', async () => {
    await database.client.query(`CREATE TABLE hostile (id text PRIMARY KEY, pad text)`);
    const nasty = [
      '',
      "'",
      "''",
      '"',
      '\\',
      "\\'",
      "'; DROP TABLE hostile; --",
      '$1',
      '$$',
      '\n',
      '\t',
      '/*',
      'é',
      '日本',
      '😀',
      '%s',
      'NULL',
      "E'\\x41'",
    ];
    await database.client.query(
      `INSERT INTO hostile SELECT v || repeat('z', k % 3) || chr(33 + k), repeat('p', 100) FROM unnest($1::text[]) AS v, generate_series(0, 60) AS k ON CONFLICT DO NOTHING`,
      [nasty],
    );
    const planned = await plan({ table: 'hostile' }, 'key', 2 * KIB);
    assert.ok(planned.segments.length > 30);
    const bounds = [...planned.segments].flatMap(({ range }) => range?.lower ?? []);
    for (const part of ["'", '"', '\\', '\n'])
      assert.ok(
        bounds.some((bound) => bound.includes(part)),
        JSON.stringify(part),
      );
    await assertAllRowsOnce(planned, 'SELECT * FROM hostile');
    const { rows } = await client.query<{ n: number }>('SELECT count(*)::int AS n FROM hostile');
    assert.ok(rows[0]!.n > 800);
  });

  test('that is not among the columns that are read cuts all the same', async () => {
    const planned = await plan({ table: 'skewed', exclude: ['id'] }, 'key', 256 * KIB);
    assert.ok(planned.segments.length > 5);
    await assertAllRowsOnce(planned, 'SELECT pad FROM skewed');
    const chosen = await plan({ table: 'tenants', columns: ['at'] }, 'key', 256 * KIB);
    await assertAllRowsOnce(chosen, 'SELECT at FROM tenants');
  });

  test('goes by what a filter leaves of the table', async () => {
    const where = 'skewed.id BETWEEN 500000 AND 505000 OR id < 20000';
    const all = await plan({ table: 'skewed' }, 'key', 64 * KIB);
    const few = await plan({ table: 'skewed', where }, 'key', 64 * KIB);
    assert.ok(few.segments.length < all.segments.length / 3, `${few.segments.length} of ${all.segments.length}`);
    assert.ok(few.segments.length > 2);
    const counts = await assertAllRowsOnce(few, `SELECT * FROM skewed WHERE ${where}`);
    assert.ok(Math.max(...counts) <= 2 * median(counts), counts.join());
  });

  test('of a table of no row is one segment, of one row too, and of few rows has no more segments than rows', async () => {
    await database.client.query(
      `CREATE TABLE none (id int PRIMARY KEY); CREATE TABLE one (id int PRIMARY KEY); INSERT INTO one VALUES (1);
       CREATE TABLE few (id int PRIMARY KEY, pad text); INSERT INTO few SELECT i, repeat('x', 1900) FROM generate_series(1, 7) AS i;
       CREATE TABLE emptied (id int PRIMARY KEY, pad text); INSERT INTO emptied SELECT i, repeat('x', 1900) FROM generate_series(1, 200) AS i;
       DELETE FROM emptied`,
    );
    for (const table of ['none', 'one', 'few', 'emptied']) {
      const planned = await plan({ table }, 'key', KIB);
      const counts = await assertAllRowsOnce(planned, `SELECT * FROM ${table}`);
      assert.ok(counts.length <= Math.max(1, table === 'few' ? 7 : 1), `${table}: ${counts.join()}`);
      assert.equal(planned.isExpectedEmpty, table === 'none' ? true : undefined, table);
    }
    assert.equal((await plan({ table: 'few', where: 'false' }, 'key', KIB)).isExpectedEmpty, true);
    assert.equal((await plan({ table: 'few', where: 'id < 0' }, 'key', KIB)).isExpectedEmpty, undefined);
  });

  test('that the archive names must be unique and NOT NULL, in any order of its columns', async () => {
    await database.client.query(
      `CREATE TABLE named (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL, c int, UNIQUE (a, b), UNIQUE (c));
       INSERT INTO named SELECT i, i % 10, i, i FROM generate_series(1, 3000) AS i; ANALYZE named`,
    );
    for (const key of [
      ['a', 'b'],
      ['b', 'a'],
    ]) {
      const planned = await plan({ table: 'named', key }, 'key', 16 * KIB);
      assert.ok(planned.segments.length > 5);
      await assertAllRowsOnce(planned, 'SELECT * FROM named');
    }
    for (const key of [['a'], ['c'], ['a', 'b', 'c']])
      await assert.rejects(plan({ table: 'named', key }, 'key', 16 * KIB), hasCode('key-not-unique'));
  });

  test('that the archive names, and that a child table or a NOT NULL yet to be proved lets be NULL, loses no row', async (t) => {
    if (database.version < 18) {
      t.skip('only Postgres 18 knows NOT NULL without inheritance, and NOT VALID');
      return;
    }
    await database.client.query(
      `CREATE TABLE base (id int CONSTRAINT base_id NOT NULL NO INHERIT, pad text, UNIQUE (id));
       CREATE TABLE heir () INHERITS (base);
       INSERT INTO base SELECT i, repeat('x', 50) FROM generate_series(1, 2000) AS i;
       INSERT INTO heir SELECT CASE WHEN i % 100 = 0 THEN NULL ELSE i END, repeat('y', 50) FROM generate_series(1, 2000) AS i;
       CREATE TABLE unproved (id int UNIQUE, pad text);
       INSERT INTO unproved SELECT CASE WHEN i % 100 = 0 THEN NULL ELSE i END, repeat('x', 50) FROM generate_series(1, 2000) AS i;
       ALTER TABLE unproved ADD CONSTRAINT unproved_id NOT NULL id NOT VALID;
       ANALYZE`,
    );
    for (const table of ['base', 'unproved']) {
      const planned = await plan({ table, key: ['id'] }, 'key', 16 * KIB).catch((error: unknown) => {
        // To refuse such a key is as good.
        assert.ok(hasCode('key-not-unique')(error), String(error));
        return undefined;
      });
      if (planned !== undefined) await assertAllRowsOnce(planned, `SELECT * FROM ${table}`);
    }
  });

  test('of a query takes NULLs and values that repeat, and gives each row once', async () => {
    const query = `SELECT CASE WHEN id % 9 = 0 THEN NULL ELSE id / 40 END AS k, CASE WHEN id % 7 = 0 THEN NULL ELSE chr(65 + (id % 20)::int) || '''"\\' END AS t, pad FROM skewed WHERE id > $1`;
    for (const key of [['k'], ['k', 't'], ['t', 'k'], ['t']]) {
      const planned = await plan({ query, params: [1000], key }, 'key', 256 * KIB);
      assert.equal(planned.cut.name, 'key');
      assert.ok(planned.segments.length > 4, `${key.join()}: ${planned.segments.length}`);
      await assertAllRowsOnce(planned, query, [1000]);
    }
  });

  test('is the same when the same data is planned again', async () => {
    const first = await plan({ table: 'skewed' }, 'key', 64 * KIB);
    assert.deepEqual((await plan({ table: 'skewed' }, 'key', 64 * KIB)).segments, first.segments);
  });
});

describe('a cut by pages', () => {
  test('gives each row once, in segments of about one size, whatever the key', async () => {
    await database.client.query(
      `CREATE TABLE heap (id uuid, pad text); INSERT INTO heap SELECT md5(i::text)::uuid, repeat('x', i % 90) FROM generate_series(1, 20000) AS i;
       DELETE FROM heap WHERE pad = ''; UPDATE heap SET pad = pad || 'y' WHERE length(pad) % 7 = 0`,
    );
    const planned = await plan({ table: 'heap' }, 'pages', 128 * KIB);
    assert.ok(planned.segments.length >= 10);
    const counts = await assertAllRowsOnce(planned, 'SELECT * FROM heap');
    assert.ok(Math.max(...counts) <= 2 * median(counts), counts.join());
  });

  test('takes each leaf of a partitioned table on its own, and a filter that names the table', async () => {
    await database.client.query(
      `CREATE TABLE parted (id int, part int, pad text, PRIMARY KEY (part, id)) PARTITION BY LIST (part);
       CREATE TABLE "Part 1" PARTITION OF parted FOR VALUES IN (1);
       CREATE TABLE part_2 PARTITION OF parted FOR VALUES IN (2, 3) PARTITION BY RANGE (id);
       CREATE TABLE part_2_low PARTITION OF part_2 FOR VALUES FROM (0) TO (4000);
       CREATE TABLE part_2_high (pad text, gone int, part int NOT NULL, id int NOT NULL);
       ALTER TABLE part_2_high DROP COLUMN gone;
       ALTER TABLE part_2 ATTACH PARTITION part_2_high DEFAULT;
       CREATE TABLE part_rest PARTITION OF parted DEFAULT;
       INSERT INTO parted SELECT i, i % 5, repeat('x', 60) FROM generate_series(1, 15000) AS i; ANALYZE parted`,
    );
    const planned = await plan({ table: 'parted' }, 'pages', 64 * KIB);
    const leaves = new Set([...planned.segments].map(({ pages }) => pages?.name));
    assert.deepEqual([...leaves].sort(), [
      'public.Part 1',
      'public.part_2_high',
      'public.part_2_low',
      'public.part_rest',
    ]);
    assert.ok(planned.segments.length > 8);
    await assertAllRowsOnce(planned, 'SELECT * FROM parted');
    for (const where of ['parted.id % 3 = 0', '"parted".part = 2 OR parted.pad IS NULL', `id < 100 -- parted`]) {
      for (const by of ['pages', 'key'] as const)
        await assertAllRowsOnce(
          await plan({ table: 'parted', where }, by, 32 * KIB),
          `SELECT * FROM parted WHERE ${where}\n`,
        );
    }
    const bySchema = "public.heap.pad > 'xxx'";
    await assertAllRowsOnce(
      await plan({ table: 'heap', where: bySchema }, 'pages', 128 * KIB),
      `SELECT * FROM heap WHERE ${bySchema}`,
    );
  });

  test('reads a table and those that inherit from it once each', async () => {
    await database.client.query(
      `CREATE TABLE ancestor (id int PRIMARY KEY, pad text); CREATE TABLE middle (extra int) INHERITS (ancestor);
       CREATE TABLE youngest () INHERITS (middle);
       INSERT INTO ancestor SELECT i, repeat('x', 50) FROM generate_series(1, 1500) AS i;
       INSERT INTO middle SELECT i, repeat('y', 50), 1 FROM generate_series(1, 1500) AS i;
       INSERT INTO youngest SELECT i, repeat('z', 50), 2 FROM generate_series(1000, 3500) AS i; ANALYZE`,
    );
    for (const by of ['pages', 'key'] as const) {
      const planned = await plan({ table: 'ancestor' }, by, 32 * KIB);
      assert.ok(planned.segments.length > 5);
      await assertAllRowsOnce(planned, 'SELECT * FROM ancestor');
    }
    await assertAllRowsOnce(await plan({ table: 'middle' }, 'pages', 32 * KIB), 'SELECT * FROM middle');
  });

  test('puts hundreds of small partitions together, whatever the order of their columns', async () => {
    await database.client.query(
      `CREATE TABLE days (day int, note text COLLATE "C", price numeric(8,2), at timestamptz(3)) PARTITION BY RANGE (day);
       DO $$ BEGIN
         FOR day IN 1..300 LOOP
           EXECUTE format('CREATE TABLE day_%s (gone int, at timestamptz(3), price numeric(8,2), day int, note text COLLATE "C")', day);
           EXECUTE format('ALTER TABLE day_%s DROP gone', day);
           EXECUTE format('ALTER TABLE days ATTACH PARTITION day_%s FOR VALUES FROM (%s) TO (%s)', day, day, day + 1);
         END LOOP;
       END $$`,
    );
    await database.client.query(
      `INSERT INTO days SELECT i % 300 + 1, md5(i::text), i / 7.0, now() FROM generate_series(1, 3000) AS i`,
    );
    const planned = await plan({ table: 'days', where: 'days.day <> 7' }, 'pages', 4096 * KIB);
    assert.ok(planned.segments.length <= 4, `${planned.segments.length} segments`);
    const counts = await assertAllRowsOnce(planned, 'SELECT * FROM days WHERE day <> 7');
    for (const [at, segment] of [...planned.segments].entries()) {
      const { rows } = await digestRows(client, planned.subject.selection, narrowTo(planned.cut.parts, segment));
      assert.equal(rows, counts[at]);
    }
  });

  test('of no row, one row or few rows has no more segments than pages', async () => {
    for (const table of ['none', 'one', 'few', 'emptied']) {
      const planned = await plan({ table }, 'pages', KIB);
      const { rows } = await client.query<{ pages: number }>(
        `SELECT (pg_relation_size('${table}') / 8192)::int AS pages`,
      );
      assert.ok(planned.segments.length <= Math.max(1, rows[0]!.pages));
      await assertAllRowsOnce(planned, `SELECT * FROM ${table}`);
    }
  });

  test('counts values that lie outside of the row', async () => {
    await database.client.query(
      `CREATE TABLE toasted (id int PRIMARY KEY, blob text); ALTER TABLE toasted ALTER blob SET STORAGE EXTERNAL;
       INSERT INTO toasted SELECT i, repeat('x', 20000) FROM generate_series(1, 400) AS i; ANALYZE toasted`,
    );
    for (const by of ['pages', 'key'] as const) {
      const planned = await plan({ table: 'toasted' }, by, 4 * 1024 * KIB);
      assert.ok(planned.segments.length >= 2, `${by}: ${planned.segments.length}`);
    }
  });

  test('of a view, a query or a foreign table is refused with what to do', async () => {
    await database.client.query('CREATE VIEW looked_at AS SELECT * FROM few');
    for (const parts of [{ table: 'looked_at' }, { query: 'SELECT * FROM few' }])
      await assert.rejects(plan(parts, 'pages', KIB), hasCode('cannot-cut'));
  });
});

describe('auto', () => {
  before(async () => {
    await database.client.query(
      `CREATE TABLE serial (id bigserial PRIMARY KEY, pad text); INSERT INTO serial (pad) SELECT repeat('x', 80) FROM generate_series(1, 8000);
       CREATE TABLE backwards (id int PRIMARY KEY, pad text); INSERT INTO backwards SELECT 8000 - i, repeat('x', 80) FROM generate_series(1, 8000) AS i;
       CREATE TABLE random_uuid (id uuid PRIMARY KEY, pad text); INSERT INTO random_uuid SELECT md5(i::text)::uuid, repeat('x', 80) FROM generate_series(1, 8000) AS i;
       CREATE TABLE no_key (id int, pad text); INSERT INTO no_key SELECT i, repeat('x', 80) FROM generate_series(1, 8000) AS i;
       CREATE TABLE no_statistics (id int PRIMARY KEY, pad text) WITH (autovacuum_enabled = off);
       INSERT INTO no_statistics SELECT i, repeat('x', 80) FROM generate_series(1, 8000) AS i;
       CREATE MATERIALIZED VIEW kept AS SELECT * FROM serial;
       ANALYZE serial; ANALYZE backwards; ANALYZE random_uuid; ANALYZE no_key; ANALYZE kept`,
    );
  });

  const choices: [string, Parts, string, RegExp][] = [
    ['a key in whose order the rows lie by key', { table: 'serial' }, 'key', /correlation 1\.00.*resumed/],
    ['a key in whose order they lie backwards by key', { table: 'backwards' }, 'key', /correlation/],
    ['a random uuid by pages', { table: 'random_uuid' }, 'pages', /do not lie in its order/],
    ['a table without a key by pages', { table: 'no_key' }, 'pages', /no primary key/],
    ['a table without statistics by pages', { table: 'no_statistics' }, 'pages', /ANALYZE/],
    ['a materialized view by pages', { table: 'kept' }, 'pages', /no primary key/],
    ['a view in one segment', { table: 'looked_at' }, 'none', /view|one segment/],
    ['a query without a key in one segment', { query: 'SELECT * FROM serial' }, 'none', /query without a key/],
    ['a query with a key by key', { query: 'SELECT * FROM serial', key: ['id'] }, 'key', /names the key \(id\)/],
    ['a small table in one segment', { table: 'few' }, 'none', /one segment/],
  ];
  for (const [name, parts, by, why] of choices) {
    test(`cuts ${name}, and says why`, async () => {
      const planned = await plan(parts, 'auto', 128 * KIB);
      assert.equal(planned.cut.name, by, planned.why);
      assert.match(planned.why, why);
      assert.equal(planned.segments.length > 1, by !== 'none');
      await assertAllRowsOnce(planned, parts.query ?? `SELECT * FROM ${parts.table}`);
    });
  }

  test('does without a key that the role may not read, and says why', async () => {
    const role = `${database.name}_reader`;
    await database.client.query(`CREATE ROLE ${role}; GRANT SELECT (pad) ON serial TO ${role}`);
    await client.query(`SET ROLE ${role}`);
    try {
      const parts = { table: 'serial', columns: ['pad'] };
      const planned = await plan(parts, 'auto', 128 * KIB);
      assert.equal(planned.cut.name, 'none');
      assert.match(planned.why, /^the role may not read the key \(id\)/);
      await assertAllRowsOnce(planned, 'SELECT pad FROM serial');
      await assert.rejects(plan(parts, 'key', KIB), /cannot be cut by key: the role may not read its key \(id\)/);
    } finally {
      await client.query('RESET ROLE');
      await database.client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  });
});

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof FailureError, String(error));
    assert.notEqual(error.failure.hint, '');
    return error.failure.code === code;
  };
}

function columnsOf(definition: string): string {
  return definition
    .replace(/, PRIMARY KEY.*$/, '')
    .split(', ')
    .map((column) => column.split(' ')[0])
    .join(', ');
}
