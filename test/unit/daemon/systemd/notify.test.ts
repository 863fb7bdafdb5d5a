import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, test, type TestContext } from 'node:test';
import { openCommandSender } from '../../../../src/daemon/systemd/notify-command.ts';
import { openLibcSender } from '../../../../src/daemon/systemd/notify-libc.ts';
import { openNotify } from '../../../../src/daemon/systemd/notify.ts';
import type { OpenSender } from '../../../../src/daemon/systemd/sender.ts';
import { skipWithout } from '../../../support/needs.ts';

const folder = mkdtempSync(join(tmpdir(), 'pgsluice-notify-'));
after(() => rmSync(folder, { recursive: true }));

const hasKoffi = await import('koffi').then(
  () => true,
  () => false,
);
const needsReceiver = hasKoffi ? false : 'the receiver needs koffi, which is not installed';
const needsCommand =
  needsReceiver ||
  // They come in one package.
  skipWithout('systemd-analyze', existsSync('/usr/bin/systemd-notify') ? false : 'systemd-notify is not there');

/** Stands in for systemd: binds a unix datagram socket, and prints what arrives as JSON, a line a message. */
const RECEIVER = `
  import { writeSync } from 'node:fs';
  import { default as koffi } from ${JSON.stringify(import.meta.resolve('koffi'))};
  const libc = koffi.load(null);
  const fd = libc.func('int socket(int, int, int)')(1, 2, 0);
  const name = process.argv[1];
  const path = Buffer.from(name.startsWith('@') ? '\\0' + name.slice(1) : name + '\\0');
  const address = Buffer.concat([Buffer.from(Uint16Array.of(1).buffer), path]);
  if (libc.func('int bind(int, const void *, uint32_t)')(fd, address, address.length) !== 0) process.exit(1);
  writeSync(1, '"bound"\\n');
  const recv = libc.func('intptr_t recv(int, _Out_ void *, size_t, int)');
  const buffer = Buffer.alloc(4096);
  for (;;) {
    const message = buffer.toString('utf8', 0, Number(recv(fd, buffer, buffer.length, 0)));
    // systemd-notify adds a message of its own, by which it learns that the one before was read.
    if (message !== 'BARRIER=1') writeSync(1, JSON.stringify(message) + '\\n');
  }`;

/** Starts the receiver; the returned function waits for its next message. */
async function receive(t: TestContext, socket: string): Promise<() => Promise<string>> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', RECEIVER, socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const line = await lines.next();
    assert.ok(line.done !== true, 'the receiver ended');
    return JSON.parse(line.value) as string;
  };
  assert.equal(await next(), 'bound');
  return next;
}

/** For a case in which nothing may go wrong. */
function failOnProblem(message: string): void {
  assert.fail(message);
}

const WAYS: [via: string, open: OpenSender, skip: string | false][] = [
  ['libc', openLibcSender, needsReceiver],
  ['systemd-notify', openCommandSender, needsCommand],
];

for (const [via, open, skip] of WAYS) {
  describe(`a notification through ${via}`, { skip }, () => {
    for (const socket of [join(folder, via), `@pgsluice-${via}-${process.pid}`]) {
      test(`arrives whole and in order at ${socket.startsWith('@') ? 'an abstract socket' : 'a path'}`, async (t) => {
        const next = await receive(t, socket);
        const notify = await openNotify({ NOTIFY_SOCKET: socket }, failOnProblem, [open]);
        assert.equal(notify.via, via);
        const beforeUsec = process.hrtime.bigint() / 1000n;
        notify.ready('2 archives, next run at 02:15 – ✓');
        notify.reloading();
        notify.status('two\nlines');
        notify.watchdog();
        notify.stopping('stopping, 2 runs in progress', 85_000);
        await notify.close();
        assert.equal(await next(), 'READY=1\nSTATUS=2 archives, next run at 02:15 – ✓');
        const [, usec = ''] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(await next()) ?? [];
        assert.ok(BigInt(usec) >= beforeUsec && BigInt(usec) <= process.hrtime.bigint() / 1000n);
        assert.equal(await next(), 'STATUS=two lines');
        assert.equal(await next(), 'WATCHDOG=1');
        assert.equal(await next(), 'STOPPING=1\nEXTEND_TIMEOUT_USEC=85000000\nSTATUS=stopping, 2 runs in progress');
      });
    }

    test('reports a socket that is not there once, and does not throw', async () => {
      const problems: string[] = [];
      const environment = { NOTIFY_SOCKET: join(folder, 'absent') };
      const notify = await openNotify(environment, (message) => problems.push(message), [open]);
      notify.ready('');
      notify.watchdog();
      await notify.close();
      assert.equal(problems.length, 1);
      assert.match(problems[0] ?? '', /absent.*ENOENT|No such file/s);
    });
  });
}

