/** The service as docs/install.md makes it, under a real systemd. Each test goes on where the one before it ended. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { type LogLine, withDeadline } from '../support/cli.ts';
import { bootContainer, type Container, whyNoContainer } from '../support/container.ts';
import { Journal, logLineOf } from '../support/container-journal.ts';
import { packProject, registryProblem, ROOT } from '../support/package.ts';
import { createGatedView, createWideTable, openSite, type Site } from '../support/site.ts';

const ROWS = 3000;
const EVERY_SECOND = '* * * * * *';
const NEVER = '0 0 1 1 *';
const CONFIG = '/etc/pgsluice/pgsluice.yaml';
const DROP_INS = '/etc/systemd/system/pgsluice.service.d';
const MIB = 1024 ** 2;

/** What a shell needs to run the commands of the docs, which are written for a person who is not root. */
const SHELL = `
  set -eu -o pipefail
  cd /
  sudo() { while [ "\${1:0:1}" = - ]; do shift; done; "$@"; }`;

/** The account that the docs tell to create in Postgres; the server is shared by all tests. */
const ROLE = `pgsluice_${randomBytes(4).toString('hex')}`;

let container: Container;
let journal: Journal;
let site: Site;

const unavailable = whyNoContainer() || (await setUp());

/** Boots, and installs by the docs. Why that cannot be done; false when it was. */
async function setUp(): Promise<string | false> {
  const { tarball } = await packProject();
  site = await openSite();
  await site.database.client.query(
    `CREATE TABLE public.fetch_queue (id int PRIMARY KEY, v text NOT NULL);
     INSERT INTO public.fetch_queue SELECT i, md5(i::text) FROM generate_series(1, ${ROWS}) AS i`,
  );
  container = await bootContainer(tarball);
  journal = new Journal(container, 'pgsluice');
  const installed = await container.run(`${SHELL}\n${readmeCommands()}`);
  const problem = registryProblem(installed.stderr);
  if (installed.code !== 0 && problem !== undefined) {
    await container.stop();
    return problem;
  }
  assert.equal(installed.code, 0, installed.stderr);
  await sh(commandsOf('2. The account and the unit')[0] ?? '');
  await site.database.client.query(blocksOf('3. The Postgres role', 'sql')[0] ?? '');
  await sh(`${commandsOf('5. Config and secrets')[0]}
    printf '%s\\n' AWS_ACCESS_KEY_ID=${site.s3.accessKeyId} AWS_SECRET_ACCESS_KEY=${site.s3.secretAccessKey} >>/etc/pgsluice/environment`);
  return false;
}

/** Blocks of a section of docs/install.md, with the places of this test for those of the docs. */
function blocksOf(section: string, language: string): string[] {
  const docs = readFileSync(path.join(ROOT, 'docs/install.md'), 'utf8');
  const text = docs.split(/^## /m).find((part) => part.startsWith(`${section}\n`)) ?? '';
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, name]) => name === language)
    .map(([, , block = '']) => withOurPlaces(block));
}

/** Those of the README for the npm package; ISA-L, which it installs from Debian's registry, is of this machine. */
function readmeCommands(): string {
  const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
  const [, block = ''] = /^```sh\n(sudo npm install .*?)^```$/ms.exec(readme) ?? [];
  return withOurPackage(block.replace(/^sudo apt-get install .*\n/m, ''));
}

function withOurPackage(block: string): string {
  return block.replace(/npm install --global \.\/pgsluice-[\d.]+\.tgz/, 'npm install --global /tmp/pgsluice.tgz');
}

function commandsOf(section: string): string[] {
  return blocksOf(section, 'sh').map((block) =>
    withOurPackage(block)
      // What a person types into the editor stands behind the command.
      .replace(/sudo systemctl edit pgsluice +# \[Service\] +(.*)/g, (_, settings: string) => {
        const lines = ['[Service]', ...settings.split(/ {2,}/)].map((line) => `'${line}'`).join(' ');
        return `mkdir -p ${DROP_INS} && printf '%s\\n' ${lines} >>${DROP_INS}/override.conf && systemctl daemon-reload`;
      }),
  );
}

