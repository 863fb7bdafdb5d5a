/** A real systemd as PID 1 of its own processes, mounts and control groups, over a throw-away layer of a root. */
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { withDeadline } from './cli.ts';
import { skipWithout } from './needs.ts';

export interface CommandEnding {
  code: number | null;
  stdout: string;
  stderr: string;
}

const SCRIPT = path.join(import.meta.dirname, 'container.sh');
const COMMANDS = ['unshare', 'nsenter', 'dbus-daemon', 'npm', 'systemctl'];
const STANDARD_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const COMMAND_TIMEOUT_S = 150;
const BOOT_ATTEMPTS = 600;

/** What npm inside needs to reach the same registry as outside. */
const PASSED_ON = /^(npm_config_|https?_proxy$|no_proxy$|NODE_EXTRA_CA_CERTS$)/i;

/** Why a container cannot be booted on this machine; false when it can. */
export function whyNoContainer(): string | false {
  if (process.platform !== 'linux') return 'only Linux has systemd';
  if (process.getuid?.() !== 0) return 'only root can boot a systemd';
  if (!['/usr/lib/systemd/systemd', '/lib/systemd/systemd'].some((file) => existsSync(file)))
    return skipWithout('systemd-analyze', 'systemd is not installed');
  const missing = COMMANDS.filter((name) => !STANDARD_PATH.split(':').some((dir) => existsSync(`${dir}/${name}`)));
  if (missing.includes('dbus-daemon')) return skipWithout('dbus-daemon', 'dbus-daemon is not installed');
  if (missing.length > 0) return `${missing.join(', ')} is not installed`;
  const { status, stderr } = spawnSync('sh', ['-c', PROBE], { encoding: 'utf8', timeout: 10_000 });
  return status === 0 ? false : `this machine permits no container: ${stderr.trim()}`;
}

/** The things that container.sh needs a right for: namespaces, an overlay of the root, and control groups. */
const PROBE = `
  set -e
  folder=$(mktemp -d)
  trap 'rmdir "$folder"' EXIT
  unshare --mount --cgroup --pid --ipc --uts --fork --propagation private sh -ec '
    mount -t tmpfs tmpfs "$1"
    mkdir "$1/upper" "$1/work" "$1/root"
    mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
    mount -t proc proc "$1/root/proc"
  ' sh "$folder"
  for group in /sys/fs/cgroup /sys/fs/cgroup/systemd; do
    [ ! -e "$group/cgroup.procs" ] || { mkdir "$group/pgsluice-probe-$$" && rmdir "$group/pgsluice-probe-$$"; }
  done`;

export class Container {
  readonly #script: ChildProcess;
  readonly #pid: number;

  constructor(script: ChildProcess, pid: number) {
    this.#script = script;
    this.#pid = pid;
  }

  /** Runs lines of shell inside, as root, in none of systemd's groups. */
  async run(script: string, input = ''): Promise<CommandEnding> {
    const child = this.start(script);
    child.stdin.on('error', () => undefined).end(input);
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    return { code: child.exitCode, stdout, stderr };
  }

  /** Starts them, for that long at most. */
  start(script: string, timeoutS = COMMAND_TIMEOUT_S): ChildProcessWithoutNullStreams {
    const entry = ['--target', String(this.#pid), '--mount', '--uts', '--ipc', '--pid', '--cgroup', '--root', '--wd'];
    // A bash whose input is a socket, as Node's pipes are, takes itself for one of rsh and would read root's ~/.bashrc.
    const limited = ['timeout', '--signal=KILL', String(timeoutS), 'bash', '--norc', '-c', script];
    return spawn('nsenter', [...entry, ...limited], {
      env: { HOME: '/root', LANG: 'C.UTF-8', PATH: STANDARD_PATH, ...passedOn() },
      stdio: 'pipe',
    });
  }

  /** Kills all that runs inside, and removes what was made for it. */
  async stop(): Promise<void> {
    const ended = once(this.#script, 'exit');
    this.#script.stdin?.end();
    await ended;
  }
}

/** Boots this machine, with the Node of the tests at /usr/local/bin/node and the package at /tmp/pgsluice.tgz. */
export async function bootContainer(tarball: string): Promise<Container> {
  return boot('/', tarball, 'pgsluice.tgz', process.execPath);
}

/** Boots another root, with the file below /tmp by its own name. */
export async function bootRoot(root: string, file: string): Promise<Container> {
  return boot(root, file, path.basename(file));
}

async function boot(root: string, ...rest: readonly string[]): Promise<Container> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'pgsluice-container-'));
  const script = spawn('sh', [SCRIPT, folder, path.basename(folder), root, ...rest], { stdio: 'pipe' });
  const trouble = text(script.stderr);
  const line = await withDeadline(
    Promise.race([once(createInterface({ input: script.stdout }), 'line'), once(script, 'exit')]),
    () => 'the container has no first process',
  );
  const pid = Number(/^pid (\d+)$/.exec(String(line[0]))?.[1]);
  if (Number.isNaN(pid)) throw new Error(`the container did not start: ${await trouble}`);
  const container = new Container(script, pid);
  await waitForBoot(container, trouble);
  return container;
}

async function waitForBoot(container: Container, trouble: Promise<string>): Promise<void> {
  let answer: CommandEnding | undefined;
  for (let attempt = 0; attempt < BOOT_ATTEMPTS; attempt += 1) {
    // Before systemd is there, with a root of its own, the question would go to that of this machine. Once it is, it answers
    // when it has booted.
    answer = await container.run(
      'grep -qz ^container=pgsluice-test$ /proc/1/environ && systemctl is-system-running --wait',
    );
    if (['running', 'degraded'].includes(answer.stdout.trim())) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await container.stop();
  throw new Error(`systemd did not boot: ${answer?.stdout ?? ''}${answer?.stderr ?? ''}${await trouble}`);
}

function passedOn(): Record<string, string> {
  const entries = Object.entries(process.env).filter(([name]) => PASSED_ON.test(name) && name !== 'npm_config_prefix');
  return Object.fromEntries(entries.map(([name, value = '']) => [name, value]));
}
