/** Archives laid out by value: each row in the folder of its value, and in that one only, whatever the values are. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { listCommand } from '../../../src/commands/list.ts';
import { planCommand } from '../../../src/commands/plan.ts';
import { restoreCommand } from '../../../src/commands/restore.ts';
import { verifyCommand } from '../../../src/commands/verify.ts';
import type { Manifest } from '../../../src/ledger/manifest.ts';
import type { RestoreResult } from '../../../src/restore/request.ts';
import { GATHERING } from '../../../src/run/receipt-writer.ts';
import type { RunResult } from '../../../src/run/run-archive.ts';
import { commandOfFile } from '../../support/in-process.ts';
import { queryDuckDb, withoutDuckDb } from '../../support/duckdb.ts';
import { recipe } from '../../support/recipe.ts';
import { testDatabase, type TestDatabase } from '../../support/postgres.ts';
import { difference, openYard, type Yard } from '../restore/support.ts';

/** Texts that mean something to somebody on the way. */
const HOSTILE = [
  `'; DROP TABLE t; --`,
  'a\nb\r\tc\u0001',
  '100%',
  'a/b',
  '../../etc',
  '..',
  '.',
  'a=b',
  '😀🙃',
  'É',
  'E\u0301',
  'x',
  'X',
  'x ',
  ' x',
  '%41',
  'A',
  '\\',
  '"',
  `$$`,
  '{a}[b]^#*?:',
  'null',
  'NULL',
  '__HIVE_DEFAULT_PARTITION__',
  '__hive_default_partition__',
  'run=20261123T020001Z',
  'part-00000.jsonl.gz',
  '_manifest.json',
  'a'.repeat(240),
];

let database: TestDatabase;
let yard: Yard;
/** The run of hostile values. */
let hostile: RunResult;

before(async () => {
  // A run is drained after some of its segments, which are done within a moment.
  GATHERING.ms = 0;
  database = await testDatabase();
  yard = await openYard(database);
});

function folderOf(result: RunResult): string {
  return path.join(yard.folder, 'store/it', `run=${result.run}`);
}

function manifestOf(result: RunResult): Manifest {
  return JSON.parse(readFileSync(path.join(folderOf(result), '_manifest.json'), 'utf8')) as Manifest;
}