function withOurPlaces(block: string): string {
  const url = new URL(site.database.url);
  url.username = ROLE;
  url.password = 'change-me';
  return block
    .replaceAll('postgres://pgsluice:change-me@db.internal:5432/app?sslmode=verify-full', url.href)
    .replaceAll(/\bDATABASE app\b/g, `DATABASE ${site.database.name}`)
    .replaceAll(/\b(ROLE|TO) pgsluice\b/g, `$1 ${ROLE}`)
    .replaceAll(
      's3://acme-archive/pg\n    region: eu-west-1',
      `s3://archive/pg\n    region: us-east-1\n    endpoint: ${site.proxy.endpoint}\n    forcePathStyle: true`,
    );
}

/** Runs lines of shell inside, and gives what they print; they must succeed. */
async function sh(script: string, input = ''): Promise<string> {
  const { code, stdout, stderr } = await container.run(`${SHELL}\n${script}`, input);
  assert.equal(code, 0, `${script}\n${stdout}${stderr}`);
  return stdout;
}

/** Puts a config in place; the daemon has to be told. */
async function writeConfig(
  archives: Record<string, object>,
  url = '${DATABASE_URL}',
  log: object = { format: 'json' },
): Promise<void> {
  const config = {
    sources: { default: { url } },
    destinations: {
      default: { ...site.destination(), accessKeyId: undefined, secretAccessKey: undefined },
      disk: { url: 'file:///srv/archive' },
    },
    archives,
    log,
  };
  await sh(`cat >${CONFIG}`, JSON.stringify(config));
}

async function dropIn(name: string, ...lines: string[]): Promise<void> {
  await sh(`mkdir -p ${DROP_INS} && cat >${DROP_INS}/${name}.conf && systemctl daemon-reload`, lines.join('\n'));
}

