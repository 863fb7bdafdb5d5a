import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, afterEach, before, describe, test } from 'node:test';
import { FailureError, UsageError } from '../../../src/base/errors.ts';
import { checkCommand } from '../../../src/commands/check.ts';
import type { InitOptions } from '../../../src/commands/init-ends.ts';
import { initCommand } from '../../../src/commands/init.ts';
import { NoAnswerError, type Questions } from '../../../src/commands/terminal/questions.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { commandOfFile } from '../../support/in-process.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';

const HOSTILE = 'Weird: "Tab"\n# ${HOME}';

let database: TestDatabase;
let folder: string;

before(async () => {
  database = await testDatabase();
  folder = await mkdtemp(path.join(os.tmpdir(), 'pgsluice-test-'));
  await database.client.query(`
    CREATE TABLE events (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, updated_at timestamptz);
    CREATE INDEX ON events (created_at); CREATE INDEX ON events (updated_at);
    INSERT INTO events SELECT i, now(), now() FROM generate_series(1, 2000) AS i;
    CREATE TABLE children (event bigint REFERENCES events ON DELETE CASCADE);
    CREATE PUBLICATION feed_${process.pid} FOR TABLE events;
    CREATE TABLE parted (id bigint, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
    INSERT INTO parted SELECT i, '2025-01-05' FROM generate_series(1, 500) AS i;
    CREATE SCHEMA billing;
    CREATE TABLE billing."${HOSTILE.replaceAll('"', '""')}" ("At ""Time""" timestamptz, id int PRIMARY KEY);
    CREATE TABLE "Events" (id int);
    ANALYZE`);
});

after(async () => {
  await rm(folder, { recursive: true });
});

afterEach(async () => {
  for (const name of await readdir(folder)) await rm(path.join(folder, name), { recursive: true });
});

interface Said {
  code: number;
  stdout: string;
  stderr: string;
}

async function init(
  options: Partial<InitOptions> = {},
  {
    json = false,
    url = database.url,
    questions,
  }: { json?: boolean; url?: string | undefined; questions?: Questions } = {},
): Promise<Said> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const [out, err] = [text(stdout), text(stderr)];
  const invocation = {
    ...{ configFile: '', json, environment: url === '' ? {} : { DATABASE_URL: url } },
    ...{ stdout: stdout as unknown as NodeJS.WriteStream, stderr: stderr as unknown as NodeJS.WriteStream },
  };
  const code = await initCommand(
    invocation,
    {
      ends: { to: `file://${folder}/archive` },
      ...{ output: path.join(folder, 'pgsluice.yaml'), tables: [], force: false, writeEnvironment: false },
      ...options,
    },
    () => questions,
  );
  stdout.end();
  stderr.end();
  return { code, stdout: await out, stderr: await err };
}

async function checkOnline(file: string): Promise<unknown> {
  const environment = { DATABASE_URL: database.url };
  const { stdout } = await commandOfFile(file, environment, (invocation) => checkCommand(invocation, { online: true }));
  return (JSON.parse(stdout) as { problems: unknown }).problems;
}

async function refusalOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => assert.fail('it was not refused'),
    (reason: unknown) => reason,
  );
  assert.deepEqual((await readdir(folder)).sort(), []);
  if (error instanceof UsageError) return `usage: ${error.problems.join('\n')}`;
  assert.ok(error instanceof FailureError);
  return `${error.failure.code}: ${error.failure.message} ${error.failure.hint}`;
}

