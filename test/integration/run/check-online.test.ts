import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { PutBucketLifecycleConfigurationCommand, S3Client } from '@aws-sdk/client-s3';
import { checkRehearsals } from '../../../src/audit/rehearsal/check.ts';
import { describeLacking } from '../../../src/audit/rehearsal/target.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { checkOnline, type OnlineFinding } from '../../../src/run/check-online.ts';
import { startPostgres } from '../../../src/demo/embedded-postgres.ts';
import { connect, testDatabase, type TestDatabase } from '../../support/postgres.ts';
import { startProxy } from '../../support/s3-proxy.ts';
import { startS3 } from '../../support/s3-server.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-check-'));
after(() => {
  rmSync(folder, { recursive: true });
});

const database = await testDatabase();
await database.client.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');

/** What `check --online` says of the archive as this role sees it; nothing is an error. */
async function findingsAs(url: string, archive = 'table: t'): Promise<OnlineFinding[]> {
  const file = path.join(folder, 'pgsluice.yaml');
  const destination = `destinations: { default: { url: "file://${folder}/archive" } }`;
  writeFileSync(file, `sources: { default: { url: "${url}" } }\n${destination}\narchives: { a: { ${archive} } }\n`);
  const findings = await checkOnline(loadConfig(file, {}));
  assert.deepEqual(
    findings.filter(({ level }) => level === 'error'),
    [],
  );
  return findings;
}

async function warningsAs(url: string, archive?: string): Promise<string[]> {
  const findings = await findingsAs(url, archive);
  return findings.filter(({ level }) => level === 'warning').map(({ subject, message }) => `${subject}: ${message}`);
}