async function properties(...names: string[]): Promise<Record<string, string>> {
  const output = await sh(`systemctl show pgsluice --property=${names.join(',')}`);
  return Object.fromEntries(
    output
      .trim()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

/** MemoryMax and MemoryHigh of the unit, and what its control group has; version 1 of these knows no MemoryHigh. */
async function memoryLimits(): Promise<{ wanted: number[]; inForce: number[] }> {
  const { MemoryMax, MemoryHigh, ControlGroup } = await properties('MemoryMax', 'MemoryHigh', 'ControlGroup');
  const files = await sh(`cd /sys/fs/cgroup
    cat memory${ControlGroup}/memory.limit_in_bytes 2>/dev/null || cat .${ControlGroup}/memory.max .${ControlGroup}/memory.high`);
  return { wanted: [Number(MemoryMax), Number(MemoryHigh)], inForce: files.trim().split('\n').map(Number) };
}

async function mainPid(): Promise<string> {
  return (await properties('MainPID'))['MainPID'] ?? '';
}

function timeOf(line: LogLine): number {
  return Date.parse(String(line['time']));
}

function committed(archive: string): (line: LogLine) => boolean {
  return (line) => line.archive === archive && line.msg === 'run committed';
}

describe('the service under systemd', { skip: unavailable }, () => {
  after(async () => {
    await container.stop();
    await site.database.client.query(`DROP OWNED BY ${ROLE}; DROP ROLE ${ROLE}`);
  });

  test('is installed by the commands of the docs: check, plan and a run work under its account', async () => {
    const output = await sh(`${commandsOf('6. Check, start')[0]}\nas_pgsluice pgsluice run fetch_queue --json`);
    assert.match(output, /ok: archives\.fetch_queue/);
    const [result] = JSON.parse(output.slice(output.indexOf('\n[') + 1)) as { run: string; status: string }[];
    assert.equal(result?.status, 'committed');
    assert.equal((await site.lines('fetch_queue', result.run)).length, ROWS);
  });

  test('leaves its variables to root: list and verify work as they are, and status says that it is not running', async () => {
    const listed = await container.run('cd / && pgsluice list fetch_queue && pgsluice verify fetch_queue');
    assert.equal(listed.code, 0, listed.stderr);
    assert.match(listed.stdout, /^fetch_queue +\S+ +committed [^]*verified, 3,000 rows/m);
    const idle = await container.run('cd / && pgsluice status');
    assert.deepEqual([idle.code, idle.stdout], [1, '']);
    assert.match(idle.stderr, /^the daemon is not running: nothing listens at \S+ \(not-running\)\n {2}hint /);
  });

  test('has started when systemctl returns, and says in its status what it does', async () => {
    const from = journal.entries.length;
    const archives = { fetch_queue: { table: 'fetch_queue', schedule: NEVER } };
    await writeConfig(archives, undefined, {});
    const start = commandsOf('6. Check, start').at(-1)!.replace('--follow', '--no-pager');
    const output = await sh(start);
    assert.match(output, /Active: active \(running\)/);
    assert.match(output, /Status: "idle; next is fetch_queue at \d{4}-01-01T00:00:00/);
    assert.match(output, /^INFO {2}daemon is ready \(archives 1, threads 2\)$/m);
    const ready = await journal.waitFor('it is ready', ({ MESSAGE }) => MESSAGE.includes('daemon is ready'), from);
    assert.equal(ready.PRIORITY, '6');
    await writeConfig(archives);
    await sh('systemctl restart pgsluice');
    assert.equal(await sh('systemctl is-active pgsluice; systemctl is-enabled pgsluice'), 'active\nenabled\n');
    const status = await container.run(
      'cd / && pgsluice status && pgsluice pause fetch_queue && pgsluice resume fetch_queue',
    );
    assert.deepEqual([status.code, status.stderr], [0, ''], status.stderr);
    assert.match(status.stdout, /^all is well: 1 archive$/m);
    const other = await container.run('cd / && setpriv --reuid nobody --regid nogroup --clear-groups pgsluice status');
    assert.match(
      other.stderr,
      /^this user may not open \/run\/pgsluice\/control\.sock \(not-allowed\)\n {2}hint .*sudo/,
    );
  });

  test('owns its folders, and cannot be looked into', async () => {
    const listing = await sh('stat --format "%U:%G %a %n" /var/lib/pgsluice /run/pgsluice /etc/pgsluice/environment');
    assert.deepEqual(listing.trim().split('\n'), [
      'pgsluice:pgsluice 700 /var/lib/pgsluice',
      'pgsluice:pgsluice 700 /run/pgsluice',
      'root:root 600 /etc/pgsluice/environment',
    ]);
  });

  test('runs without rights: no capability, no way to get one, a filter of system calls, a file system that it cannot write', async () => {
    const pid = await mainPid();
    const status = await sh(`cat /proc/${pid}/status`);
    const field = (name: string): string => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1] ?? '';
    assert.equal(field('NoNewPrivs'), '1');
    assert.equal(field('Seccomp'), '2');
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) assert.match(field(set), /^0+$/, set);
    const user = await sh('id -u pgsluice');
    assert.equal(field('Uid').split('\t')[0], user.trim());
    // Root itself cannot, once it sees what the service sees.
    const tries = await container.run(`nsenter --target ${pid} --mount -- sh -c '
      for folder in /etc /usr/local /srv /var /var/lib/pgsluice /run/pgsluice; do touch $folder/x && echo "$folder" && rm $folder/x; done
      ls -A /root /home; ls -d /proc/sys /proc/meminfo /dev/tty /dev/vda'`);
    assert.equal(tries.stdout, '/var/lib/pgsluice\n/run/pgsluice\n/home:\n\n/root:\n/dev/tty\n');
    assert.equal(tries.stderr.match(/Read-only file system/g)?.length, 4, tries.stderr);
  });

  test('has its memory limits in its control group', async () => {
    const limits = await memoryLimits();
    assert.deepEqual(limits.wanted, [1024 * MIB, 768 * MIB]);
    assert.deepEqual(limits.inForce, limits.wanted.slice(0, limits.inForce.length));
  });

  test('reloads a good config, and runs what it schedules, to a disk too', async () => {
    await sh(commandsOf('A destination on a file system')[0] ?? '');
    const from = journal.entries.length;
    await writeConfig({
      fetch_queue: { table: 'fetch_queue', schedule: EVERY_SECOND },
      on_disk: { table: 'fetch_queue', destination: 'disk', schedule: EVERY_SECOND },
      gone: { table: 'gone', schedule: EVERY_SECOND },
    });
    await sh(commandsOf('7. Change the config')[0] ?? '');
    await journal.waitForLog('config reloaded', from);
    const { run = '' } = await journal.waitForLog(committed('fetch_queue'), from);
    assert.equal((await site.lines('fetch_queue', run)).length, ROWS);
    const { run: onDisk = '' } = await journal.waitForLog(committed('on_disk'), from);
    const folder = `/srv/archive/on_disk/run=${onDisk}`;
    assert.equal(
      await sh(`zcat ${folder}/*.jsonl.gz | wc -l; stat --format %U ${folder}/_manifest.json`),
      `${ROWS}\npgsluice\n`,
    );
  });

  test('writes to the journal with levels, and JSON without what marks them', async () => {
    const isFailure = (line: LogLine): boolean => line.archive === 'gone' && line.msg === 'run failed';
    await journal.waitForLog(isFailure);
    const entries = journal.entries.filter((entry) => logLineOf(entry) !== undefined);
    const wanted = new Map([
      [30, '6'],
      [40, '4'],
      [50, '3'],
    ]);
    for (const entry of entries) assert.equal(entry.PRIORITY, wanted.get(logLineOf(entry)!.level), entry.MESSAGE);
    const errors = await sh('journalctl --unit pgsluice --priority err --output cat --no-pager');
    assert.ok(errors.split('\n').some((line) => line.startsWith('{') && isFailure(JSON.parse(line) as LogLine)));
  });

  test('refuses a bad config at a reload, says what is wrong with it, and goes on with the old one', async () => {
    const from = journal.entries.length;
    await writeConfig({ fetch_queue: { tabel: 'fetch_queue' } });
    const { code } = await container.run('systemctl reload pgsluice');
    assert.notEqual(code, 0);
    await journal.waitFor('the problem', ({ MESSAGE }) => /pgsluice\.yaml:.*did you mean "table"/.test(MESSAGE), from);
    await sh('systemctl kill --kill-who=main --signal=HUP pgsluice');
    const refused = await journal.waitForLog('the new config is bad', from);
    assert.equal(refused.level, 50);
    await journal.waitForLog((line) => committed('fetch_queue')(line) && timeOf(line) > timeOf(refused), from);
    assert.equal(await sh('systemctl is-active pgsluice'), 'active\n');
  });

  test('stays below its memory limits while it archives more than they are', async () => {
    const from = journal.entries.length;
    await sh('systemctl set-property --runtime pgsluice MemoryHigh=360M MemoryMax=400M');
    assert.equal((await memoryLimits()).inForce[0], 400 * MIB);
    await createWideTable(site, 'public.wide', 10);
    await site.database.client.query(`GRANT SELECT ON public.wide TO ${ROLE}`);
    const query = 'SELECT i AS id, w.pad FROM generate_series(1, 4500) AS i, public.wide AS w';
    await writeConfig({ wide: { query, schedule: EVERY_SECOND } });
    await sh('systemctl reload pgsluice');
    await journal.waitForLog(({ archive, msg }) => archive === 'wide' && msg === 'run starts', from);
    // Else the slot that came meanwhile would begin a second run.
    await writeConfig({ fetch_queue: { table: 'fetch_queue', schedule: NEVER } });
    await sh('systemctl reload pgsluice');
    const run = await journal.waitForLog(committed('wide'), from);
    assert.ok(Number(run['jsonBytes']) > 400 * MIB, String(run['jsonBytes']));
    const { ControlGroup, NRestarts } = await properties('ControlGroup', 'NRestarts');
    assert.equal(NRestarts, '0');
    const peak = await sh(`cd /sys/fs/cgroup
      cat memory${ControlGroup}/memory.max_usage_in_bytes 2>/dev/null || cat .${ControlGroup}/memory.peak`);
    assert.ok(Number(peak) > 50 * MIB && Number(peak) < 400 * MIB, peak);
  });

  test('reads a secret that systemd hands over as a credential, at a start and at a reload', async () => {
    await sh(commandsOf('5. Config and secrets')[1] ?? '');
    const url = '${file:/run/credentials/pgsluice.service/database_url}';
    await writeConfig({ sealed: { table: 'fetch_queue', schedule: NEVER } }, url);
    await sh('systemctl restart pgsluice');
    const from = journal.entries.length;
    await writeConfig({ sealed: { table: 'fetch_queue', schedule: EVERY_SECOND } }, url);
    await sh('systemctl reload pgsluice');
    await journal.waitForLog(committed('sealed'), from);
  });

  test('at a stop lets the run in progress commit, and takes no new one', async () => {
    const view = await createGatedView(site, 'drained', 20, 10);
    await site.database.client.query(`GRANT SELECT ON drained TO ${ROLE}`);
    const from = journal.entries.length;
    await writeConfig({ drained: { table: 'drained', schedule: EVERY_SECOND } });
    await sh('systemctl reload pgsluice');
    await view.reached();
    await sh('systemctl stop --no-block pgsluice');
    await journal.waitForLog(({ msg }) => msg.startsWith('daemon stops'), from);
    // Not for long: the sessions of pgsluice wait for a lock, which the gate is, for some seconds only.
    assert.equal((await properties('ActiveState'))['ActiveState'], 'deactivating');
    await view.open();
    await sh('systemctl stop pgsluice');
    await journal.waitForLog('daemon has stopped', from);
    const starts = journal.log.filter(({ archive, msg }) => archive === 'drained' && msg === 'run starts');
    const ends = journal.log.filter(committed('drained'));
    assert.equal(starts.length, 1);
    assert.deepEqual(
      ends.map(({ run }) => run),
      starts.map(({ run }) => run),
      journal.textFrom(from),
    );
    assert.equal((await site.lines('drained', ends[0]?.run ?? '')).length, 20);
    const { Result, ExecMainStatus } = await properties('Result', 'ExecMainStatus');
    assert.deepEqual([Result, ExecMainStatus], ['success', '0']);
  });

  test('is started again when it was killed, and takes up the run that was on', async () => {
    await dropIn('fast', '[Service]', 'RestartSec=1', 'WatchdogSec=6');
    await createWideTable(site, 'public.taken_up', 1500);
    await site.database.client.query(`GRANT SELECT ON public.taken_up TO ${ROLE}`);
    const from = journal.entries.length;
    const stalled = site.proxy.order('UploadPart', { kind: 'stall' }, 1000);
    await writeConfig({ taken_up: { table: 'taken_up', schedule: EVERY_SECOND, compression: { codec: 'none' } } });
    await sh('systemctl start pgsluice');
    await withDeadline(stalled.firstHit, () => 'no part was uploaded');
    const { run: first = '' } = await journal.waitForLog(
      ({ archive, msg }) => archive === 'taken_up' && msg === 'run starts',
      from,
    );
    await sh('systemctl kill --kill-who=main --signal=KILL pgsluice');
    site.proxy.reset();
    await journal.waitForLog((line) => committed('taken_up')(line) && line.run === first, from);
    assert.equal((await site.lines('taken_up', first)).length, 1500);
    assert.equal((await properties('NRestarts'))['NRestarts'], '1');
  });

  test('is killed and started again when it hangs', async () => {
    const from = journal.entries.length;
    const hung = await mainPid();
    await sh('systemctl kill --kill-who=main --signal=STOP pgsluice');
    await journal.waitFor('the watchdog', ({ MESSAGE }) => MESSAGE.includes('Watchdog timeout'), from);
    await journal.waitForLog(({ msg }) => msg === 'daemon is ready', from);
    await journal.waitForLog(committed('taken_up'), from);
    assert.notEqual(await mainPid(), hung);
    assert.equal((await properties('NRestarts'))['NRestarts'], '2');
  });

  for (const [what, config, limit, problem] of [
    ['a bad config', { fetch_queue: { tabel: 'fetch_queue' } }, '1G', /did you mean "table"/],
    [
      'a config that needs more memory than the unit may have',
      { fetch_queue: { table: 'fetch_queue' } },
      '128M',
      /memory/,
    ],
  ] as const) {
    test(`does not start with ${what}, says so, and is not started again`, async () => {
      await sh('systemctl stop pgsluice; systemctl reset-failed pgsluice || true');
      await dropIn('small', '[Service]', `MemoryMax=${limit}`);
      await writeConfig(config);
      const from = journal.entries.length;
      const { code } = await container.run('systemctl start pgsluice');
      assert.notEqual(code, 0);
      await journal.waitFor('the problem', ({ MESSAGE }) => problem.test(MESSAGE), from);
      assert.match((await properties('ExecStartPre'))['ExecStartPre'] ?? '', /check.*status=2/);
      const state = await properties('ActiveState', 'SubState', 'NRestarts', 'Result', 'ExecMainStatus');
      assert.deepEqual(state, {
        ActiveState: 'failed',
        SubState: 'failed',
        NRestarts: '0',
        Result: 'exit-code',
        ExecMainStatus: '2',
      });
    });
  }

  test('is gone after the commands of the docs that uninstall it', async () => {
    await sh(commandsOf('Uninstall')[0] ?? '');
    const left = await container.run(
      'ls -d /etc/pgsluice /var/lib/pgsluice /etc/systemd/system/pgsluice* /etc/sysusers.d/pgsluice*; id pgsluice; command -v pgsluice; systemctl cat pgsluice',
    );
    assert.equal(left.stdout, '');
  });
});
