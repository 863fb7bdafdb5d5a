import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { type Ending, eventually, runCli, startCli } from '../support/cli.ts';
import { runHere } from '../support/here.ts';
import { createGatedView, openSite, PREFIX, type Site } from '../support/site.ts';

const RUN = '20261123T021500Z';
const SOURCES = path.join(import.meta.dirname, '../../src/bin.ts');

test('the program starts from its sources as well as from its bundles', () => {
  assert.match(execFileSync(process.execPath, [SOURCES, '--version'], { encoding: 'utf8' }), /^\d+\.\d+\.\d+\n$/);
});

const noFullDisk = existsSync('/dev/full') ? false : 'there is no /dev/full';

test(
  'what cannot be written, as on a full disk, is told in a line, and the exit code says so',
  { skip: noFullDisk },
  () => {
    const full = openSync('/dev/full', 'w');
    try {
      const stdio = ['ignore' as const, full, 'pipe' as const];
      const { status, stderr } = spawnSync(process.execPath, [SOURCES, '--version'], { stdio, encoding: 'utf8' });
      assert.deepEqual(
        [status, stderr],
        [1, 'what is printed cannot be written: ENOSPC: no space left on device, write\n'],
      );
    } finally {
      closeSync(full);
    }
  },
);

describe('check', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
    await site.database.client.query('CREATE TABLE events (id int PRIMARY KEY, at timestamptz)');
  });

  test('accepts a good config without connecting, and adds the memory up', async () => {
    const config = await site.writeConfig({
      archives: { events: { table: 'events', schedule: '15 2 * * *', timezone: 'Europe/Berlin' } },
    });
    const { code, stdout, stderr } = await site.here(['check', '--json'], config, {
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nowhere',
    });
    assert.equal(code, 0, stderr);
    const report = JSON.parse(stdout) as {
      ok: boolean;
      problems: string[];
      memory: { terms: { bytes: number }[]; totalBytes: number };
      archives: { name: string; reads: string; schedule: string }[];
      online: null;
    };
    assert.equal(report.ok, true);
    assert.deepEqual(report.problems, []);
    assert.equal(report.online, null);
    assert.deepEqual(
      report.archives.map(({ name, reads, schedule }) => [name, reads, schedule]),
      [['events', 'events', '15 2 * * * (Europe/Berlin)']],
    );
    assert.equal(
      report.memory.totalBytes,
      report.memory.terms.reduce((sum, { bytes }) => sum + bytes, 0),
    );
    assert.deepEqual(site.proxy.requests, []);
  });

  test('names all problems at once, each with its file, line and column, and exits with 2', async () => {
    const config = site.newConfigFile();
    await writeFile(
      config,
      `sources:
  default: { url: mysql://root@localhost/x }
destinations:
  default: { url: s3://archive/pg, partSise: 8MiB }
archives:
  events: { table: events, query: SELECT 1 }
  jobs: { table: jobs, schedule: "61 * * * *", source: defalt }
workers: { threads: 0 }
`,
    );
    const { code, stdout, stderr } = await runHere(['check', '--config', config]);
    assert.equal(code, 2);
    assert.equal(stdout, '');
    const lines = stderr.trimEnd().split('\n');
    const expected = [
      ['2:19', /postgres/],
      ['4:36', /partSise.*did you mean.*partSize/],
      ['6:28', /query.*table/],
      ['7:34', /61|minute|schedule/],
      ['7:56', /source.*did you mean "default"/],
      ['8:21', /threads|1/],
    ] as const;
    assert.deepEqual(
      lines.map((line) => line.slice(0, line.indexOf(': '))),
      expected.map(([place]) => `${config}:${place}`),
    );
    for (const [at, [, message]] of expected.entries()) assert.match(lines[at]!, message);
    const asJson = await runHere(['check', '--json', '--config', config]);
    assert.equal(asJson.code, 2);
    const report = JSON.parse(asJson.stdout) as { ok: boolean; problems: string[] };
    assert.equal(report.ok, false);
    assert.deepEqual(report.problems, lines);
  });

  test('warns of now() in a filter, as it differs between the segments of a run', async () => {
    const config = await site.writeConfig({ archives: { events: { table: 'events', where: 'at < now()' } } });
    const { code, stdout } = await site.here(['check'], config);
    assert.equal(code, 0);
    assert.match(stdout, /warning: archives\.events\.where: now\(\).*:slot/);
  });

  test('takes the file from $PGSLUICE_CONFIG, and says when there is none', async () => {
    const config = await site.writeConfig({ archives: { events: { table: 'events' } } });
    const found = await runHere(['check'], { ...site.environment, PGSLUICE_CONFIG: config });
    assert.equal(found.code, 0, found.stderr);
    const missing = await runHere(['check'], { PGSLUICE_CONFIG: '/nowhere/pgsluice.yaml' });
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /^\/nowhere\/pgsluice\.yaml: cannot be read: it does not exist/);
  });

  test('--online looks at the servers, the tables and the bucket, and leaves nothing behind', async () => {
    const config = await site.writeConfig({ archives: { events: { table: 'events' } } });
    const before = await site.keys();
    const { code, stdout, stderr } = await site.here(['check', '--online', '--json'], config);
    assert.equal(code, 0, stdout + stderr);
    const { online } = JSON.parse(stdout) as { online: { level: string; subject: string }[] };
    const ok = online.filter(({ level }) => level === 'ok').map(({ subject }) => subject);
    for (const subject of ['sources.default', 'destinations.default', 'archives.events'])
      assert.ok(ok.includes(subject), subject);
    assert.deepEqual(await site.keys(), before);
  });

  test('--online prints what it finds as it finds it, into a pipe as well', async () => {
    const config = await site.writeConfig({ archives: { events: { table: 'events' } } });
    const { promise: until, resolve: letGo } = Promise.withResolvers<undefined>();
    site.proxy.order('ListMultipartUploads', { kind: 'hold', until });
    const cli = site.start(['check', '--online'], config);
    await eventually('the first findings', () => Promise.resolve(cli.stdout.includes('the conditions of all writes')));
    assert.match(
      cli.stdout,
      /^ok: sources\.default:.*\n[^]*^ok: archives\.events:.*\n[^]*^ok: destinations\.default: .*listed$/m,
    );
    assert.doesNotMatch(cli.stdout, /unfinished uploads can be found/);
    letGo(undefined);
    assert.equal((await cli.ended()).code, 0);
    assert.match(cli.stdout, /unfinished uploads can be found\n[^]*whether it has Object Lock|it has no Object Lock/);
    assert.match(cli.stdout, /\nthe config is good\n$/);
  });

  test('init writes a config that passes --online, to a bucket that is there', async () => {
    const { region, accessKeyId, secretAccessKey } = site.s3;
    const keys = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
    const ends = ['--region', region, '--endpoint', site.proxy.endpoint, '--force-path-style'];
    const output = site.newConfigFile();
    const init = async (to: string): Promise<Ending> =>
      runCli(['init', '--to', to, ...ends, '--table', 'events', '--output', output], { ...site.environment, ...keys });
    const refused = await init('s3://no-such-bucket/pg');
    assert.equal(refused.code, 1, refused.stdout);
    assert.match(
      refused.stderr,
      /^s3:\/\/no-such-bucket\/pg: .*no-such-bucket\n {2}hint {3}Create the bucket.*\nnothing was written\n$/,
    );
    await assert.rejects(readFile(output), /ENOENT/);
    const written = await init('s3://archive/pg');
    assert.equal(written.code, 0, written.stderr);
    assert.match(written.stdout, /\n {2}AWS_SECRET_ACCESS_KEY=\*\*\*\n/);
    const checked = await site.run(['check', '--online'], output, keys);
    assert.equal(checked.code, 0, checked.stderr);
  });

  test('--online names all that is missing at once, with what to do, and exits with 1', async () => {
    const wrong = new URL(site.database.url);
    wrong.password = 'wrong-pass-word';
    const config = await site.writeConfig({
      sources: { default: { url: '${DATABASE_URL}' }, other: { url: wrong.href } },
      destinations: { default: site.destination(), other: site.destination({ url: 's3://no-such-bucket/pg' }) },
      archives: {
        events: { table: 'events' },
        gone: { table: 'gone' },
        bad_filter: { table: 'events', where: 'nonsense = 1' },
        elsewhere: { table: 'events', source: 'other', destination: 'other' },
      },
      audits: { rehearse: { schedule: '0 6 * * 0', source: 'default' } },
    });
    const { code, stdout, stderr } = await site.here(['check', '--online'], config);
    assert.equal(code, 1);
    assert.match(stdout, /ok: archives\.events:/);
    assert.match(stderr, /^archives\.gone: .*gone.*does not exist/m);
    assert.match(stderr, /^archives\.bad_filter: .*nonsense/m);
    assert.match(stderr, /^sources\.other: .*password.*\(.*password.*\)$/m);
    assert.match(stderr, /^destinations\.other: .*no-such-bucket.*\(.*Create the bucket.*\)$/m);
    assert.match(stderr, /^audits\.rehearse: .*it is the database .* of source default/m);
    assert.ok(!`${stdout}${stderr}`.includes('wrong-pass-word'));
  });
});

