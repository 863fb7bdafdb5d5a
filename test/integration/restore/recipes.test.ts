/** The ways of docs/format.md to read an archive without pgsluice, as they stand there, over the hardest values. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { queryDuckDb, withoutDuckDb } from '../../support/duckdb.ts';
import { skipWithout } from '../../support/needs.ts';
import { testDatabase, type TestDatabase } from '../../support/postgres.ts';
import { recipe } from '../../support/recipe.ts';
import { difference, openYard } from './support.ts';

const RUN = '20261123T021500Z';

/** Stands for the AWS CLI: what is copied lies in a folder. */
const AWS = `#!/bin/sh
for last; do :; done
if [ "$last" = - ]; then cat "$ARCHIVED/part-00000.jsonl.gz"; else mkdir -p "$last" && cp -r "$ARCHIVED/." "$last"; fi
`;

const HARD_ROWS = `
  CREATE TABLE fetch_queue (id bigint PRIMARY KEY, url text, headers jsonb, score numeric, price numeric(12,4), fetched_at timestamptz, ok boolean,
    ratio double precision, small real, raw json, bytes bytea, tags text[], "we""ird, é" text, run text, took interval);
  INSERT INTO fetch_queue VALUES
    (9223372036854775807, E'a"b\\\\c\\u0001\\t\\r\\n\\u2028\\u0085é🙃 ,"price":5,', '{"price": 1, "big": 123456789012345678901234567890.1, "deep": [[-0.0, {"id": 7}]]}',
      123456789012345678901234567890.12345678901234567890, 99998474.1047, '2024-02-29 12:34:56.123456+00', false, '-0', 1e-45,
      '{"a" : 1e5, "a":2 , "b":[1.10,-0]}', '\\x0001ff22', ARRAY['1', '"2",', NULL, '-3'], '{"id":1}', '12', '1 day -00:00:00.000001'),
    (-9223372036854775808, '', '123456789012345678901.10', 'NaN', -1.10, 'infinity', true, '5e-324', '-Infinity', '[]', '', '{}', '-5', 'run=1', '-1 mon'),
    (9007199254740993, '"', '"9007199254740993"', repeat('9', 5000)::numeric, 0.0001, '0044-03-15 00:00:00+00 BC', false, '1.7976931348623157e308', 'NaN',
      '-1.50', NULL, NULL, E'\\\\', NULL, NULL),
    (0, 'x', NULL, ('0.' || repeat('1', 100) || '0')::numeric, NULL, NULL, NULL, 0.1 + 0.2::float8, 16777216, NULL, NULL, '{{1},{2}}', NULL, '', '00:00');
  ANALYZE fetch_queue`;

let database: TestDatabase;
let folder: string;
let environment: NodeJS.ProcessEnv;
/** Each column of each row as Postgres prints it, by the row's id. */
let expected: Map<string, Record<string, string | null>>;

before(async () => {
  database = await testDatabase();
  const yard = await openYard(database);
  await database.client.query(HARD_ROWS);
  const { run } = await yard.archive({
    table: 'fetch_queue',
    key: ['id'],
    segments: { by: 'key', targetSize: '1KiB' },
  });
  folder = await mkdtemp(path.join(os.tmpdir(), 'pgsluice-recipes-'));
  const archived = path.join(yard.folder, 'store/it', `run=${run}`);
  await writeFile(path.join(folder, 'aws'), AWS, { mode: 0o755 });
  await cp(archived, path.join(folder, 'run'), { recursive: true });
  const url = new URL(database.url);
  environment = {
    ...{ PATH: `${folder}:${process.env['PATH'] ?? ''}`, HOME: folder, ARCHIVED: archived, PGTZ: 'UTC' },
    ...{ PGHOST: url.hostname, PGPORT: url.port, PGUSER: url.username, PGPASSWORD: decodeURIComponent(url.password) },
    PGDATABASE: url.pathname.slice(1),
  };
  expected = await printRows();
});

after(() => rm(folder, { recursive: true, force: true }));

/** Floats and times as they are in the lines; see docs/format.md. */
async function printRows(): Promise<Map<string, Record<string, string | null>>> {
  const { rows } = await database.client.query<{ id: string; values: Record<string, string | null> }>(
    `SELECT id, json_object_agg(key, to_json(t) ->> key) AS values FROM fetch_queue AS t, json_object_keys(to_json(t)) AS key GROUP BY id`,
  );
  return new Map(rows.map(({ id, values }) => [id, values]));
}

async function run(command: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, { cwd: folder, env: environment });
  return stdout;
}

const sh = (name: string): Promise<string> => run('sh', '-ec', recipe(name));

