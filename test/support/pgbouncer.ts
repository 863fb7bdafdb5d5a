/** A real PgBouncer in front of the test server, in transaction mode, where it is installed. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect, type AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const PROGRAMS = ['pgbouncer', '/usr/sbin/pgbouncer'];
const NOBODY = 65534;
const START_TRIES = 100;
/** Somebody else may take the port between our look and its own. */
const PORT_ATTEMPTS = 5;

export interface PgBouncer {
  /** The database that `url` names, through the pooler. */
  url: string;
  stop: () => Promise<void>;
}

/** Why it cannot be started here; undefined when it can. */
export function pgBouncerProblem(): string | undefined {
  return program() === undefined ? 'pgbouncer is not installed' : undefined;
}

function program(): string | undefined {
  return PROGRAMS.find((name) => spawnSync(name, ['--version']).status === 0);
}

/** Starts it with this many server connections, which all its clients share. */
export async function startPgBouncer(url: string, poolSize: number): Promise<PgBouncer> {
  const { hostname, port, pathname, username, password } = new URL(url);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-pgbouncer-'));
  const login = password === '' ? '' : ` password=${decodeURIComponent(password)}`;
  const file = path.join(folder, 'pgbouncer.ini');
  const iniFor = (listen: number): string[] => [
    '[databases]',
    `* = host=${hostname} port=${port} user=${username}${login}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${listen}`,
    'auth_type = any',
    'pool_mode = transaction',
    `default_pool_size = ${poolSize}`,
    'ignore_startup_parameters = extra_float_digits',
    'unix_socket_dir =',
  ];
  chmodSync(folder, 0o755);
  // It refuses to run as root.
  const account = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  let listen = 0;
  let child: ChildProcess;
  for (let attempt = 1; ; attempt += 1) {
    listen = await freePort();
    writeFileSync(file, `${iniFor(listen).join('\n')}\n`);
    child = spawn(program() ?? 'pgbouncer', [file], { stdio: 'ignore', ...account });
    await answering(listen, child);
    if (child.exitCode === null || attempt === PORT_ATTEMPTS) break;
  }
  return {
    url: `postgres://${username}@127.0.0.1:${listen}${pathname}`,
    stop: async () => {
      if (child.exitCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      rmSync(folder, { recursive: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

/** Resolves once it takes connections, or has ended. */
async function answering(port: number, child: ChildProcess): Promise<void> {
  for (let tries = 1; child.exitCode === null; tries += 1) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (tries === START_TRIES) throw error;
      await sleep(100);
    } finally {
      socket.destroy();
    }
  }
}