describe('plan', () => {
  let site: Site;
  let config: string;

  before(async () => {
    site = await openSite();
    await site.database.client.query(
      'CREATE TABLE events (id int PRIMARY KEY); INSERT INTO events SELECT generate_series(1, 1000); ANALYZE events',
    );
    config = await site.writeConfig({ archives: { events: { table: 'events' }, gone: { table: 'gone' } } });
  });

  test('shows the segments and keys that a run then writes, and itself writes nothing', async () => {
    site.proxy.reset();
    const { code, stdout, stderr } = await site.here(['plan', 'events', '--run-id', RUN, '--json'], config);
    assert.equal(code, 0, stderr);
    assert.deepEqual(
      site.proxy.requests.filter(({ method }) => method !== 'GET' && method !== 'HEAD'),
      [],
    );
    const [plan] = JSON.parse(stdout) as {
      archive: string;
      run: string;
      estimatedRows: number;
      estimatedBytes: number;
      segments: { segment: number; key: string }[];
      manifest: string;
    }[];
    assert.equal(plan?.archive, 'events');
    assert.equal(plan.run, RUN);
    assert.equal(plan.estimatedRows, 1000);
    assert.ok(plan.estimatedBytes > 0);
    await site.archiveHere(['events', '--run-id', RUN], config);
    const keys = [plan.manifest, ...plan.segments.map(({ key }) => key)];
    assert.deepEqual([...keys, `${PREFIX}events/_head.json`].toSorted(), await site.keys('events'));
  });

  test('says in words what --json says, for every archive of the config, and exits with 2 when one cannot be planned', async () => {
    const { code, stdout } = await site.here(['plan', '--run-id', RUN], config);
    assert.equal(code, 2);
    assert.match(stdout, new RegExp(`${PREFIX}events/run=${RUN}/part-00000\\.jsonl\\.gz`));
    assert.match(stdout, /gone: failed \(table-not-found\)\n {2}.*does not exist.*\n {2}hint/);
  });

  test('refuses an unknown archive and a bad id with 2', async () => {
    assert.equal((await site.here(['plan', 'evnts'], config)).code, 2);
    assert.equal((await site.here(['plan', 'events', '--run-id', '1'], config)).code, 2);
  });
});

