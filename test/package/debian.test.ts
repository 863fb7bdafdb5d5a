/**
 * The Debian package on a booted Debian without Node, by the lines of the README alone, as somebody with sudo gives them.
 * Each test goes on where the one before it ended.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { shellWord } from '../../src/base/shell-word.ts';
import { bootRoot, type CommandEnding, type Container, whyNoContainer } from '../support/container.ts';
import { debianRoot } from '../support/debian-root.ts';
import { skipWithout } from '../support/needs.ts';
import { ROOT } from '../support/package.ts';
import { openSite, type Site } from '../support/site.ts';

const ROWS = 3000;
const POLLS = 300;

/** The same package as a later version, not compressed. */
const MAKE_NEWER = `dpkg-deb --raw-extract pgsluice_*.deb newer && sed -i 's/^Version: .*/Version: 999.0.0/' newer/DEBIAN/control &&
  dpkg-deb --root-owner-group -Znone --build newer newer.deb && rm -r newer`;

const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { version: string };
const [deb] = globSync(`${ROOT}/pgsluice_${version}_${process.arch === 'x64' ? 'amd64' : process.arch}.deb`);
const unbuilt = deb === undefined && 'the package is not there: npm run package';

let container: Container;
let site: Site;

const unavailable = unbuilt || whyNoContainer() || (await setUp());

async function setUp(): Promise<string | false> {
  const root = debianRoot();
  if ('problem' in root) return root.problem;
  site = await openSite();
  await site.database.client.query(
    `CREATE TABLE public.fetch_queue (id int PRIMARY KEY, v text NOT NULL);
     INSERT INTO public.fetch_queue SELECT i, md5(i::text) FROM generate_series(1, ${ROWS}) AS i`,
  );
  container = await bootRoot(root.folder, deb!);
  try {
    await prepareOperator();
  } catch (error) {
    await container.stop();
    throw error;
  }
  return false;
}

/** Somebody with sudo, and an editor that types in what a person would: the places of this test for those of the file. */
async function prepareOperator(): Promise<void> {
  const place = `s3://archive/pg\\n    region: us-east-1\\n    endpoint: ${site.proxy.endpoint}\\n    forcePathStyle: true`;
  const { code, stderr } = await container.run(
    `set -e
    useradd --create-home --shell /bin/bash alice
    echo "127.0.1.1 $(hostname)" >>/etc/hosts
    echo 'alice ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/alice
    cat >/usr/local/bin/editor-of-test && chmod 755 /usr/local/bin/editor-of-test
    cp /tmp/*.deb /home/alice/`,
    `#!/bin/sh
    case "$1" in
      *environment*) printf '%s\\n' 'DATABASE_URL=${site.database.url}' 'AWS_ACCESS_KEY_ID=${site.s3.accessKeyId}' \\
        'AWS_SECRET_ACCESS_KEY=${site.s3.secretAccessKey}' >>"$1" ;;
      *) sed -i 's|s3://acme-archive/pg .*|${place}|; /^    region: eu-west-1$/d' "$1" ;;
    esac\n`,
  );
  assert.equal(code, 0, stderr);
}

/** Runs a line as the operator types it; a `y` is for apt, which asks before it installs more than was named. */
async function type(line: string): Promise<CommandEnding> {
  const shell = 'runuser --user alice -- env HOME=/home/alice EDITOR=editor-of-test bash --norc -c';
  return container.run(`cd /home/alice && exec ${shell} ${shellWord(line)}`, 'y\n');
}

async function good(line: string): Promise<string> {
  const { code, stdout, stderr } = await type(line);
  assert.equal(code, 0, `${line}\n${stdout}${stderr}`);
  return stdout;
}