async function makeRole({ client, name }: TestDatabase, grants: string): Promise<string> {
  const role = `reader_${name}_${grants.replaceAll(/\W/g, '').toLowerCase()}`;
  await client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'geheim'; GRANT ${grants} ON t TO ${role}`);
  const url = new URL(database.url);
  url.username = role;
  url.password = 'geheim';
  return url.href;
}

test('a head that cannot be believed is found before a run comes to it, and one that is whole stays as it is', async () => {
  const head = path.join(folder, 'archive/a/_head.json');
  mkdirSync(path.dirname(head), { recursive: true });
  const check = async (body: string): Promise<string[]> => {
    writeFileSync(head, body);
    const findings = await checkOnline(loadConfig(path.join(folder, 'pgsluice.yaml'), {}));
    assert.equal(readFileSync(head, 'utf8'), body);
    return findings.filter(({ level }) => level === 'error').map(({ subject, message }) => `${subject}: ${message}`);
  };
  await findingsAs(database.url);
  const sha256 = 'a'.repeat(64);
  const tool = { name: 'pgsluice', version: '1' };
  const whole = {
    format: 'pgsluice/head/1',
    archive: 'a',
    run: '20260101T000000Z',
    sha256,
    before: null,
    host: 'h',
    tool,
  };
  assert.deepEqual(await check(JSON.stringify(whole)), []);
  const [problem, ...more] = await check(JSON.stringify({ ...whole, archive: 'b' }));
  assert.match(
    problem ?? '',
    /^archives\.a: no run can be committed, as the head of its chain is in the way: .*another archive/,
  );
  assert.deepEqual(more, []);
  rmSync(head);
});

test('a role that may do more than read is warned of', async () => {
  const { username } = new URL(database.url);
  assert.deepEqual(await warningsAs(database.url), [`sources.default: the role ${username} is a superuser`]);
  const writer = await makeRole(database, 'SELECT, DELETE');
  assert.deepEqual(await warningsAs(writer), [
    `archives.a: the role ${new URL(writer).username} may change the rows of public.t`,
  ]);
});

test('a role that may only read is not, but a segment that takes more than ten minutes at its pace', async () => {
  const reader = await makeRole(database, 'SELECT');
  assert.deepEqual(await warningsAs(reader), []);
  const paced = (pace: string) => warningsAs(reader, `table: t, segments: { targetSize: 1MiB }, pace: { ${pace} }`);
  assert.deepEqual(await paced('bytesPerSecond: 1024'), [
    'archives.a: a segment of 1.0 MiB takes 17m 04s at 1.0 KiB a second',
  ]);
  assert.deepEqual(await paced('bytesPerSecond: 2048'), []);
});

test('a standby is named with its delay and its patience, and that a cut by pages may never end there', async (t) => {
  const server = await startPostgres({ settings: { wal_level: 'replica' } });
  t.after(() => server.stop());
  const primary = await connect(server.url);
  await primary.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5000); CHECKPOINT');
  await primary.end();
  server.kill();
  writeFileSync(path.join(server.dataDir, 'standby.signal'), '');
  await server.restart();
  const said = async (by: string): Promise<string[]> => {
    const findings = await findingsAs(server.url, `table: t, segments: { by: ${by}, targetSize: 16KiB }`);
    return findings.map(({ level, subject, message, hint }) => `${level} ${subject}: ${message} (${hint})`);
  };
  const byPages = await said('pages');
  const standby = byPages.find((line) => line.includes('standby, behind')) ?? '';
  assert.match(standby, /^warning sources\.default: the server is a standby, behind its primary: (about \S+ |by how)/);
  assert.match(
    standby,
    /ends reads that hold its recovery up for 30s, hot_standby_feedback is off \(.*hot_standby_feedback = on/,
  );
  assert.ok(
    byPages.some((line) => /^warning archives\.a: .*by pages.*may never end.*by: key/.test(line)),
    byPages.join('\n'),
  );
  assert.ok(!(await said('key')).some((line) => line.includes('may never end')));
});

test('columns that other readers mistake, and tables that others inherit from, are warned of', async () => {
  await database.client.query('ALTER TABLE t ADD "Run" text, ADD "ID" int; CREATE TABLE heir () INHERITS (t)');
  const [superuser, ...others] = await warningsAs(database.url, 'table: t, partitionBy: [id]');
  assert.match(superuser ?? '', /superuser/);
  assert.deepEqual(others, [
    'archives.a: columns id, ID: many readers ignore case, and take one for the other',
    'archives.a: column Run: readers that take run=… of the folders for a column replace its values by the run id; docs/format.md says how to read it',
    'archives.a: tables inherit from public.t: their rows are archived with its own, and a restore puts all of them into one table',
    'archives.a: column ID: readers that take id=… of the folders for a column, and ignore case, replace its values by those of id; docs/format.md says how to read it',
  ]);
});

test('a materialized view that was never filled is a warning, and what is no table is called by its own word', async () => {
  const { client } = database;
  await client.query(
    `CREATE MATERIALIZED VIEW unfilled AS SELECT g AS id FROM generate_series(1, 9) AS g WITH NO DATA; CREATE VIEW seen AS SELECT 1 AS id;
     CREATE TABLE leafless (id int PRIMARY KEY) PARTITION BY RANGE (id)`,
  );
  const said = async (archive: string): Promise<string[]> => {
    const findings = await findingsAs(database.url, archive);
    return findings
      .filter(({ subject }) => subject === 'archives.a')
      .map(({ level, message, hint = '' }) => `${level}: ${message} ${hint}`);
  };
  const [unfilled, warning, ...others] = await said('table: unfilled');
  assert.match(unfilled ?? '', /^ok: materialized view public\.unfilled, about/);
  assert.match(warning ?? '', /^warning: .*public\.unfilled was never filled.*REFRESH MATERIALIZED VIEW/);
  assert.deepEqual(others, []);
  const [within, ...more] = await said(
    'query: "SELECT u.id FROM unfilled u, generate_series(1, 1000000)", key: [id], segments: { by: key, targetSize: 16KiB }',
  );
  assert.match(within ?? '', /^warning: .*"unfilled" has not been populated.*REFRESH MATERIALIZED VIEW/);
  assert.deepEqual(more, []);
  assert.match(
    (await said('table: seen')).join(),
    /^ok: view public\.seen, about \S+ rows, 1 columns, 1 segments by none $/,
  );
  assert.match(
    (await said('table: leafless, segments: { by: key }')).join(),
    /^ok: partitioned table public\.leafless without partitions, about 0 rows, 1 columns, 1 segments by none $/,
  );
});

test('segments that may become larger than an object may be are warned of, where there is such a limit', async (t) => {
  const s3 = await startS3();
  t.after(() => s3.stop());
  await s3.createBucket('archive');
  const file = path.join(folder, 'large.yaml');
  const warned = async (rows: number, options = ''): Promise<string[]> => {
    writeFileSync(
      file,
      `sources: { default: { url: "${database.url}" } }
destinations:
  default: { url: s3://archive/pg, endpoint: "${s3.endpoint}", forcePathStyle: true, region: ${s3.region},
    accessKeyId: "${s3.accessKeyId}", secretAccessKey: "${s3.secretAccessKey}"${options} }
archives: { a: { query: "SELECT n FROM generate_series(1::bigint, ${rows}) n" } }
`,
    );
    const findings = await checkOnline(loadConfig(file, {}));
    return findings
      .filter(({ level, subject }) => level === 'warning' && subject === 'archives.a')
      .map(({ message }) => message);
  };
  assert.deepEqual(await warned(6e9), []);
  assert.deepEqual(await warned(7e9), [
    'a segment has about 52.2 GiB of rows, and fails when it takes more than 48.8 GiB as it is stored, 10,000 parts of 5.0 MiB: set a larger partSize of destinations.default, or have smaller segments',
  ]);
  assert.deepEqual(await warned(7e9, ', partSize: 6MiB'), []);
  const ofFolder = await warningsAs(database.url, 'query: "SELECT n FROM generate_series(1::bigint, 7000000000) n"');
  assert.ok(!ofFolder.some((line) => line.includes('as it is stored')), ofFolder.join('\n'));
});

test('what does not answer in time is named, and the rest is looked at all the same', async (t) => {
  const s3 = await startS3();
  t.after(() => s3.stop());
  await s3.createBucket('archive');
  const proxy = await startProxy(s3);
  t.after(() => proxy.stop());
  const holder = await connect(database.url);
  t.after(() => holder.end());
  await database.client.query('CREATE TABLE held (id int PRIMARY KEY)');
  await holder.query('BEGIN; LOCK TABLE held');
  proxy.order('GetBucketVersioning', { kind: 'stall' }, Infinity);
  const file = path.join(folder, 'slow.yaml');
  writeFileSync(
    file,
    `sources: { default: { url: "${database.url}" } }
destinations:
  default: { url: s3://archive/pg, endpoint: "${proxy.endpoint}", forcePathStyle: true, region: ${s3.region},
    accessKeyId: "${s3.accessKeyId}", secretAccessKey: "${s3.secretAccessKey}" }
archives: { held: { table: held }, free: { table: t } }
`,
  );
  const told: OnlineFinding[] = [];
  const findings = await checkOnline(loadConfig(file, {}), (finding) => told.push(finding), 4000);
  assert.deepEqual(told, findings);
  const texts = findings.map(({ level, subject, message }) => `${level} ${subject}: ${message}`);
  const at = (start: string): number => texts.findIndex((text) => text.startsWith(start));
  assert.ok(at('error archives.held: it took more than 4.0 s, and was given up') > 0, texts.join('\n'));
  assert.ok(at('ok archives.free: public.t') > at('error archives.held'), texts.join('\n'));
  assert.ok(
    at('ok destinations.default: it does not say whether it keeps versions within 4.0 s') > 0,
    texts.join('\n'),
  );
  assert.ok(
    at('ok destinations.default: it does not say whether it has Object Lock') > 0 ||
      at('ok destinations.default: it has no Object Lock') > 0,
  );
});

test('the queue of other hosts is looked at: that it may be made, and is not a source under another name', async () => {
  const queue = await testDatabase();
  const found = async (url: string): Promise<string[]> => {
    const file = path.join(folder, 'hosts.yaml');
    const destination = `destinations: { default: { url: "file://${folder}/archive" } }`;
    const sections = `${destination}\nhosts: { url: "${url}" }\narchives: { a: { table: t, segments: { on: hosts } } }`;
    writeFileSync(file, `sources: { default: { url: "${database.url}" } }\n${sections}\n`);
    const findings = await checkOnline(loadConfig(file, {}));
    return findings.filter(({ subject }) => subject === 'hosts').map(({ level, message }) => `${level} ${message}`);
  };
  assert.deepEqual(await found(queue.url), [`ok the queue will be made in schema pgsluice of database ${queue.name}`]);
  await queue.client.query('CREATE SCHEMA pgsluice');
  assert.deepEqual(await found(queue.url), [`ok the queue is in schema pgsluice of database ${queue.name}`]);
  const alias = new URL(database.url);
  alias.hostname = alias.hostname === 'localhost' ? '127.0.0.1' : 'localhost';
  assert.equal(
    (await found(alias.href)).at(-1),
    'error the queue is in the database of source "default", under another name of its server',
  );
  const role = `stranger_${queue.name}`;
  await queue.client.query(`DROP SCHEMA pgsluice; CREATE ROLE ${role} LOGIN PASSWORD 'geheim'`);
  const stranger = new URL(queue.url);
  Object.assign(stranger, { username: role, password: 'geheim' });
  assert.deepEqual(await found(stranger.href), [
    `error the role may not create schema pgsluice of database ${queue.name}`,
  ]);
  await queue.client.query(`DROP ROLE ${role}`);
});

test('the database that restores are rehearsed in is looked at, all against it is said at once, and nothing is made there', async (t) => {
  const scratch = await testDatabase(t);
  const rehearsed = async (url: string, audit = '', free?: number) => {
    const file = path.join(folder, 'rehearsed.yaml');
    writeFileSync(
      file,
      `sources: { default: { url: "${database.url}" }, scratch: { url: "${url}" }, gone: { url: "postgres://127.0.0.1:1/gone" } }
destinations: { default: { url: "file://${folder}/archive" } }
archives: { a: { table: t }${audit.includes('gone') ? ', b: { table: t, source: gone }' : ''} }
audits: { rehearse: { schedule: '0 6 * * 0', source: scratch, ${audit.replace('gone', '')} } }
`,
    );
    const told: OnlineFinding[] = [];
    const parts = { findFreeBytes: () => Promise.resolve(free), limitMs: 30_000 };
    const found = await checkRehearsals(loadConfig(file, {}), (finding) => void told.push(finding), parts);
    assert.deepEqual(told, found);
    return found.map(({ level, message }) => `${level} ${message}`);
  };
  const place = `restores are rehearsed in schema pgsluice_rehearsal of database ${scratch.name}`;
  assert.deepEqual(await rehearsed(scratch.url), [`ok ${place}, which the first one makes`]);
  const [known, small, ...more] = await rehearsed(scratch.url, 'atMost: 1GiB', 2 ** 30);
  assert.deepEqual([known, more], [`ok ${place}, which the first one makes`, []]);
  assert.match(small ?? '', /^warning the database of source scratch: its disk has 1\.0 GiB free, .*atMost lower$/);
  const [own, ...none] = await rehearsed(database.url);
  assert.match(own ?? '', /^error the database of source scratch: it is the database \S+ of source default/);
  assert.deepEqual(none, []);
  assert.match((await rehearsed(database.url, 'allowSource: true'))[0] ?? '', /^ok /);
  const [unknown = ''] = await rehearsed(scratch.url, 'gone');
  assert.match(unknown, /^error .*nobody can tell whether it is the database of source gone/);
  assert.match((await rehearsed('postgres://127.0.0.1:1/gone'))[0] ?? '', /^error source scratch: .*ECONNREFUSED/);
  const narrow = `${scratch.name}_narrow`;
  await scratch.client.query(
    `CREATE DATABASE ${narrow} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`,
  );
  const [fits, lacks = '', ...others] = await rehearsed(
    Object.assign(new URL(scratch.url), { pathname: `/${narrow}` }).href,
  );
  await scratch.client.query(`DROP DATABASE ${narrow}`);
  assert.match(fits ?? '', /^ok /);
  assert.match(
    lacks,
    /^warning the database of source scratch: its encoding is LATIN1, .*UTF8: .*with ENCODING 'UTF8'$/,
  );
  assert.deepEqual(others, []);
  const [old, latin, utf8] = [
    { version: 13, encoding: 'UTF8' },
    { version: 18, encoding: 'LATIN1' },
    { version: 18, encoding: 'UTF8' },
  ] as const;
  assert.match(describeLacking(old, 'default', utf8) ?? '', /^it is Postgres 13, and source default is Postgres 18: /);
  for (const [here, there] of [
    [utf8, latin],
    [latin, latin],
    [utf8, old],
  ] as const)
    assert.equal(describeLacking(here, 'default', there), undefined);
  const role = `rehearser_${scratch.name}`;
  await scratch.client.query(
    `CREATE ROLE ${role} LOGIN PASSWORD 'geheim'; REVOKE TEMP ON DATABASE ${scratch.name} FROM PUBLIC; CREATE SCHEMA others`,
  );
  const stranger = Object.assign(new URL(scratch.url), { username: role, password: 'geheim' }).href;
  const said = await rehearsed(stranger, 'schema: others');
  assert.equal(said.length, 2, said.join('\n'));
  assert.match(said[0] ?? '', /^error .*GRANT USAGE, CREATE ON SCHEMA/);
  assert.match(said[1] ?? '', /^error .*GRANT TEMP ON DATABASE/);
  assert.match((await rehearsed(stranger))[0] ?? '', /^error .*: CREATE SCHEMA /);
  const { rows } = await scratch.client.query("SELECT FROM pg_namespace WHERE nspname LIKE 'pgsluice%'");
  assert.equal(rows.length, 0);
  await scratch.client.query(`DROP ROLE ${role}`);
});

test('a bucket is warned of that forgets: by one overwrite where an archive is purged, or by a rule that erases manifests', async (t) => {
  const s3 = await startS3();
  t.after(() => s3.stop());
  await s3.createBucket('archive');
  const proxy = await startProxy(s3);
  t.after(() => proxy.stop());
  const unset = { kind: 'error', status: 404, code: 'ObjectLockConfigurationNotFoundError' } as const;
  proxy.order('GetObjectLockConfiguration', unset, Infinity);
  const warned = async (archive: string, of = 'one overwrite'): Promise<string[]> => {
    const file = path.join(folder, 'purged.yaml');
    const keys = `accessKeyId: "${s3.accessKeyId}", secretAccessKey: "${s3.secretAccessKey}"`;
    writeFileSync(
      file,
      `sources: { default: { url: "${database.url}" } }
destinations: { default: { url: s3://archive/pg, endpoint: "${proxy.endpoint}", forcePathStyle: true, region: ${s3.region}, ${keys} } }
archives: { a: { ${archive} }, b: { table: t } }
`,
    );
    const findings = await checkOnline(loadConfig(file, {}));
    return findings
      .filter(({ message }) => message.includes(of))
      .map(({ level, subject, message }) => `${level} ${subject}: ${message}`);
  };
  assert.deepEqual(await warned('table: t'), []);
  assert.deepEqual(await warned('table: t, purge: { after: 7d }'), [
    'warning destinations.default: rows of a are purged, and the bucket has neither versions nor Object Lock: one overwrite of an object is final from then on',
  ]);
  proxy.order('GetBucketVersioning', { kind: 'error', status: 403, code: 'AccessDenied' }, 1);
  assert.deepEqual(await warned('table: t, purge: { after: 7d }'), []);

  const rule = { ID: 'old', Status: 'Enabled', Filter: { Prefix: 'pg/' }, Expiration: { Days: 400 } } as const;
  const client = new S3Client({
    ...{ endpoint: s3.endpoint, region: s3.region, forcePathStyle: true },
    credentials: { accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey },
  });
  t.after(() => client.destroy());
  assert.deepEqual(await warned('table: t', 'erases manifests'), []);
  await client.send(
    new PutBucketLifecycleConfigurationCommand({ Bucket: 'archive', LifecycleConfiguration: { Rules: [rule] } }),
  );
  assert.deepEqual(await warned('table: t', 'erases manifests'), [
    'warning destinations.default: the lifecycle rule "old" erases manifests along with the data: what was archived then counts as missing, or is archived again',
  ]);
});