describe('list', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
  });

  test('shows committed runs with their figures, unfinished ones without, oldest first', async () => {
    await site.database.client.query(
      'CREATE TABLE events (id int PRIMARY KEY); INSERT INTO events SELECT generate_series(1, 1234)',
    );
    const config = await site.writeConfig({ archives: { events: { table: 'events' }, idle: { table: 'events' } } });
    assert.equal((await site.here(['list'], config)).stdout, 'no runs\n');
    const [result] = await site.archiveHere(['events', '--run-id', RUN], config);
    // A crash between the last object and the commit: all is there but the manifest.
    site.proxy.order('PutObject', { kind: 'error', status: 403, code: 'AccessDenied' }, 100, '_manifest.json');
    const [failed] = await site.archiveHere(['events', '--run-id', '20261122T021500Z'], config);
    assert.equal(failed?.error?.code, 'access-denied');
    site.proxy.reset();
    const { code, stdout } = await site.here(['list', '--json'], config);
    assert.equal(code, 0);
    const [first, second, ...more] = JSON.parse(stdout) as Record<string, unknown>[];
    assert.deepEqual(more, []);
    const nothing = { rows: null, objects: null, jsonBytes: null, bytes: null, finishedAt: null };
    assert.deepEqual({ ...first, ...nothing, run: '20261122T021500Z', archive: 'events' }, first);
    assert.match(String(first?.['status']), /^(failed|unfinished)$/);
    const manifest = await site.manifest('events', RUN);
    const { rows, objects, jsonBytes, bytes } = result!;
    const figures = { rows, objects, jsonBytes, bytes, finishedAt: manifest?.finishedAt };
    assert.deepEqual({ ...second, ...figures, archive: 'events', run: RUN, status: 'committed' }, second);
    const table = (await site.here(['list', 'events'], config)).stdout;
    assert.match(table, new RegExp(`events +${RUN} +committed .*1,234 `));
    assert.match(table, /events +20261122T021500Z +(failed|unfinished)/);
    assert.equal((await site.here(['list', 'evnts'], config)).code, 2);
    // Not "no runs", nor all of them: --to is a place here, and what a value leaves is told from what there is.
    const dated = await site.here(['list', 'events', '--to', '2026-11-01'], config);
    assert.deepEqual([dated.code, dated.stdout], [2, '']);
    assert.match(dated.stderr, /^--to 2026-11-01: must be s3:/);
    const narrowed = await site.here(['list', 'events', '--partition', 'tenant=a'], config);
    assert.deepEqual([narrowed.code, narrowed.stdout], [0, 'no runs with rows of tenant=a\n']);
    const without = await site.writeConfig({ archives: { idle: { table: 'events' } } });
    const former = await site.here(['list', '--json'], without);
    assert.partialDeepStrictEqual(JSON.parse(former.stdout), [
      { archive: 'events', run: '20261122T021500Z', inConfig: false, destination: 'default' },
      { archive: 'events', run: RUN, status: 'committed', inConfig: false },
    ]);
    const named = (await site.here(['list', 'events'], without)).stdout;
    assert.match(named, new RegExp(`events +${RUN} +committed .*\nevents is not in the config: its 2 runs in s3://`));
  });
});