function assertColumns(rows: readonly Record<string, string | null>[], columns: readonly string[]): void {
  assert.equal(rows.length, expected.size);
  for (const row of rows) {
    const wanted = expected.get(row['id'] ?? '');
    for (const column of columns) assert.equal(row[column], wanted?.[column], `${column} of ${row['id']}`);
  }
}

/** What no reader changes once numbers are text. */
const SCALARS = [
  'id',
  'url',
  'score',
  'price',
  'fetched_at',
  'ok',
  'ratio',
  'small',
  'bytes',
  'we"ird, é',
  'run',
  'took',
];

describe('the recipes', () => {
  test('prove the objects', { skip: skipWithout('jq') }, async () => {
    assert.match(await sh('sums'), /^part-00000\.jsonl\.gz: OK\n/);
  });

  test('put numbers in quotes, and change nothing else', async () => {
    await sh('quoted');
    const lines = readFileSync(path.join(folder, 'quoted.jsonl'), 'utf8').split('\n').slice(0, -1);
    const rows = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const texts = rows.map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([name, value]) => [
          name,
          value === null || typeof value === 'string' ? value : JSON.stringify(value),
        ]),
      ),
    );
    assertColumns(texts, SCALARS);
    const first = rows.find(({ id }) => id === '9223372036854775807');
    assert.deepEqual(first?.['headers'], {
      big: '123456789012345678901234567890.1',
      price: '1',
      deep: [['0.0', { id: '7' }]],
    });
    assert.deepEqual(first['tags'], ['1', '"2",', null, '-3']);
  });

  test('look with jq', { skip: skipWithout('jq') }, async () => {
    await sh('quoted');
    assert.ok((await sh('look')).split('\n').length >= 1);
    const rows = (await sh('jq'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, string>);
    assert.deepEqual(rows.map(({ id }) => id).sort(), ['9007199254740993', '9223372036854775807']);
    for (const { id, url, score } of rows)
      assert.deepEqual([url, score], [expected.get(id ?? '')?.['url'], expected.get(id ?? '')?.['score']]);
  });

  test('fill a table with psql', { skip: skipWithout('psql') }, async () => {
    await sh('psql');
    // What has no equality is compared as text; a composite's own output would do as well.
    assert.deepEqual(await difference(database.client, 't.*', 'fetch_queue', 'restored'), []);
  });

  test('read with Python', { skip: skipWithout('python3') }, async () => {
    const script = `${recipe('python')}
for row in rows("run"):
    print(json.dumps({name: None if value is None else str(value).lower() if isinstance(value, bool) else str(value) for name, value in row.items()}))
`;
    const [first, ...lines] = (await run('python3', '-c', script)).trimEnd().split('\n');
    assert.equal(first, '1 9223372036854775807');
    // Decimal prints small numbers with an E, and keeps their digits.
    const rows = lines.map((line) => JSON.parse(line) as Record<string, string | null>);
    assertColumns(
      rows,
      SCALARS.filter((name) => !['ratio', 'small'].includes(name)),
    );
    assert.deepEqual(
      rows.map(({ ratio }) => Number(ratio)),
      rows.map(({ id }) => Number(expected.get(id ?? '')?.['ratio'])),
    );
    assert.equal(rows.find(({ id }) => id === '9223372036854775807')?.['ratio'], '-0');
  });

  describe('with DuckDB', { skip: withoutDuckDb }, () => {
    const query = (sql: string): ReturnType<typeof queryDuckDb> => queryDuckDb(sql, path.join(folder, 'run'));

    test('read every digit', async () => {
      const names = SCALARS.map((name) => `line ->> '${name}' AS "${name.replaceAll('"', '""')}"`).join(', ');
      assertColumns(await query(`${recipe('duckdb')}; SELECT ${names} FROM lines`), SCALARS);
      const [sums] = await query(recipe('duckdb'));
      assert.deepEqual(Object.values(sums ?? {}), ['1', '-1.1000', '-9223372036854775808', 'infinity']);
    });

    test('read what is said to be doubles, and a column named as the folders are', async () => {
      assert.equal(Object.values((await query(recipe('duckdb-doubles')))[0] ?? {})[0], '4');
      await cp(path.join(folder, 'run'), path.join(folder, 'all', `run=${RUN}`), { recursive: true });
      const read = async (option: string): Promise<unknown> => {
        const columns = "columns = {id: 'BIGINT', run: 'VARCHAR'}";
        const [row] = await query(
          `SELECT run FROM read_json('${folder}/all/run=*/part-*.jsonl.gz', format = 'newline_delimited', ${option}${columns}) WHERE id = 0`,
        );
        return row?.['run'];
      };
      assert.deepEqual([await read(''), await read('hive_partitioning = false, ')], [RUN, '']);
    });
  });
});