/** The lines of each folder of a run, by the folder's name below it. */
function linesByFolder(result: RunResult): Map<string, Record<string, unknown>[]> {
  const lines = new Map<string, Record<string, unknown>[]>();
  for (const entry of readdirSync(folderOf(result), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.jsonl.gz')) continue;
    const text = gunzipSync(readFileSync(path.join(entry.parentPath, entry.name))).toString();
    const rows = text.split('\n').slice(0, -1);
    const folder = path.relative(folderOf(result), entry.parentPath);
    lines.set(folder, [...(lines.get(folder) ?? []), ...rows.map((row) => JSON.parse(row) as Record<string, unknown>)]);
  }
  return lines;
}

describe('a layout by value', () => {
  test('has each row in the folder of its value, whatever that is', async () => {
    await database.client.query('CREATE TABLE hostile (id bigint PRIMARY KEY, t text)');
    await database.client.query(
      "INSERT INTO hostile SELECT row_number() OVER (), v FROM (SELECT unnest($1::text[]) UNION ALL SELECT * FROM (VALUES (NULL), (''), ('x'), (NULL)) o) AS v(v)",
      [HOSTILE],
    );
    const result = await yard.archive({ table: 'hostile', partitionBy: ['t'] }, { verifySource: true });
    assert.equal(result.rows, HOSTILE.length + 4);
    const manifest = manifestOf(result);
    assert.deepEqual(manifest.partitionBy, ['t']);
    assert.equal(manifest.cut?.by, 'value');
    const folders = linesByFolder(result);
    assert.equal(folders.size, HOSTILE.length + 1);
    for (const { partition, key, rows } of manifest.objects) {
      const found = folders.get(path.dirname(key.slice(`it/run=${result.run}/`.length))) ?? [];
      assert.equal(found.filter(({ t }) => t === partition?.['t']).length, rows);
    }
    const undivided = [...folders.values()].filter((rows) => new Set(rows.map(({ t }) => t)).size > 1);
    assert.deepEqual(
      undivided.map((rows) => [...new Set(rows.map(({ t }) => t))].sort()),
      [['', null].sort()],
    );
    hostile = result;
    await database.client.query('CREATE TABLE hostile_back (LIKE hostile INCLUDING ALL)');
    assert.equal((await yard.restore('hostile_back')).status, 'restored');
    assert.deepEqual(await difference(database.client, 't.*', 'hostile', 'hostile_back'), []);
  });

  test('is read by DuckDB as docs/format.md says', { skip: withoutDuckDb }, async () => {
    const asHere = (sql: string): string =>
      sql.replaceAll('domain_id', 't').replace(", note: 'VARCHAR'", '').replaceAll('/**/', '/*/');
    const read = (sql: string): ReturnType<typeof queryDuckDb> => queryDuckDb(sql, folderOf(hostile));
    const counted = await read(asHere(recipe('duckdb-values')));
    // What DuckDB takes for NULL, as it is said there.
    const isNull = (value: string | null): boolean => value === null || /^(null)?$/i.test(value);
    const values = [...HOSTILE, null, null, '', 'x'];
    const expected = Map.groupBy(
      values.map((value) => (isNull(value) ? null : value)),
      (value) => value,
    );
    assert.deepEqual(
      new Map(counted.map(({ t, rows }) => [t, Number(rows)])),
      new Map([...expected].map(([value, all]) => [value, all.length])),
    );
    const lines =
      "read_json('run/*/*.jsonl.gz', format = 'newline_delimited', hive_partitioning = false, columns = {t: 'VARCHAR'})";
    const written = (await read(`SELECT t FROM ${lines}`)).map(({ t }) => JSON.stringify(t));
    assert.deepEqual(written.sort(), values.map((value) => JSON.stringify(value)).sort());
  });

  test('of each type names folders as Postgres prints the values; others are refused', async () => {
    const { client } = database;
    await client.query(`
      CREATE TYPE mood AS ENUM ('so so', 'good/bad');
      CREATE DOMAIN tenant AS int CHECK (VALUE > 0);
      CREATE COLLATION IF NOT EXISTS blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE TABLE typed (id int PRIMARY KEY, b bool, s smallint, i int, l bigint, v varchar(9), c text COLLATE "C", u uuid, d date, e mood, t tenant,
        n numeric, f float8, z timestamptz, p char(3), r text COLLATE blind);
      INSERT INTO typed VALUES
        (1, true, -1, 0, 9223372036854775807, 'é', 'a', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '2024-02-29', 'good/bad', 7, 1.0, -0.0, now(), 'a', 'a'),
        (2, false, 1, NULL, -1, 'E', 'A', NULL, 'infinity', 'so so', 8, 1.00, 0.0, now(), 'A', 'A'),
        (3, NULL, NULL, 0, 0, '', NULL, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '0044-03-15 BC', NULL, NULL, NULL, NULL, NULL, NULL, NULL)`);
    const partitionBy = ['b', 's', 'i', 'l', 'v', 'c', 'u', 'd', 'e', 't'];
    const result = await yard.archive({ table: 'typed', partitionBy }, { verifySource: true });
    const none = '__HIVE_DEFAULT_PARTITION__';
    const uuid = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11';
    // In the order of the columns' own types, but text by its bytes; NULL last.
    const expected = [
      ['false', '1', none, '-1', 'E', 'A', none, 'infinity', 'so so', '8'],
      ['true', '-1', '0', '9223372036854775807', 'é', 'a', uuid, '2024-02-29', 'good%2Fbad', '7'],
      [none, none, '0', '0', none, none, uuid, '0044-03-15 BC', none, none],
    ];
    const prefix = `it/run=${result.run}/`;
    assert.deepEqual(
      manifestOf(result).objects.map(({ key }) => path.dirname(key.slice(prefix.length)).split('/')),
      expected.map((values) => values.map((value, at) => `${partitionBy[at] ?? ''}=${value}`)),
    );
    assert.equal(linesByFolder(result).size, 3);
    for (const [column, why] of [
      ['n', /"n" cannot name folders: it is of type numeric/],
      ['f', /it is of type double precision/],
      ['z', /it is of type timestamp with time zone/],
      ['p', /it is of type character\(3\)/],
      ['r', /its collation takes different texts for equal/],
    ] as const) {
      const { error } = await yard.run({ table: 'typed', partitionBy: [column] }, '20261123T230000Z');
      assert.equal(error?.code, 'partition-column');
      assert.match(error.message, why);
    }
    const { error } = await yard.run({ table: 'typed', partitionBy: ['tenan'] }, '20261123T230000Z');
    assert.equal(error?.code, 'column-not-found');
    const twice = await yard.run({ query: 'SELECT 1 AS a, 2 AS a', partitionBy: ['a'] }, '20261123T230000Z');
    assert.match(twice.error?.message ?? '', /2 columns have this name/);
    const mixed = await yard.run(
      { query: 'SELECT c || x AS a FROM (SELECT c, v COLLATE "POSIX" AS x FROM typed) t', partitionBy: ['a'] },
      '20261123T230000Z',
    );
    assert.match(mixed.error?.message ?? '', /is not known/);
  });

  test('of several columns nests folders in the order of the list, for tables, queries and filters', async () => {
    await database.client.query(`
      CREATE TABLE visits (id int PRIMARY KEY, tenant int, day date, note text);
      INSERT INTO visits SELECT n, n % 3, '2024-01-01'::date + n % 2, repeat('x', n) FROM generate_series(1, 60) n`);
    const several = { partitionBy: ['tenant', 'day'] };
    const expected = [0, 1, 2].flatMap((tenant) => ['01', '02'].map((day) => `tenant=${tenant}/day=2024-01-${day}`));
    for (const archive of [
      { table: 'visits', where: 'id <= 30' },
      { query: 'SELECT note, day, tenant, id FROM visits WHERE id <= $1', params: [40] },
    ]) {
      const result = await yard.archive({ ...archive, ...several }, { verifySource: true });
      assert.deepEqual([...linesByFolder(result).keys()].sort(), expected);
      assert.ok([30, 40].includes(result.rows));
      for (const { partition, rows, key } of manifestOf(result).objects) {
        assert.deepEqual(Object.keys(partition ?? {}), ['tenant', 'day']);
        assert.ok(rows > 0 && key.includes(`tenant=${partition?.['tenant']}/day=${partition?.['day']}/`));
      }
    }
    const empty = await yard.archive({ table: 'visits', where: 'id < 0', ...several });
    assert.deepEqual([empty.rows, empty.objects, manifestOf(empty).objects], [0, 0, []]);
    assert.equal((await yard.restore('visits')).rows, 0);
  });

  test('finds values through an index, NULL among them, and cuts those that are large by key', async () => {
    await database.client.query(`
      CREATE TABLE skewed (id int PRIMARY KEY, tenant text, note text);
      INSERT INTO skewed SELECT n, CASE WHEN n % 10 > 0 THEN 'large' WHEN n % 7 > 0 THEN 'small ' || n % 70 END, md5(n::text) FROM generate_series(1, 6000) n`);
    const archive = { table: 'skewed', partitionBy: ['tenant'], segments: { targetSize: '100KiB' } };
    const byPass = await yard.archive(archive, { verifySource: true });
    await database.client.query('CREATE INDEX ON skewed (tenant)');
    const byIndex = await yard.archive(archive, { verifySource: true });
    for (const result of [byPass, byIndex]) {
      const { objects } = manifestOf(result);
      const large = objects.filter(({ partition }) => partition?.['tenant'] === 'large');
      assert.ok(large.length >= 4, `${large.length} segments`);
      assert.equal(
        new Set(objects.map(({ partition }) => partition?.['tenant'])).size,
        objects.length - large.length + 1,
      );
      const ends = large.map(({ firstKey, lastKey }) => [Number(firstKey?.[0]), Number(lastKey?.[0])]);
      assert.deepEqual(
        ends.flat(),
        ends.flat().toSorted((a, b) => a - b),
      );
      assert.equal(result.rows, 6000);
    }
    const folders = [byPass, byIndex].map((result) => [...linesByFolder(result).keys()].sort());
    assert.deepEqual(folders[1], folders[0]);
    const whole = await yard.archive({ ...archive, segments: { by: 'none', targetSize: '100KiB' } });
    assert.equal(whole.objects, folders[0]?.length);
  });

  test('is refused before the first object for a value that no key holds, and for too many values', async () => {
    await database.client.query(`
      CREATE TABLE wide (id int PRIMARY KEY, t text);
      INSERT INTO wide VALUES (1, 'a'), (2, repeat('/', 85))`);
    const id = '20261123T230000Z';
    const long = await yard.run({ table: 'wide', partitionBy: ['t'] }, id);
    assert.equal(long.error?.code, 'partition-key');
    assert.match(long.error.message, /^the folder t=%2F.* has 257 bytes, and a file system takes 255/);
    await database.client.query("UPDATE wide SET t = repeat('y', 2000) WHERE id = 2");
    const longer = await yard.run({ table: 'wide', partitionBy: ['t'] }, id);
    assert.match(longer.error?.message ?? '', /t has the value y{99}…, which is longer than a key can be/);
    assert.ok(!readdirSync(path.join(yard.folder, 'store/it')).includes(`run=${id}`), 'something was written');
    const many = await yard.run({ query: 'SELECT n FROM generate_series(1, 100001) n', partitionBy: ['n'] }, id);
    assert.equal(many.error?.code, 'partition-count');
    assert.match(many.error.message, /n has more than 100,000 values/);
  });

  test('goes on from its receipts after a crash, and gives values that came meanwhile segments of their own', async () => {
    await database.client.query(`
      CREATE TABLE grown (id int PRIMARY KEY, tenant int, note text);
      INSERT INTO grown SELECT n, n % 8, 'x' FROM generate_series(1, 80) n`);
    const archive = { table: 'grown', partitionBy: ['tenant'], segments: { parallel: 1 } };
    const id = '20261123T220000Z';
    const drain = new AbortController();
    const stopped = await yard.run(archive, id, {
      drain: drain.signal,
      onProgress: ({ segmentsDone }) => {
        if (segmentsDone === 2) drain.abort();
      },
    });
    assert.equal(stopped.error?.code, 'drained');
    const before = linesByFolder(stopped).size;
    await database.client.query(
      "INSERT INTO grown VALUES (81, NULL, 'new'), (82, 99, 'new'); DELETE FROM grown WHERE tenant = 7",
    );
    const resumed = await yard.run(archive, id);
    assert.deepEqual([resumed.status, resumed.resumed, resumed.rows], ['committed', true, 72]);
    const manifest = manifestOf(resumed);
    assert.equal(manifest.consistency, 'resumed');
    assert.deepEqual(
      manifest.objects.map(({ partition, rows }) => [partition?.['tenant'], rows]),
      [
        ['0', 10],
        ['1', 10],
        ['2', 10],
        ['3', 10],
        ['4', 10],
        ['5', 10],
        ['6', 10],
        ['7', 0],
        ['99', 1],
        [null, 1],
      ],
    );
    const first = manifest.snapshots?.[0]?.id;
    assert.equal(manifest.objects.filter(({ snapshot }) => snapshot === first).length, before);
    assert.deepEqual(
      manifest.objects.map(({ key }) => path.basename(key).slice(0, 10)),
      manifest.objects.map((_, at) => `part-0000${at}`),
    );
  });

  test('leaves an object without rows where an earlier try had another layout', async () => {
    const id = '20261123T220001Z';
    const drain = new AbortController();
    const stopped = await yard.run({ table: 'grown', partitionBy: ['tenant'], segments: { parallel: 1 } }, id, {
      drain: drain.signal,
      onProgress: ({ segmentsDone }) => {
        if (segmentsDone === 1) drain.abort();
      },
    });
    assert.equal(stopped.error?.code, 'drained');
    const other = await yard.run({ table: 'grown', partitionBy: ['note'] }, id);
    assert.deepEqual([other.status, other.rows], ['committed', 72]);
    const { objects } = manifestOf(other);
    assert.deepEqual(
      objects.filter(({ rows }) => rows > 0).map(({ partition }) => partition),
      [{ note: 'new' }, { note: 'x' }],
    );
    for (const { partition, rows, key } of objects.slice(2))
      assert.deepEqual([partition, rows, key.includes('/tenant=')], [undefined, 0, true]);
    assert.ok(objects.length > 2);
    assert.equal((await command('verify', 'it', { run: id })).code, 0);
    await database.client.query('CREATE TABLE grown_back (LIKE grown INCLUDING ALL)');
    assert.equal((await yard.restore('grown_back', { run: id })).rows, 72);
  });

  test('refuses a run whose statement gives other rows than were counted', async () => {
    await database.client.query('CREATE TABLE odd AS SELECT n AS id, n % 2 AS tenant FROM generate_series(1, 20) n');
    const { error } = await yard.run(
      {
        table: 'odd',
        where: "id > 1 OR current_setting('application_name') NOT LIKE '% on %'",
        partitionBy: ['tenant'],
      },
      '20261123T220002Z',
    );
    assert.equal(error?.code, 'row-count-mismatch', JSON.stringify(error));
    assert.match(error.message, /public\.odd has 19 rows by its values, and 20 came/);
    const limited = await yard.run({ query: 'SELECT * FROM odd LIMIT 5', partitionBy: ['tenant'] }, '20261123T220003Z');
    assert.equal(limited.error?.code, 'cannot-cut');
    assert.match(limited.error.hint, /Leave partitionBy out/);
  });
});

/** Runs a command with `--json`. */
async function command(
  name: 'verify' | 'list' | 'plan' | 'restore',
  archive: string,
  options: Record<string, unknown>,
): Promise<{ code: number; report: unknown }> {
  const { code, stdout } = await commandOfFile(yard.configFile, {}, (invocation) => {
    switch (name) {
      case 'verify':
        return verifyCommand(invocation, archive, options);
      case 'list':
        return listCommand(invocation, archive, { windows: false, ...options });
      case 'plan':
        return planCommand(invocation, [archive], options);
      case 'restore':
        return restoreCommand(invocation, archive, {
          create: false,
          onConflict: 'fail',
          selfReferences: 'refuse',
          ...options,
        });
    }
  });
  return { code, report: JSON.parse(stdout === '' ? 'null' : stdout) };
}

describe('windows laid out by value', () => {
  const archive = {
    table: 'events',
    timezone: 'Europe/Berlin',
    window: { column: 'at', every: 'day' },
    partitionBy: ['tenant'],
  };
  const ids = ['20231231T230000Z', '20240101T230000Z', '20240102T230000Z'];

  before(async () => {
    await database.client.query(`
      CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamptz NOT NULL, note text);
      CREATE INDEX ON events (tenant, at);
      INSERT INTO events SELECT n, (ARRAY['a', 'b/c', '', NULL])[1 + n % 4], '2024-01-01 00:00:00+01'::timestamptz + n * interval '1 hour', md5(n::text)
      FROM generate_series(0, 71) n;
      DELETE FROM events WHERE tenant = 'a' AND at >= '2024-01-02 00:00:00+01' AND at < '2024-01-03 00:00:00+01'`);
    for (const id of ids) {
      const result = await yard.run(archive, id, { verifySource: true });
      assert.equal(result.status, 'committed', JSON.stringify(result.error));
    }
  });

  async function restored(run: string, wanted: readonly string[]): Promise<RestoreResult> {
    return yard.restore('back', { run, ...(wanted.length === 0 ? {} : { partition: { wanted, mayLack: true } }) });
  }

  async function rowsOf(table: string, condition: string): Promise<string[]> {
    const { rows } = await database.client.query<{ row: string }>(
      `SELECT t::text AS row FROM ${table} t WHERE ${condition} ORDER BY id`,
    );
    return rows.map(({ row }) => row);
  }

  test('come back by tenant, by day, and whole', async () => {
    await database.client.query('CREATE TABLE back (LIKE events INCLUDING ALL)');
    for (const [runs, wanted, condition, objects] of [
      [ids, ['tenant=a'], "tenant = 'a'", [1, 0, 1]],
      [ids, ['tenant=b/c'], "tenant = 'b/c'", [1, 1, 1]],
      [ids, ['tenant='], "tenant = ''", [1, 1, 1]],
      [
        ids.slice(1, 2),
        ['tenant'],
        "tenant IS NULL AND at >= '2024-01-02 00:00+01' AND at < '2024-01-03 00:00+01'",
        [1],
      ],
      [ids, [], 'true', [4, 3, 4]],
    ] as const) {
      await database.client.query('TRUNCATE back');
      const results: RestoreResult[] = [];
      for (const run of runs) results.push(await restored(run, wanted));
      assert.deepEqual(
        results.map(({ status, objects }) => [status, objects]),
        objects.map((count) => ['restored', count]),
      );
      assert.deepEqual(await rowsOf('back', 'true'), await rowsOf('events', condition));
    }
  });

  test('are refused where no window has the value, or no folder is of the column', async () => {
    const restore = (options: Record<string, unknown>): ReturnType<typeof command> =>
      command('restore', 'it', { into: 'public.back', onConflict: 'skip', ...options });
    await assert.rejects(restore({ all: true, partition: ['tenant=z'] }), {
      message: 'none of the windows has rows of tenant=z',
    });
    for (const [options, problem] of [
      [{ all: true, partition: ['tenat=a'] }, /--partition tenat=a: its folders are of tenant/],
      [{ run: ids[1], partition: ['tenant=a'] }, /run 20240101T230000Z has no rows of tenant=a/],
    ] as const) {
      const { code, report } = await restore(options);
      assert.equal(code, 2);
      assert.match(JSON.stringify(report), problem);
    }
  });

  test('are verified and listed by value, and only those objects are read', async () => {
    const folder = path.join(yard.folder, 'store/it/run=20240102T230000Z');
    const other = path.join(folder, 'tenant=b%2Fc');
    const [part = ''] = readdirSync(other);
    const body = readFileSync(path.join(other, part));
    writeFileSync(path.join(other, part), Buffer.concat([body.subarray(0, -1), Buffer.of(255 - (body.at(-1) ?? 0))]));
    try {
      const { code, report } = await command('verify', 'it', { all: true, partition: ['tenant=a'] });
      assert.equal(code, 0);
      assert.deepEqual(
        (report as { objectsRead: number; rows: number }[]).map(({ objectsRead, rows }) => [objectsRead, rows]),
        [
          [1, 6],
          [1, 6],
        ],
      );
      assert.equal((await command('verify', 'it', { run: '20240102T230000Z', partition: ['tenant=b/c'] })).code, 3);
    } finally {
      writeFileSync(path.join(other, part), body);
    }
    writeFileSync(path.join(folder, 'tenant=a/part-00099.jsonl.gz'), '');
    try {
      assert.equal((await command('verify', 'it', { run: '20240102T230000Z', partition: ['tenant=b/c'] })).code, 0);
      assert.equal((await command('verify', 'it', { run: '20240102T230000Z', partition: ['tenant=a'] })).code, 3);
      // NULL and the empty text share a folder: neither is a stray beside the other.
      assert.equal((await command('verify', 'it', { run: '20240102T230000Z', partition: ['tenant'] })).code, 0);
    } finally {
      rmSync(path.join(folder, 'tenant=a/part-00099.jsonl.gz'));
    }
    await assert.rejects(command('verify', 'it', { run: '20240101T230000Z', partition: ['tenant=a'] }), {
      message: 'run 20240101T230000Z has no rows of tenant=a',
    });
    await assert.rejects(
      command('verify', 'it', { all: true, partition: ['x=a'] }),
      /--partition x=a: its folders are of tenant/,
    );
    await assert.rejects(command('verify', 'it', { all: true, partition: ['tenant=nobody'] }), {
      message: 'none of the windows has rows of tenant=nobody',
    });
    const { report } = await command('list', 'it', { partition: ['tenant=a'] });
    assert.deepEqual(
      (report as { run: string; rows: number; objects: number }[]).map(({ run, rows, objects }) => [
        run,
        rows,
        objects,
      ]),
      [
        ['20231231T230000Z', 6, 1],
        ['20240102T230000Z', 6, 1],
      ],
    );
  });

  test('are planned with their folders, and a missing index is named', async () => {
    const { report } = await command('plan', 'it', { runId: '20240101T230000Z' });
    const [plan] = report as { by: string; segments: { key: string; partition: unknown }[]; warnings: string[] }[];
    assert.equal(plan?.by, 'value');
    assert.deepEqual(
      plan.segments.map(({ key, partition }) => [key, partition]),
      [
        ['it/run=20240101T230000Z/tenant=__HIVE_DEFAULT_PARTITION__/part-00000.jsonl.gz', { tenant: '' }],
        ['it/run=20240101T230000Z/tenant=b%2Fc/part-00001.jsonl.gz', { tenant: 'b/c' }],
        ['it/run=20240101T230000Z/tenant=__HIVE_DEFAULT_PARTITION__/part-00002.jsonl.gz', { tenant: null }],
      ],
    );
    assert.equal(plan.warnings.length, 1);
    assert.match(
      plan.warnings[0] ?? '',
      /^column tenant: readers that take tenant=… of the folders .*docs\/format\.md/,
    );
    await database.client.query('DROP INDEX events_tenant_at_idx');
    const { report: without } = await command('plan', 'it', { runId: '20240101T230000Z' });
    assert.match(
      JSON.stringify(without),
      /no index leads with tenant or at, .*: CREATE INDEX CONCURRENTLY ON \\\\?"public\\\\?"\.\\\\?"events\\\\?" \(\\\\?"tenant\\\\?", \\\\?"at\\\\?"\)/,
    );
  });
});