describe('a first config', () => {
  test('has the tables, and passes check --online, with its proposals of windows as well', async () => {
    const { code, stdout, stderr } = await init();
    assert.equal(code, 0, stderr);
    const file = path.join(folder, 'pgsluice.yaml');
    const written = await readFile(file, 'utf8');
    const { password } = new URL(database.url);
    assert.ok(!written.includes(password) && !stdout.includes(password), 'the password is written');
    assert.match(written, /\n {4}url: \$\{DATABASE_URL\} # is set in .*\/environment\n/);
    assert.match(stdout, /\n {2}DATABASE_URL=postgres:\/\/postgres:\*\*\*@/);
    assert.match(stdout, /\nnext: pgsluice check --online --config /);
    const config = loadConfig(file, { DATABASE_URL: database.url });
    assert.deepEqual(
      Object.values(config.archives).map(({ name, table }) => [name, table]),
      [
        ['events', 'public.events'],
        ['parted', 'public.parted'],
        ['billing.Weird_Tab_HOME', `"billing"."${HOSTILE.replaceAll('"', '""')}"`],
        ['Events_2', '"public"."Events"'],
        ['children', 'public.children'],
      ],
    );
    assert.match(written, /about 2,000 rows; key id; index on created_at\n {2}events:/);
    assert.match(written, /1 partition by at\n {2}parted:/);
    const against = written.slice(written.indexOf('\n  events:'), written.indexOf('\n  parted:'));
    assert.match(against, /# purge: \{ after: 7d \} # as it is, refused:\n {4}# {3}purge-cascades: children_/);
    assert.match(against, /purge-unindexed-reference[^]*purge-published: publication feed_/);
    assert.deepEqual(await checkOnline(file), []);
    await writeFile(file, written.replaceAll(/^ {4}# window: /gm, '    window: '));
    assert.deepEqual(await checkOnline(file), []);
    await writeFile(file, written.replaceAll(/^ {4}# where: /gm, '    where: '));
    assert.deepEqual(await checkOnline(file), []);
  });

  test('has the tables that are named, and as JSON says what it has', async () => {
    const { code, stdout } = await init({ tables: ['parted', '"Events"', 'public.parted'] }, { json: true });
    assert.equal(code, 0);
    const said = JSON.parse(stdout) as { archives: { againstPurge: string[] }[]; environment: object };
    const time = { name: 'at', isIndexed: false, isPartitionKey: true, mayChange: false };
    assert.deepEqual(
      said.archives.map((archive) => ({
        ...archive,
        bytes: 0,
        againstPurge: archive.againstPurge.map((problem) => problem.split(':')[0]),
      })),
      [
        {
          ...{ name: 'parted', table: 'public.parted', kind: 'partitioned', bytes: 0, rows: 500, key: ['id', 'at'] },
          ...{ time, partitions: 1, againstPurge: [] },
        },
        {
          ...{ name: 'Events', table: '"public"."Events"', kind: 'table', bytes: 0, rows: null, key: [], time: null },
          ...{ partitions: 0, againstPurge: ['purge-no-key'] },
        },
      ],
    );
    assert.deepEqual(said.environment, {
      file: path.join(folder, 'environment'),
      written: false,
      missing: ['DATABASE_URL'],
    });
  });

  test('keeps to the largest of many tables, and says how many are left out', async (t) => {
    const many = await testDatabase(t);
    await many.client.query(
      `DO $$ BEGIN FOR i IN 1..60 LOOP EXECUTE format('CREATE TABLE t%s (id int)', i); END LOOP; END $$;
       INSERT INTO t42 VALUES (1); CREATE UNLOGGED TABLE pgsluice_restore_4711 (id int); CREATE TEMP TABLE mine (id int)`,
    );
    const { stdout } = await init({}, { url: many.url });
    const written = await readFile(path.join(folder, 'pgsluice.yaml'), 'utf8');
    assert.equal(written.match(/^ {4}table: /gm)?.length, 20);
    assert.match(written, /^ {2}t42:\n/m);
    assert.match(written, /\n {2}# Left out:\n {2}# {3}40 smaller tables; `pgsluice init --table`/);
    assert.match(stdout, /\nleft out: 40 other tables; --table/);
    assert.doesNotMatch(written, /restore_4711|mine/);
  });
});

describe('init refuses, and writes nothing', () => {
  test('a file that is there, before it asks a server; --force replaces it', async () => {
    const file = path.join(folder, 'pgsluice.yaml');
    await writeFile(file, 'mine');
    const nobody = { url: 'postgres://nobody@127.0.0.1:1/nowhere' };
    await assert.rejects(init({}, nobody), /is there already; --force replaces it/);
    assert.equal(await readFile(file, 'utf8'), 'mine');
    assert.equal((await init({ force: true, tables: ['events'] })).code, 0);
    assert.match(await readFile(file, 'utf8'), /public\.events/);
    await assert.rejects(init({ output: folder }), /is a folder: name the file/);
  });

  test('what is missing where there is no terminal, and a folder that is not there', async () => {
    assert.match(
      await refusalOf(init({ ends: {} }, { url: '' })),
      /^usage: init needs --source URL .* and --to s3:.*no terminal/,
    );
    assert.match(
      await refusalOf(init({ output: path.join(folder, 'none/x.yaml') })),
      /there is no folder .*none: make it/,
    );
    assert.match(await refusalOf(init({ ends: { to: 'https://x' } })), /^usage: --to: must be s3:/);
  });

  test('a database that does not answer, has no tables, or lets the role read none', async (t) => {
    const nobody = 'postgres://nobody:pass-word@127.0.0.1:1/nowhere';
    assert.match(await refusalOf(init({}, { url: nobody })), /^connection-refused: .*Check that the server is up/);
    assert.match(await refusalOf(init({ tables: ['event'] })), /^table-not-found: table event does not exist/);
    const empty = await testDatabase(t);
    assert.match(
      await refusalOf(init({}, { url: empty.url })),
      /^table-not-found: database .* has no tables .*database name/,
    );
    const role = `reader_${process.pid}`;
    await database.client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'reader-pass'`);
    t.after(() => database.client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`));
    const low = new URL(database.url);
    low.username = role;
    low.password = 'reader-pass';
    assert.match(
      await refusalOf(init({}, { url: low.href })),
      /^permission-denied: the role reader_\d+ may read none of the 5 tables .*GRANT pg_read_all_data TO "reader_/,
    );
    await database.client.query(`GRANT SELECT ON "Events" TO ${role}`);
    assert.match(
      (await init({}, { url: low.href })).stdout,
      /\nleft out: 4 tables that the role reader_\d+ may not read: /,
    );
  });

  test('a destination that cannot be written, with what to do', async () => {
    const { code, stderr } = await init({ ends: { to: 'file:///proc/archive' } });
    assert.equal(code, 1);
    assert.match(stderr, /^file:\/\/\/proc\/archive: .*\n {2}hint {3}.*\nnothing was written\n$/);
    assert.deepEqual(await readdir(folder), []);
  });
});

describe('the environment file', () => {
  test('is written where that is said, for its owner alone; another value only with --force', async () => {
    const file = path.join(folder, 'environment');
    const writes = { tables: ['events'], writeEnvironment: true };
    assert.match((await init(writes)).stdout, /\nwritten: .*environment, DATABASE_URL, for its owner alone\n/);
    assert.equal(await readFile(file, 'utf8'), `DATABASE_URL=${database.url}\n`);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.deepEqual(await checkOnline(path.join(folder, 'pgsluice.yaml')), []);
    const other = '# mine\nDATABASE_URL=postgres://other@localhost/x\n';
    await writeFile(file, other);
    const more = { ...writes, output: path.join(folder, 'more.yaml') };
    await assert.rejects(init(more), /has another DATABASE_URL: --force replaces it/);
    assert.ok(!(await readdir(folder)).includes('more.yaml'));
    await init({ ...more, force: true });
    assert.equal(await readFile(file, 'utf8'), `# mine\nDATABASE_URL=${database.url}\n`);
  });
});

describe('at a terminal', () => {
  function answering(answers: string[]): Questions & { asked: string[] } {
    const asked: string[] = [];
    const answer = async (question: string): Promise<string> => {
      asked.push(question);
      const next = answers.shift();
      if (next === undefined) throw new NoAnswerError('no answer');
      return Promise.resolve(next);
    };
    return { asked, ask: answer, askHidden: answer, show: () => undefined, close: () => undefined };
  }

  test('what was not typed is asked for, the password apart from the URL', async () => {
    const bare = new URL(database.url);
    const { password } = bare;
    bare.password = '';
    const questions = answering(['no url', bare.href, password, `file://${folder}/archive`, '1,99', '2', 'y']);
    const { code } = await init({ ends: {} }, { url: '', questions });
    assert.equal(code, 0);
    assert.match(questions.asked[1] ?? '', /^It must be a postgres:\/\/ URL/);
    const config = loadConfig(path.join(folder, 'pgsluice.yaml'), { DATABASE_URL: database.url });
    assert.deepEqual(Object.keys(config.archives), ['parted']);
    assert.equal(await readFile(path.join(folder, 'environment'), 'utf8'), `DATABASE_URL=${database.url}\n`);
  });

  test('Ctrl-C writes nothing', async () => {
    assert.equal((await init({ ends: {} }, { url: '', questions: answering([]) })).code, 130);
    assert.deepEqual(await readdir(folder), []);
  });
});
