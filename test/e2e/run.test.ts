import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { constants, crc32, gunzipSync, inflateRawSync } from 'node:zlib';
import type { Manifest } from '../../src/ledger/manifest.ts';
import type { RunResult } from '../../src/run/run-archive.ts';
import { runHere } from '../support/here.ts';
import { oracleLines } from '../support/read-lines.ts';
import { failureOf, openSite, PREFIX, resultsOf, type Site } from '../support/site.ts';

const RUN = '20261123T021500Z';

const ROWS = `CREATE TABLE %s (id int PRIMARY KEY, name text, at timestamptz, tags text[], amount numeric(12, 2));
  INSERT INTO %s SELECT i, CASE WHEN i % 7 = 0 THEN NULL ELSE 'näme "' || i || E'"\\n' END,
    timestamptz '2026-01-01' + i * interval '1 hour', ARRAY['a', i::text], i / 3.0 FROM generate_series(1, 500) AS i;`;

describe('run, with a config written by hand', () => {
  let site: Site;
  let config: string;
  let result: RunResult;
  let manifest: Manifest;

  before(async () => {
    site = await openSite();
    await site.database.client.query(ROWS.replaceAll('%s', 'public.fetch_queue'));
    config = site.newConfigFile();
    await writeFile(
      config,
      `# As an operator would write it.
sources:
  default:
    url: \${DATABASE_URL}
destinations:
  default:
    url: s3://archive/pg
    region: ${site.s3.region}
    endpoint: ${site.proxy.endpoint}
    forcePathStyle: true
    accessKeyId: \${ACCESS_KEY}
    secretAccessKey: \${SECRET_KEY}
    partSize: 8MiB
    tags: { team: data }
archives:
  fetch_queue:
    table: public.fetch_queue
    schedule: "15 2 * * *"
    timezone: Europe/Berlin
    segments: { by: auto, targetSize: 256MiB, parallel: 2 }
    compression: { codec: gzip, engine: auto }
    read: auto
    retry: { attempts: 5, backoff: 2s }
workers: { threads: 2, maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16 }
log: { level: info }
drainTimeout: 60s
`,
    );
    const ending = await site.run(['run', 'fetch_queue', '--run-id', RUN, '--json'], config);
    assert.equal(ending.code, 0, ending.stderr);
    result = resultsOf(ending)[0]!;
    manifest = (await site.manifest('fetch_queue', RUN))!;
  });

  test('prints what the contract names for --json, in one array on stdout', () => {
    assert.deepEqual(
      Object.keys(result).sort(),
      [
        ...['archive', 'run', 'status', 'rows', 'objects', 'jsonBytes', 'bytes', 'seconds', 'manifest'],
        ...['peakHeapBytes', 'peakRssBytes', 'resumed'],
      ].sort(),
    );
    assert.equal(result.archive, 'fetch_queue');
    assert.equal(result.run, RUN);
    assert.equal(result.status, 'committed');
    assert.equal(result.rows, 500);
    assert.equal(result.objects, manifest.objects.length);
    assert.equal(result.jsonBytes, manifest.jsonBytes);
    assert.equal(result.bytes, manifest.bytes);
    assert.equal(result.manifest, `s3://archive/${PREFIX}fetch_queue/run=${RUN}/_manifest.json`);
    assert.equal(result.resumed, false);
    assert.ok(result.seconds > 0 && result.peakHeapBytes > 1e6 && result.peakRssBytes > result.peakHeapBytes);
  });

  test('writes the keys of the contract, and nothing else', async () => {
    const parts = manifest.objects.map((_, at) => `part-${String(at).padStart(5, '0')}.jsonl.gz`);
    const names = ['_manifest.json', ...parts];
    assert.deepEqual(
      await site.keys(),
      ['_head.json', ...names.map((name) => `run=${RUN}/${name}`)].map((name) => `${PREFIX}fetch_queue/${name}`),
    );
    assert.deepEqual(
      manifest.objects.map(({ key }) => key),
      parts.map((name) => `${PREFIX}fetch_queue/run=${RUN}/${name}`),
    );
  });

  test('writes the manifest of the contract', () => {
    assert.equal(manifest.format, 'pgsluice/manifest/1');
    assert.equal(manifest.archive, 'fetch_queue');
    assert.equal(manifest.run, RUN);
    assert.equal(manifest.table, 'public.fetch_queue');
    assert.ok(!('query' in manifest));
    assert.deepEqual(manifest.columns, [
      { name: 'id', type: 'integer', typeOid: 23, nullable: false, encoding: 'integer' },
      { name: 'name', type: 'text', typeOid: 25, nullable: true, encoding: 'string' },
      { name: 'at', type: 'timestamp with time zone', typeOid: 1184, nullable: true, encoding: 'timestamptz' },
      { name: 'tags', type: 'text[]', typeOid: 1009, nullable: true, encoding: 'server' },
      { name: 'amount', type: 'numeric(12,2)', typeOid: 1700, nullable: true, encoding: 'number' },
    ]);
    assert.deepEqual(manifest.primaryKey, ['id']);
    assert.equal(manifest.source.database, site.database.name);
    assert.equal(Number(manifest.source.serverVersion.split('.')[0]), site.database.version);
    assert.match(manifest.source.systemIdentifier ?? '', /^\d{15,}$/);
    assert.match(manifest.snapshot.id, /^[0-9A-F]+-[0-9A-F]+-\d+$/);
    assert.match(manifest.snapshot.lsn ?? '', /^[0-9A-F]+\/[0-9A-F]+$/);
    assert.equal(manifest.consistency, 'single-snapshot');
    const times = [manifest.startedAt, manifest.snapshot.takenAt, manifest.finishedAt];
    assert.deepEqual(
      times.map((time) => new Date(time).toISOString()),
      times,
    );
    assert.deepEqual(times.toSorted(), times);
    assert.equal(manifest.tool.name, 'pgsluice');
    assert.match(manifest.tool.version, /^\d+\.\d+\.\d+/);
    assert.ok(manifest.host.length > 0);
    assert.deepEqual(manifest.objects[0]?.firstKey, ['1']);
    assert.deepEqual(manifest.objects.at(-1)?.lastKey, ['500']);
    for (const object of manifest.objects) assert.equal(object.snapshot, manifest.snapshot.id);
  });

  test('gives each object as one gzip member, with its type and without an encoding', async () => {
    for (const { key } of manifest.objects) {
      const { body, headers } = (await site.stored(key))!;
      assert.equal(headers['content-type'], 'application/gzip');
      assert.ok(!('content-encoding' in headers));
      assert.equal(body.readUInt8(3), 0, 'the header has no optional fields, so it has ten bytes');
      const { buffer: content, engine } = inflateRawSync(body.subarray(10), {
        info: true,
        finishFlush: constants.Z_SYNC_FLUSH,
      }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
      assert.equal(10 + engine.bytesWritten + 8, body.length, 'nothing comes after the first member');
      assert.equal(body.readUInt32LE(body.length - 8), crc32(content));
    }
  });

  test('stores the lines that row_to_json prints, and tells the truth of them in the manifest', async () => {
    const lines = await site.lines('fetch_queue', RUN);
    assert.deepEqual(lines, await oracleLines(site.database.url, '(SELECT * FROM public.fetch_queue ORDER BY id)'));
    for (const object of manifest.objects) {
      const { body } = (await site.stored(object.key))!;
      assert.equal(object.sha256, createHash('sha256').update(body).digest('hex'));
      assert.equal(object.crc32, crc32(gunzipSync(body)).toString(16).padStart(8, '0'));
    }
  });

  test('writes nothing again when it is run with the same id again', async () => {
    site.proxy.reset();
    const [again] = await site.archiveHere(['fetch_queue', '--run-id', RUN], config);
    assert.equal(again?.status, 'already-committed');
    assert.deepEqual(
      { ...again, seconds: 0, peakHeapBytes: 0, peakRssBytes: 0 },
      { ...result, status: 'already-committed', seconds: 0, peakHeapBytes: 0, peakRssBytes: 0 },
    );
    assert.deepEqual(
      site.proxy.requests.filter(({ method }) => method !== 'GET' && method !== 'HEAD'),
      [],
    );
  });

  test('says on stdout in words what --json would say, logs the run once, and asks the destination 14 times', async () => {
    const run = '20261124T021500Z';
    site.proxy.reset();
    const ending = await site.here(['run', 'fetch_queue', '--run-id', run], config);
    assert.equal(ending.code, 0);
    assert.match(ending.stdout, new RegExp(`^fetch_queue ${run}: committed, 500 rows in 1 object\n`));
    assert.equal(ending.stderr.match(/"run committed"/g)?.length, 1);
    const folder = `pg/fetch_queue/run=${run}/`;
    const asked = site.proxy.requests.map(({ operation, key, query }) => {
      const what = key === '' ? (query['prefix'] ?? '') : key;
      return `${operation} ${what.replace(folder, '')}`.trimEnd();
    });
    // The list of uploads and that of the folder are asked for at the same time; and so are, before the commit, the list of the folder and
    // the head, then whether what it names is there.
    const last = asked.lastIndexOf('PutObject _pgsluice/plan.json');
    const sorted = asked
      .toSpliced(2, 2, ...asked.slice(2, 4).sort())
      .toSpliced(6, last - 6, ...asked.slice(6, last).sort());
    assert.deepEqual(sorted, [
      'ListObjectsV2',
      'PutObject _pgsluice/plan.json',
      'ListMultipartUploads pg/fetch_queue/',
      'ListObjectsV2',
      'PutObject part-00000.jsonl.gz',
      'PutObject _pgsluice/part-00000.json',
      'GetObject pg/fetch_queue/_head.json',
      `HeadObject pg/fetch_queue/run=${RUN}/_manifest.json`,
      'ListObjectsV2',
      'PutObject _pgsluice/plan.json',
      'PutObject pg/fetch_queue/_head.json',
      'PutObject _manifest.json',
      'GetObject _manifest.json',
      'DeleteObjects',
    ]);
    assert.ok((await site.manifest('fetch_queue', run)) !== undefined);
  });

  test('takes the present second as the id when none is given', async () => {
    const started = Date.now();
    const [named] = await site.archiveHere(['fetch_queue'], config);
    const id = named?.run ?? '';
    const time = Date.parse(id.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
    assert.ok(time >= Math.floor(started / 1000) * 1000 && time <= Date.now(), id);
  });

  for (const [situation, args, message] of [
    [
      'an unknown archive, with the name that was meant',
      ['run', 'fetch_qeue'],
      /no archive "fetch_qeue".*"fetch_queue"\?/,
    ],
    ['an id that is no time', ['run', 'fetch_queue', '--run-id', 'yesterday'], /"yesterday" is not a run id.*20\d{6}T/],
    ['an id of a day that does not exist', ['run', 'fetch_queue', '--run-id', '20260230T000000Z'], /is not a run id/],
    ['neither a name nor --all', ['run'], /--all/],
    ['a name and --all', ['run', 'fetch_queue', '--all'], /--all/],
    ['an unknown option', ['run', 'fetch_queue', '--runid', RUN], /unknown option.*--runid/],
    ['an unknown command', ['rum'], /unknown command 'rum'[\s\S]*run/],
  ] as const) {
    test(`refuses ${situation}, and exits with 2`, async () => {
      site.proxy.reset();
      const isCommand = args[0] === 'run';
      const ending = await site.here([...args], config);
      assert.equal(ending.code, 2, ending.stderr);
      assert.match(ending.stderr, message);
      assert.equal(ending.stdout, '');
      if (isCommand) assert.deepEqual(site.proxy.requests, []);
    });
  }
});

/** An archive, the rows that it must hold as SQL, and what its manifest must say beside. */
interface Reading {
  archive: Record<string, unknown>;
  from: string;
  params?: unknown[];
  columns?: string[];
}

describe('run --all reads', () => {
  let site: Site;
  let results: RunResult[];

  const readings: Record<string, Reading> = {
    'a table without rows': { archive: { table: 'empty' }, from: 'empty' },
    'a table under a name in quotes, with blanks, dots and other letters': {
      archive: { table: '"Öde.Schema"."wei rd""näme.日本"' },
      from: '"Öde.Schema"."wei rd""näme.日本"',
    },
    'a table of the search path whose name is written in capitals': { archive: { table: 'PLAIN' }, from: 'plain' },
    'a partitioned table with a partition below a partition': { archive: { table: 'parted' }, from: 'parted' },
    'a table with children that inherit from it': { archive: { table: 'parent' }, from: 'parent' },
    'a view': { archive: { table: 'a_view' }, from: 'a_view' },
    'a materialized view': { archive: { table: 'a_materialized_view' }, from: 'a_materialized_view' },
    'a foreign table': { archive: { table: 'a_foreign_table', consistency: 'none' }, from: 'a_foreign_table' },
    'generated columns, and not a dropped one': {
      archive: { table: 'generated' },
      from: 'generated',
      columns: ['id', 'doubled', 'tail'],
    },
    'the columns that are named, in that order': {
      archive: { table: 'plain', columns: ['Name', 'id'] },
      from: '(SELECT "Name", id FROM plain)',
      columns: ['Name', 'id'],
    },
    'all columns but those that are excluded': {
      archive: { table: 'plain', exclude: ['secret', 'id'] },
      from: '(SELECT "Name", at FROM plain)',
      columns: ['Name', 'at'],
    },
    'the rows of a filter, with :slot bound to the id': {
      archive: { table: 'plain', where: `at < :slot - interval '90 days' -- of the :slot` },
      from: `(SELECT * FROM plain WHERE at < timestamptz '2026-11-23 02:15:00Z' - interval '90 days')`,
    },
    'a query with parameters and :slot': {
      archive: {
        query: `SELECT id, "Name", $2::text AS tag, ':slot' AS text, :slot AS slot FROM plain WHERE id % $1 = 0 ORDER BY id DESC;`,
        params: [3, 'it\'s "$1"'],
      },
      from: `(SELECT id, "Name", $2::text AS tag, ':slot' AS text, timestamptz '2026-11-23 02:15:00Z' AS slot FROM plain WHERE id % $1 = 0)`,
      params: [3, 'it\'s "$1"'],
    },
    'a query that begins with WITH': {
      archive: { query: 'WITH few AS (SELECT * FROM plain WHERE id < 5) SELECT count(*) AS n FROM few' },
      from: '(SELECT 4::bigint AS n)',
    },
    'into zstd': { archive: { table: 'plain', compression: { codec: 'zstd' } }, from: 'plain' },
    'into plain JSON Lines': { archive: { table: 'plain', compression: { codec: 'none' } }, from: 'plain' },
    'with the header Content-Encoding, when it is asked for': {
      archive: { table: 'plain', contentEncoding: 'gzip' },
      from: 'plain',
    },
  };
  const names = Object.fromEntries(Object.keys(readings).map((title, at) => [title, `a${at}`]));

  before(async () => {
    site = await openSite();
    await createTables(site);
    const archives = Object.fromEntries(
      Object.entries(readings).map(([title, { archive }]) => [names[title]!, archive]),
    );
    const config = await site.writeConfig({ archives });
    results = await site.archiveHere(['--all', '--run-id', RUN], config);
  });

  for (const [title, { from, params, columns }] of Object.entries(readings)) {
    test(title, async () => {
      const name = names[title]!;
      const result = results.find(({ archive }) => archive === name);
      assert.equal(result?.status, 'committed', JSON.stringify(result?.error));
      const expected = await oracleLines(site.database.url, from, params);
      assert.equal(result.rows, expected.length);
      assert.deepEqual((await site.lines(name, RUN)).sort(), expected.sort());
      const manifest = await site.manifest(name, RUN);
      if (columns !== undefined)
        assert.deepEqual(
          manifest?.columns.map((column) => column.name),
          columns,
        );
    });
  }

  test('and gives the results in the order of the config, under one id', () => {
    assert.deepEqual(
      results.map(({ archive }) => archive),
      Object.values(names),
    );
    assert.ok(results.every(({ run }) => run === RUN));
  });

  test('and names objects and their types by the codec', async () => {
    for (const [title, extension, type] of [
      ['into zstd', 'jsonl.zst', 'application/zstd'],
      ['into plain JSON Lines', 'jsonl', 'application/x-ndjson'],
    ] as const) {
      const { headers } = (await site.stored(`${PREFIX}${names[title]}/run=${RUN}/part-00000.${extension}`))!;
      assert.equal(headers['content-type'], type);
      assert.ok(!('content-encoding' in headers));
    }
    const encoded = names['with the header Content-Encoding, when it is asked for'];
    const { headers } = (await site.stored(`${PREFIX}${encoded}/run=${RUN}/part-00000.jsonl.gz`))!;
    assert.equal(headers['content-encoding'], 'gzip');
  });

  test('and keeps the text of a query in the manifest, instead of a table', async () => {
    const manifest = await site.manifest(names['a query that begins with WITH']!, RUN);
    assert.ok(manifest !== undefined && !('table' in manifest));
    assert.match(manifest.query ?? '', /^WITH few/);
  });
});

async function createTables(site: Site): Promise<void> {
  await site.database.client.query(`
    CREATE TABLE empty (id int PRIMARY KEY, name text);
    CREATE TABLE plain (id int PRIMARY KEY, "Name" text, secret text, at timestamptz);
    INSERT INTO plain SELECT i, 'n' || i, 's', timestamptz '2026-06-01' + i * interval '1 day' FROM generate_series(1, 200) AS i;
    CREATE SCHEMA "Öde.Schema";
    CREATE TABLE "Öde.Schema"."wei rd""näme.日本" ("кey ""1""" int PRIMARY KEY, "a.b" text);
    INSERT INTO "Öde.Schema"."wei rd""näme.日本" VALUES (1, 'x'), (2, 'é😀');
    CREATE TABLE parted (id int, part int, PRIMARY KEY (part, id)) PARTITION BY LIST (part);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
    CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2) PARTITION BY RANGE (id);
    CREATE TABLE parted_2_low PARTITION OF parted_2 FOR VALUES FROM (0) TO (50);
    CREATE TABLE parted_2_high PARTITION OF parted_2 DEFAULT;
    INSERT INTO parted SELECT i, 1 + i % 2 FROM generate_series(1, 100) AS i;
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE child (extra text) INHERITS (parent);
    INSERT INTO parent VALUES (1);
    INSERT INTO child VALUES (2, 'x'), (1, 'the same key again');
    CREATE VIEW a_view AS SELECT id * 2 AS twice, "Name" FROM plain WHERE id < 10;
    CREATE MATERIALIZED VIEW a_materialized_view AS SELECT id, at FROM plain WHERE id < 20;
    CREATE TABLE generated (id int PRIMARY KEY, gone text, doubled int GENERATED ALWAYS AS (id * 2) STORED, tail text);
    INSERT INTO generated (id, gone, tail) VALUES (1, 'x', 'a'), (2, 'y', 'b');
    ALTER TABLE generated DROP COLUMN gone;
    CREATE EXTENSION postgres_fdw;
    CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw
      OPTIONS (host '127.0.0.1', port '${new URL(site.database.url).port}', dbname '${site.database.name}');
    CREATE USER MAPPING FOR CURRENT_USER SERVER loopback
      OPTIONS (user 'postgres', password '${new URL(site.database.url).password}');
    CREATE FOREIGN TABLE a_foreign_table (id int, "Name" text, at timestamptz) SERVER loopback
      OPTIONS (table_name 'plain');`);
}

describe('run', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
    await site.database.client.query(ROWS.replaceAll('%s', 'events'));
  });

  test('takes one of several archives, whose name is the beginning of another, and leaves the other alone', async () => {
    const config = await site.writeConfig({
      archives: { event: { table: 'events' }, events: { table: 'events' } },
    });
    await site.archiveHere(['events', '--run-id', RUN], config);
    const listed = await site.here(['list', 'event', '--json'], config);
    assert.deepEqual(JSON.parse(listed.stdout), []);
    const [result] = await site.archiveHere(['event', '--run-id', RUN], config);
    assert.equal(result?.status, 'committed');
    assert.equal((await site.keys('event')).length, 3);
    assert.equal((await site.keys('events')).length, 3);
  });

  test('writes to a folder what it would write to a bucket', async () => {
    const folder = path.join(site.folder, 'srv');
    const config = await site.writeConfig({
      destinations: { default: { url: `file://${folder}/sub` } },
      archives: { events: { table: 'events' } },
    });
    const [result] = await site.archiveHere(['events', '--run-id', RUN], config);
    assert.equal(result?.status, 'committed', JSON.stringify(result?.error));
    assert.equal(result.manifest, `file://${folder}/sub/events/run=${RUN}/_manifest.json`);
    assert.deepEqual((await readdir(path.join(folder, 'sub'), { recursive: true })).sort(), [
      'events',
      'events/_head.json',
      `events/run=${RUN}`,
      `events/run=${RUN}/_manifest.json`,
      `events/run=${RUN}/part-00000.jsonl.gz`,
    ]);
    const manifest = JSON.parse(await readFile(new URL(result.manifest), 'utf8')) as Manifest;
    const [object] = manifest.objects;
    assert.equal(object?.key, `events/run=${RUN}/part-00000.jsonl.gz`);
    const body = await readFile(path.join(folder, 'sub', object.key));
    assert.equal(object.sha256, createHash('sha256').update(body).digest('hex'));
    assert.equal(
      gunzipSync(body).toString(),
      (await oracleLines(site.database.url, 'events')).map((line) => `${line}\n`).join(''),
    );
    // The manifest alone says so: the source need not even be there.
    const gone = { DATABASE_URL: 'postgres://127.0.0.1:1/gone' };
    const [again] = resultsOf(await site.here(['run', 'events', '--run-id', RUN, '--json'], config, gone));
    assert.equal(again?.status, 'already-committed');
  });

  test('needs no more than SELECT, as a role whose transactions are read-only', async () => {
    const role = `reader_${site.database.name}`;
    const { client } = site.database;
    await client.query(
      `CREATE ROLE ${role} LOGIN PASSWORD 'reader-pass-word'; ALTER ROLE ${role} SET default_transaction_read_only = on;
       REVOKE ALL ON DATABASE ${site.database.name} FROM PUBLIC; GRANT CONNECT ON DATABASE ${site.database.name} TO ${role};
       GRANT SELECT ON events TO ${role}`,
    );
    try {
      const url = new URL(site.database.url);
      url.username = role;
      url.password = 'reader-pass-word';
      const config = await site.writeConfig({
        sources: { default: { url: url.href } },
        archives: { read_only: { table: 'events' }, forbidden: { table: 'pg_authid' } },
      });
      const written = 'SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::int AS n FROM pg_stat_user_tables';
      const before = (await client.query<{ n: number }>(written)).rows;
      const results = await site.archiveHere(['--all', '--run-id', RUN], config);
      assert.equal(results[0]?.status, 'committed', JSON.stringify(results[0]?.error));
      assert.equal((await site.lines('read_only', RUN)).length, 500);
      assert.equal(results[1]?.error?.code, 'permission-denied');
      assert.match(results[1].error.hint, /GRANT/);
      assert.deepEqual((await client.query<{ n: number }>(written)).rows, before);
    } finally {
      await client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  });

  describe('fails with a code and a hint, and writes nothing, for', () => {
    const situations = {
      'a table that is not there': [{ table: 'public.Events2' }, 'table-not-found', /public\.Events2/],
      'a table whose capitals need quotes': [{ table: 'Upper' }, 'table-not-found', /Upper/],
      'a column that is not there': [{ table: 'events', columns: ['nam'] }, 'column-not-found', /"nam".*"name"\?/],
      'a filter that is no SQL': [{ table: 'events', where: 'id <' }, 'syntax-error', /syntax error/],
      'a filter of an unknown column': [{ table: 'events', where: 'idd < 3' }, 'column-not-found', /idd/],
      'a filter with a comment that is not closed': [{ table: 'events', where: 'true /*' }, 'syntax-error', /comment/],
      'a query that writes': [{ query: 'DELETE FROM events RETURNING id' }, 'syntax-error', /syntax error/],
      'a function that writes': [{ query: 'SELECT write_event() AS n' }, 'read-only', /read-only/],
      'a query that fails at its last row': [
        { query: 'SELECT 1 / (500 - id) AS n FROM events' },
        'query-failed',
        /division by zero/,
      ],
      'an index': [{ table: 'events_pkey' }, 'not-a-table', /events_pkey/],
      'a name that is none': [{ table: 'a.b.c' }, 'bad-table-name', /a\.b\.c/],
    } as const;
    const names = Object.keys(situations).map((_, at) => `broken${at}`);
    let results: RunResult[];

    before(async () => {
      await site.database.client.query(
        `CREATE TABLE "Upper" ();
         CREATE FUNCTION write_event() RETURNS int LANGUAGE sql AS 'INSERT INTO events (id) VALUES (0) RETURNING id'`,
      );
      const archives = Object.fromEntries(
        Object.values(situations).map(([archive], at) => [names[at]!, { retry: { attempts: 1 }, ...archive }]),
      );
      results = await site.archiveHere(['--all', '--run-id', RUN], await site.writeConfig({ archives }));
    });

    for (const [at, [situation, [, code, message]]] of Object.entries(situations).entries()) {
      test(situation, async () => {
        const failure = failureOf(results.slice(at, at + 1));
        assert.equal(failure.code, code, JSON.stringify(failure));
        assert.equal(failure.transient, false);
        assert.equal(failure.archive, names[at]);
        assert.equal(failure.run, RUN);
        assert.match(failure.message, message);
        // Beside the journal of a run that got so far as to have a plan.
        assert.deepEqual(
          (await site.keys(names[at])).filter((key) => !key.includes('/_pgsluice/')),
          [],
        );
      });
    }

    test('whatever it is, and the table is as it was', async () => {
      const { rows } = await site.database.client.query('SELECT count(*)::int AS n FROM events');
      assert.deepEqual(rows, [{ n: 500 }]);
    });
  });
});

describe('without a config file', () => {
  test('a table is archived, listed, proved and brought back by what is typed', async () => {
    const site = await openSite();
    await site.database.client.query(ROWS.replaceAll('%s', 'events'));
    const environment = { ...site.environment, DATABASE_URL: site.database.url };
    const ends = ['--to', `file://${site.folder}/typed`];
    const typed = async (args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await runHere([...args, ...ends], environment);
      assert.equal(code, 0, stderr);
      return stdout;
    };
    const said = await typed(['run', '--table', 'events', '--where', 'id > 100', '--run-id', RUN]);
    assert.match(said, /^events 20261123T021500Z: committed, 400 rows/);
    assert.match(said, /\nprove it: +pgsluice verify events --to file:\/\//);
    assert.match(await typed(['list', 'events']), / committed .* 400 /);
    assert.match(await typed(['verify', 'events']), /: verified, 400 rows/);
    await typed(['restore', 'events', '--into', 'public.events_restored', '--create']);
    const { rows } = await site.database.client.query(
      `SELECT FROM (SELECT * FROM events WHERE id > 100 EXCEPT SELECT * FROM events_restored) AS lost`,
    );
    assert.equal(rows.length, 0);
  });
});