/** The lines of the first block of a section of the README. */
function readmeLines(section: string): string[] {
  const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
  const text = readme.split(/^## /m).find((part) => part.startsWith(`${section}\n`)) ?? '';
  const block = /^```sh\n(.*?)^```$/ms.exec(text)?.[1] ?? '';
  return block.split('\n').filter((line) => line.trim() !== '');
}

async function show(property: string): Promise<string> {
  return (await good(`systemctl show pgsluice --value --property=${property}`)).trim();
}

/** The first run that is committed, once it is. */
async function firstCommitted(): Promise<string> {
  for (let poll = 0; poll < POLLS; poll += 1) {
    const runs = JSON.parse(await good('sudo pgsluice list --json')) as { run: string; status: string }[];
    const found = runs.find(({ status }) => status === 'committed');
    if (found !== undefined) return found.run;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no run was committed: ${(await type('sudo journalctl --unit pgsluice --no-pager')).stdout}`);
}

describe('the Debian package', { skip: unbuilt || skipWithout('dpkg-deb') }, () => {
  test('needs what it calls, and runs on the libc of Debian 12', () => {
    const fields = execFileSync('dpkg-deb', ['--field', deb!], { encoding: 'utf8' });
    assert.match(fields, /^Depends: .*\blibisal2\b/m);
    assert.doesNotMatch(fields, /nodejs/);
  });

  test('has the units, with the program where they look for it', () => {
    const list = execFileSync('dpkg-deb', ['--contents', deb!], { encoding: 'utf8' });
    const units = globSync('systemd/*.service', { cwd: ROOT }).map((file) => path.basename(file));
    for (const file of [...units.map((unit) => `systemd/system/${unit}`), 'sysusers.d/pgsluice.conf'])
      assert.ok(list.includes(` ./usr/lib/${file}\n`), file);
    assert.match(list, /^-rwxr-xr-x root\/root .* \.\/usr\/bin\/pgsluice$/m);
    assert.doesNotMatch(list, /^-rwxrwx|^d.......w|musl/m);
  });

  test('is without an error by lintian', { skip: skipWithout('lintian') }, () => {
    const { status, stdout } = spawnSync('lintian', ['--fail-on', 'error', deb!], { encoding: 'utf8' });
    assert.equal(status, 0, stdout);
  });
});

describe('a Debian without Node', { skip: unavailable }, () => {
  after(async () => {
    await container.stop();
  });

  test('has none', async () => {
    assert.equal((await type('command -v node nodejs npm')).stdout, '');
  });

  test('comes from the package to the first archive by the lines of the README', async () => {
    const lines = readmeLines('Install as a service');
    assert.ok(
      lines.some((line) => line.includes(path.basename(deb!))),
      lines.join('\n'),
    );
    for (const line of lines) await good(line);
    const run = await firstCommitted();
    assert.equal((await site.lines('fetch_queue', run)).length, ROWS);
    assert.equal(await good('systemctl is-active pgsluice; systemctl is-enabled pgsluice'), 'active\nenabled\n');
    assert.equal((await type('command -v node')).stdout, '');
  });

  test('compresses by ISA-L, which came along', async () => {
    assert.match(await good('sudo pgsluice check'), /gzip by isal/);
  });

  test('has the packages that are not in its bundles, for its worker too', async () => {
    const load = "Promise.all(['koffi', 'pg-boss'].map((name) => import(name))).then(() => console.log('loaded'))";
    assert.equal(await good(`cd /usr/lib/pgsluice && ./node -e ${shellWord(load)}`), 'loaded\n');
  });

  test('keeps secrets for root, and the config for the service', async () => {
    const modes = await good('sudo stat --format "%U:%G %a %n" /etc/pgsluice /etc/pgsluice/*');
    assert.deepEqual(modes.trim().split('\n'), [
      'root:root 755 /etc/pgsluice',
      'root:root 600 /etc/pgsluice/environment',
      'root:pgsluice 640 /etc/pgsluice/pgsluice.yaml',
    ]);
  });

  test('finds the variables of the service for root: list, verify, restore and run', async () => {
    assert.match(await good('sudo pgsluice list'), /committed/);
    assert.match(await good('sudo pgsluice verify fetch_queue'), /verified, 3,000 rows/);
    await good('sudo pgsluice restore fetch_queue --into public.fetch_queue_old --create');
    const { rows } = await site.database.client.query<{ count: string }>('SELECT count(*) FROM public.fetch_queue_old');
    assert.equal(rows[0]?.count, String(ROWS));
    assert.match(await good('sudo pgsluice run fetch_queue --json'), /"status": "committed"/);
  });

  test('needs no secret for status, pause, resume, trigger and cancel', async () => {
    await good('sudo mv /etc/pgsluice/environment /etc/pgsluice/aside');
    for (const command of ['status', 'pause fetch_queue', 'resume fetch_queue', 'trigger fetch_queue']) {
      const { code, stderr } = await type(`sudo pgsluice ${command}`);
      assert.deepEqual([code, stderr], [0, ''], command);
    }
    const { code, stderr } = await type('sudo pgsluice cancel fetch_queue');
    assert.ok(code === 0 || /no run|not in progress|not running/.test(stderr), stderr);
    assert.doesNotMatch(stderr, /DATABASE_URL|environment/);
    await good('sudo mv /etc/pgsluice/aside /etc/pgsluice/environment');
  });

  test('shows the man page and the completions where Debian looks for them', async () => {
    const files = [
      '/usr/share/man/man1/pgsluice.1.gz',
      '/usr/share/bash-completion/completions/pgsluice',
      '/usr/share/zsh/vendor-completions/_pgsluice',
      '/usr/share/fish/vendor_completions.d/pgsluice.fish',
    ];
    await good(`ls ${files.join(' ')}`);
  });

  test('keeps what was changed at an upgrade, and starts again what ran', async () => {
    await good('sudo pgsluice keygen /etc/pgsluice/signing.pem');
    await good(
      'sudo mkdir -p /etc/systemd/system/pgsluice.service.d && printf "[Service]\\nMemoryMax=2G\\n" | sudo tee /etc/systemd/system/pgsluice.service.d/more.conf && sudo systemctl daemon-reload',
    );
    const before = await good('sudo sha256sum /etc/pgsluice/*; sudo stat --format "%U:%G %a" /etc/pgsluice/*');
    const pid = await show('MainPID');
    await good(MAKE_NEWER);
    await good('sudo apt-get install --yes ./newer.deb');
    assert.equal(await good("dpkg-query --show --showformat='${Version}' pgsluice"), '999.0.0');
    assert.equal(await good('sudo sha256sum /etc/pgsluice/*; sudo stat --format "%U:%G %a" /etc/pgsluice/*'), before);
    assert.notEqual(await show('MainPID'), pid);
    assert.equal(await show('ActiveState'), 'active');
    assert.equal(await show('MemoryMax'), String(2 * 1024 ** 3));
    assert.match(await good('sudo journalctl --unit pgsluice --no-pager'), /daemon has stopped[^]*daemon is ready/);
    assert.equal((await type('ls /run/pgsluice-upgrade')).stdout, '');
  });

  test('leaves alone at an upgrade what did not run', async () => {
    await good('sudo systemctl stop pgsluice && sudo dpkg --install newer.deb');
    assert.equal(await show('ActiveState'), 'inactive');
    await good('sudo systemctl start pgsluice');
  });

  test('keeps config, secrets and history at a removal', async () => {
    await good('sudo apt-get remove --yes pgsluice');
    const left = await type('ls -d /var/cache/pgsluice /usr/lib/pgsluice; command -v pgsluice; pgrep -u pgsluice');
    assert.equal(left.stdout, '');
    await good('ls /etc/pgsluice/environment /etc/pgsluice/pgsluice.yaml /var/lib/pgsluice -d');
    await good('sudo apt-get install --yes ./newer.deb');
    assert.match(await good('sudo pgsluice check'), /the config is good/);
  });

  test('leaves at a purge what others have made, and nothing else', async () => {
    await good('sudo systemctl start pgsluice && sudo apt-get purge --yes pgsluice');
    const left = await type(
      'ls -d /etc/pgsluice/* /var/lib/pgsluice /var/cache/pgsluice /etc/systemd/system/*.wants/pgsluice* /etc/systemd/system/pgsluice* /run/pgsluice*; pgrep -u pgsluice',
    );
    assert.deepEqual(left.stdout.trim().split('\n').toSorted(), [
      '/etc/pgsluice/signing.pem',
      '/etc/systemd/system/pgsluice.service.d',
    ]);
    assert.match(await good('id pgsluice'), /pgsluice/);
  });
});