describe('--help', () => {
  for (const command of ['check', 'plan', 'run', 'daemon', 'list', 'demo']) {
    test(`of ${command} shows an example`, async () => {
      const { code, stdout } = await runHere([command, '--help']);
      assert.equal(code, 0);
      assert.match(stdout, new RegExp(`Example:\\n {2}\\$ pgsluice ${command}`));
      assert.match(stdout, /--config <file>/);
    });
  }

  test('of the program lists every command, and --version prints one', async () => {
    const { code, stdout } = await runHere(['--help']);
    assert.equal(code, 0);
    for (const command of ['check', 'plan', 'run', 'daemon', 'list', 'demo'])
      assert.match(stdout, new RegExp(`^ +${command}\\b`, 'm'));
    assert.match((await runHere(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
  });
});

describe('secrets', () => {
  const PASSWORD = 'p@ss:w/rd#Zebra?99';
  const SECRET_KEY = 'wJalr/Secret+Key+Giraffe=';
  const forms = [PASSWORD, SECRET_KEY].flatMap((secret) => [secret, encodeURIComponent(secret)]);
  let site: Site;
  let role: string;
  let secrets: Record<string, string>;

  before(async () => {
    site = await openSite();
    role = `keeper_${site.database.name}`;
    await site.database.client.query(
      `CREATE ROLE ${role} LOGIN PASSWORD '${PASSWORD}'; CREATE TABLE events (id int PRIMARY KEY);
       INSERT INTO events VALUES (1); CREATE TABLE notes (note text); INSERT INTO notes VALUES ('${PASSWORD} ${SECRET_KEY}');
       GRANT SELECT ON events, notes TO ${role}`,
    );
    const url = new URL(site.database.url);
    url.username = role;
    url.password = encodeURIComponent(PASSWORD);
    secrets = { DATABASE_URL: url.href, SECRET_KEY };
  });

  function assertNoSecret(ending: Ending, what: string): void {
    for (const form of forms) {
      assert.ok(!ending.stdout.includes(form), `${what}: stdout has ${form}: ${ending.stdout}`);
      assert.ok(!ending.stderr.includes(form), `${what}: stderr has ${form}: ${ending.stderr}`);
    }
  }

  async function assertNoSecretStored(): Promise<void> {
    const keys = await site.keys();
    assert.ok(keys.length > 0);
    for (const key of keys) {
      const { body, headers } = (await site.stored(key))!;
      for (const form of forms) assert.ok(!`${body.toString()}${JSON.stringify(headers)}`.includes(form), key);
    }
  }

  test('appear in no output of a command that succeeds, and in no object', async () => {
    const config = await site.writeConfig({ archives: { events: { table: 'events' } }, log: { level: 'trace' } });
    for (const args of [
      ['check', '--online'],
      ['plan', '--json'],
      ['run', '--all', '--run-id', RUN, '--json'],
      ['list'],
    ]) {
      const ending = await site.run(args, config, secrets);
      assert.equal(ending.code, 0, ending.stderr);
      assertNoSecret(ending, args.join(' '));
    }
    await assertNoSecretStored();
  });

  test('appear in no output of a command that fails', async () => {
    const url = secrets['DATABASE_URL']!;
    const config = await site.writeConfig({
      sources: {
        default: { url: '${DATABASE_URL}' },
        unreachable: { url: url.replace(/:\d+\//, ':1/') },
        refusing: { url: url.replace('Zebra', 'Zebra_') },
      },
      destinations: {
        default: site.destination(),
        unreachable: site.destination({ endpoint: 'http://127.0.0.1:1' }),
      },
      archives: {
        server_down: { table: 'events', source: 'unreachable' },
        password_wrong: { table: 'events', source: 'refusing' },
        endpoint_down: { table: 'events', destination: 'unreachable' },
        // A server that echoes the values which it does not like, at once or in the middle of the run.
        query_wrong: { query: `SELECT '${PASSWORD} ${SECRET_KEY}'::int AS n` },
        value_wrong: { query: 'SELECT note::int AS n FROM notes' },
      },
      log: { level: 'trace' },
    });
    for (const [args, code] of [
      [['check', '--online'], 1],
      [['plan', '--json'], 2],
      [['run', '--all'], 1],
    ] as const) {
      const ending = await site.run(args, config, secrets);
      assert.equal(ending.code, code, ending.stderr);
      assertNoSecret(ending, args.join(' '));
    }
    const listed = await site.run(['list', 'value_wrong', '--json'], config, secrets);
    assert.equal(listed.code, 0, listed.stderr);
    assertNoSecret(listed, 'list');
    await assertNoSecretStored();
  });

  test('appear in no output where they stand in the wrong option, or are not encoded', async () => {
    const misplaced = await site.writeConfig({
      sources: { default: { url: `postgres://${role}:${PASSWORD}@127.0.0.1:99999/x` } },
      archives: {
        events: { table: 'events', timezone: '${SECRET_KEY}', schedule: '${SECRET_KEY}', source: '${SECRET_KEY}' },
      },
      workers: { threads: '${SECRET_KEY}' },
    });
    for (const args of [['check'], ['run', '--all']]) {
      const ending = await site.run(args, misplaced, secrets);
      assert.equal(ending.code, 2, ending.stderr);
      assertNoSecret(ending, args.join(' '));
    }
  });

  test('appear neither in the command line nor in the title of a process, nor in the name of its session', async () => {
    const config = await site.writeConfig({ archives: { slow: { table: 'slow' } } });
    // The second is of the URL on the command line itself.
    for (const [view, args] of [
      ['slow', ['run', 'slow', '--config', config]],
      [
        'slow_typed',
        ['run', '--table', 'slow_typed', '--source', secrets['DATABASE_URL']!, '--to', `file://${site.folder}/typed`],
      ],
    ] as const) {
      const gated = await createGatedView(site, view, 3, 2);
      await site.database.client.query(`GRANT SELECT ON ${view} TO ${role}`);
      const cli = startCli(args, { ...site.environment, ...secrets });
      await gated.reached();
      const shown = [
        await readFile(`/proc/${cli.pid}/cmdline`, 'utf8'),
        await readFile(`/proc/${cli.pid}/comm`, 'utf8'),
        ...(await site.backends()).map(({ name }) => name),
      ];
      assert.ok(shown.length >= 4);
      for (const form of forms) assert.ok(!shown.join('\n').includes(form), form);
      await gated.open();
      const ending = await cli.ended();
      assert.equal(ending.code, 0, ending.stderr);
      assertNoSecret(ending, view);
    }
  });

  test('do not keep a role from being dropped', async () => {
    await site.database.client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });
});
