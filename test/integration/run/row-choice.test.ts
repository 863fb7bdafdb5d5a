import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { FailureError } from '../../../src/base/errors.ts';
import type { ArchiveConfig } from '../../../src/config/schema.ts';
import { connectPostgres, endConnection, type Client } from '../../../src/postgres/connect.ts';
import { planRun, type RunPlan } from '../../../src/run/plan.ts';
import { SLOT } from '../../support/read-lines.ts';
import { testDatabase, type TestDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
let client: Client;

before(async () => {
  database = await testDatabase();
  await database.client.query(
    `CREATE TABLE fetch_queue (id int PRIMARY KEY, fetched_at int, offset_id int, limit_x int, random text);
     INSERT INTO fetch_queue SELECT i, i / 3, i % 10, i, repeat('x', 60) FROM generate_series(1, 5000) AS i;
     CREATE INDEX ON fetch_queue (fetched_at); CREATE INDEX ON fetch_queue (offset_id, fetched_at);
     CREATE TABLE other (id int PRIMARY KEY, n int NOT NULL); INSERT INTO other SELECT i, i FROM generate_series(1, 50) AS i;
     CREATE VIEW few AS SELECT id FROM fetch_queue ORDER BY fetched_at LIMIT 1000;
     CREATE TABLE parted (id int, k int, PRIMARY KEY (k, id)) PARTITION BY LIST (k);
     CREATE TABLE p1 PARTITION OF parted FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF parted FOR VALUES IN (2);
     INSERT INTO parted SELECT i, 1 + i % 2 FROM generate_series(1, 2000) AS i; ANALYZE`,
  );
  client = await connectPostgres({ url: database.url, applicationName: 'row choice test' });
});
after(async () => {
  await endConnection(client);
});

function plan(parts: Partial<ArchiveConfig>, by: 'auto' | 'key' = 'auto'): Promise<RunPlan> {
  const segments = { by, targetBytes: 1024, parallel: 2 };
  return planRun(client, { name: 'a', ...parts, segments } as ArchiveConfig, SLOT);
}

describe('a query that gives the same rows each time is cut', () => {
  for (const [situation, query] of [
    [
      'whose names begin with words such as fetch',
      'SELECT id, fetched_at, offset_id, limit_x, random FROM fetch_queue',
    ],
    ['that has such words in strings and comments', `SELECT *, 'LIMIT 1' AS "limit" FROM fetch_queue -- LIMIT 5`],
    ['that has such words in dollar quotes', 'SELECT *, $q$ TABLESAMPLE $q$ AS t /* OFFSET 1 */ FROM fetch_queue'],
    [
      'up to a maximum that an index gives',
      'SELECT * FROM fetch_queue WHERE id < (SELECT max(fetched_at) FROM fetch_queue)',
    ],
    [
      'where rows of another table are there',
      'SELECT * FROM fetch_queue f WHERE EXISTS (SELECT FROM other o WHERE o.id = f.offset_id LIMIT 1)',
    ],
    [
      'where rows of another table are among the first',
      'SELECT * FROM fetch_queue WHERE offset_id IN (SELECT id FROM other ORDER BY id LIMIT 5)',
    ],
    [
      'with the latest row of another table, by its key',
      `SELECT f.* FROM fetch_queue f,
       LATERAL (SELECT * FROM other o WHERE o.id > f.offset_id ORDER BY o.n DESC, o.id LIMIT 1) AS l WHERE l.n > 0`,
    ],
    ['that is distinct', 'SELECT DISTINCT id, random FROM fetch_queue'],
    ['that is distinct on its key', 'SELECT DISTINCT ON (id) * FROM fetch_queue ORDER BY id, fetched_at'],
    [
      'that is distinct on a column, by a key',
      'SELECT DISTINCT ON (fetched_at) * FROM fetch_queue ORDER BY fetched_at, id',
    ],
    [
      'with duplicates left out by a key',
      `SELECT * FROM
       (SELECT *, row_number() OVER (PARTITION BY fetched_at ORDER BY id DESC) AS n FROM fetch_queue) AS s WHERE n = 1`,
    ],
    ['with the value of the row before', 'SELECT id, lag(random) OVER (ORDER BY fetched_at) FROM fetch_queue'],
    [
      'with counts that rows are picked by',
      'SELECT * FROM (SELECT *, count(*) OVER (PARTITION BY fetched_at) AS n FROM fetch_queue) AS s WHERE n > 1',
    ],
    ['of two parts', 'SELECT id, random FROM fetch_queue UNION SELECT -id, NULL FROM other'],
    ['of partitions', 'SELECT id, k, repeat($$x$$, 60) FROM parted'],
  ] as const) {
    test(situation, async () => {
      const { cut, why, segments } = await plan({ query, key: ['id'] });
      assert.equal(cut.name, 'key', why);
      assert.ok(segments.length > 1);
    });
  }
});

describe('a query that may give other rows each time is one segment, and says why', () => {
  for (const [situation, query, why] of [
    ['of some rows', 'SELECT * FROM fetch_queue LIMIT 4000', /LIMIT, OFFSET or FETCH/],
    ['of the first rows', 'SELECT * FROM fetch_queue ORDER BY id FETCH FIRST 4000 ROWS ONLY', /LIMIT, OFFSET or FETCH/],
    ['of the rows after some', 'SELECT * FROM fetch_queue OFFSET 5', /LIMIT, OFFSET or FETCH/],
    ['of a view with a limit', 'SELECT f.* FROM few JOIN fetch_queue f USING (id)', /LIMIT, OFFSET or FETCH/],
    [
      'with a limit in a WITH',
      'WITH w AS MATERIALIZED (SELECT * FROM fetch_queue ORDER BY fetched_at LIMIT 4000) SELECT * FROM w WHERE id > 1',
      /LIMIT/,
    ],
    [
      'with the latest row of each, of which several may be',
      `SELECT f.id, l.n FROM fetch_queue f,
       LATERAL (SELECT n, id FROM other WHERE id > f.offset_id ORDER BY n LIMIT 1) AS l WHERE l.id > 3`,
      /LIMIT/,
    ],
    ['with a sample', 'SELECT * FROM fetch_queue TABLESAMPLE SYSTEM (50)', /TABLESAMPLE/],
    [
      'with a sample deep inside',
      'SELECT * FROM fetch_queue WHERE offset_id IN (SELECT id FROM other TABLESAMPLE BERNOULLI (50))',
      /TABLESAMPLE/,
    ],
    ['that throws dice', 'SELECT * FROM fetch_queue WHERE random() < 0.5', /random\(\)/],
    [
      'that throws dice in a subquery',
      'SELECT * FROM (SELECT *, random() AS r FROM fetch_queue) AS s WHERE r < 0.5',
      /random\(\)/,
    ],
    ['with values that are drawn', 'SELECT gen_random_uuid() AS u, id FROM fetch_queue', /gen_random_uuid\(\)/],
    [
      'that is distinct in any order',
      'SELECT DISTINCT ON (fetched_at) * FROM fetch_queue ORDER BY fetched_at, offset_id / 20',
      /DISTINCT ON/,
    ],
    [
      'with duplicates left out in any order',
      `SELECT * FROM
       (SELECT *, row_number() OVER (PARTITION BY fetched_at ORDER BY offset_id / 20) AS n FROM fetch_queue) AS s WHERE n = 1`,
      /window function/,
    ],
  ] as const) {
    test(situation, async () => {
      const planned = await plan({ query, key: ['id'] });
      assert.equal(planned.cut.name, 'none');
      assert.match(planned.why, /^the query has .*, and may give other rows each time it is run$/);
      assert.match(planned.why, why);
      await assert.rejects(plan({ query, key: ['id'] }, 'key'), (error) => {
        assert.ok(error instanceof FailureError);
        assert.equal(error.failure.code, 'cannot-cut');
        assert.match(error.failure.message, why);
        assert.match(error.failure.hint, /segments\.by to none/);
        return true;
      });
    });
  }
});

describe('a filter of a table', () => {
  test('that takes some rows of another table makes it one segment', async () => {
    const planned = await plan({ table: 'fetch_queue', where: 'offset_id IN (SELECT id FROM other LIMIT 5)' });
    assert.equal(planned.cut.name, 'none');
    assert.match(planned.why, /^the filter has LIMIT/);
  });

  for (const where of [
    'random() < 0.9',
    'fetched_at > 0 AND offset_id >= 0',
    'limit_x > (SELECT min(id) FROM other)',
  ]) {
    test(`${where} is looked at in the segment of each row, and cut`, async () => {
      assert.equal((await plan({ table: 'fetch_queue', where })).cut.name, 'key');
    });
  }
});

describe('asking the planner', () => {
  const query = 'SELECT * FROM fetch_queue WHERE id > $1';

  async function settingAfter(begin: string, end: string): Promise<string | undefined> {
    await client.query(begin);
    try {
      const { segments } = await plan({ query, params: [5], key: ['id'] });
      assert.ok(segments.length > 1);
      const { rows } = await client.query<{ value: string }>(`SELECT current_setting('enable_indexscan') AS value`);
      return rows[0]?.value;
    } finally {
      await client.query(end);
    }
  }

  test('leaves neither a transaction nor its settings behind', async () => {
    assert.equal(await settingAfter('SELECT', 'SELECT'), 'on');
    assert.equal(client.getTransactionStatus(), 'I');
  });

  test('leaves the transaction of a run as it was, with the locks on what is read', async () => {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await plan({ query, params: [5], key: ['id'] });
    const { rows } = await client.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'fetch_queue'::regclass`,
    );
    assert.ok(rows[0]!.n > 0);
    assert.equal(await settingAfter('SELECT', 'SELECT'), 'on');
    assert.equal(client.getTransactionStatus(), 'T');
    await client.query('ROLLBACK');
  });
});