describe('a notification', () => {
  const missing: OpenSender = () => Promise.reject(new Error('not installed'));

  test('is nothing at all without systemd', async () => {
    const notify = await openNotify({ WATCHDOG_USEC: '60000000' }, failOnProblem);
    assert.equal(notify.via, 'none');
    assert.equal(notify.watchdogIntervalMs, undefined);
    notify.ready('');
    notify.reloading();
    notify.watchdog();
    await notify.close();
  });

  test('takes the next way when the first is missing', { skip: needsCommand }, async () => {
    const environment = { NOTIFY_SOCKET: '/nowhere' };
    const notify = await openNotify(environment, failOnProblem, [missing, openCommandSender]);
    assert.equal(notify.via, 'systemd-notify');
  });

  test('is reported as impossible, once, when there is no way', async () => {
    const problems: string[] = [];
    const notify = await openNotify({ NOTIFY_SOCKET: '/x' }, (message) => problems.push(message), [missing, missing]);
    notify.ready('');
    await notify.close();
    assert.equal(notify.via, 'none');
    assert.deepEqual(problems, ['cannot tell systemd that the service is ready: not installed; not installed']);
  });

  test('refuses an address that is not a unix socket, or too long for one', { skip: needsReceiver }, async () => {
    await assert.rejects(openLibcSender('vsock:2:1234', failOnProblem), /is not a unix socket/);
    await assert.rejects(openLibcSender(`/${'x'.repeat(107)}`, failOnProblem), /is too long/);
  });

  test('cannot be sent by a child process, as the child does not know the socket', async () => {
    process.env['NOTIFY_SOCKET'] = join(folder, 'absent');
    const notify = await openNotify(process.env, () => {});
    const child = spawnSync(process.execPath, ['--print', 'String(process.env.NOTIFY_SOCKET)'], { encoding: 'utf8' });
    assert.equal(child.stdout.trim(), 'undefined');
    await notify.close();
  });
});

describe('the watchdog interval', () => {
  const quiet: OpenSender = () => Promise.resolve({ via: 'libc', send() {}, close: () => Promise.resolve() });
  const cases: [situation: string, environment: Record<string, string>, expected: number | undefined][] = [
    ['is half of what the unit allows', { WATCHDOG_USEC: '60000000', WATCHDOG_PID: String(process.pid) }, 30_000],
    ['does not need the process id', { WATCHDOG_USEC: '3000000' }, 1500],
    ['is absent when it is meant for another process', { WATCHDOG_USEC: '3000000', WATCHDOG_PID: '1' }, undefined],
    ['is absent without a watchdog', {}, undefined],
    ['is absent when it is not a number', { WATCHDOG_USEC: 'soon' }, undefined],
  ];
  for (const [situation, environment, expected] of cases) {
    test(situation, async () => {
      const notify = await openNotify({ NOTIFY_SOCKET: '/x', ...environment }, failOnProblem, [quiet]);
      assert.equal(notify.watchdogIntervalMs, expected);
    });
  }
});
