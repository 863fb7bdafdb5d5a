import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ABORT_LIMIT_MS, CLOSE_LIMIT_MS } from '../../src/daemon/shutdown.ts';
import { skipWithout } from '../support/needs.ts';

const UNIT = fileURLToPath(new URL('../../systemd/pgsluice.service', import.meta.url));
const WORKER_UNIT = fileURLToPath(new URL('../../systemd/pgsluice-worker.service', import.meta.url));
const SYSUSERS = fileURLToPath(new URL('../../systemd/pgsluice.sysusers.conf', import.meta.url));

/** systemd calls up to 4.9 "OK"; the unit has 1.3. */
const MAX_EXPOSURE = 2.0;

/** The default of `drainTimeout`; of a longer one, the daemon asks systemd for more time. */
const DRAIN_TIMEOUT_MS = 60_000;

const folder = mkdtempSync(join(tmpdir(), 'pgsluice-unit-'));
after(() => rmSync(folder, { recursive: true }));

/** The first version that knows `systemd-analyze security --offline` and `systemd-sysusers --dry-run`. */
const MIN_VERSION = 250;

/** Why the test cannot run here; false when it can. */
function missing(command: string): string | false {
  const { status, output } = run(command, '--version');
  if (status !== 0) return skipWithout('systemd-analyze', `${command} is not installed`);
  const [, version] = /^systemd (\d+)/.exec(output) ?? [];
  return Number(version) >= MIN_VERSION ? false : `${command} is older than ${MIN_VERSION}`;
}

function run(command: string, ...args: string[]): { status: number | null; output: string } {
  const result = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
  return { status: result.status, output: `${result.stdout}${result.stderr}` };
}

/** A copy of the unit in which pgsluice is a program that exists, as verify complains about one that is not installed. */
function installedUnit(change: (text: string) => string = (text) => text, of = UNIT): string {
  const program = join(folder, 'pgsluice');
  writeFileSync(program, '#!/bin/sh\n');
  chmodSync(program, 0o755);
  const unit = join(folder, 'pgsluice.service');
  writeFileSync(unit, change(readFileSync(of, 'utf8').replace(/^(Exec\w+=-?)pgsluice /gm, `$1${program} `)));
  return unit;
}

describe('the systemd unit', { skip: missing('systemd-analyze') }, () => {
  test('has no finding by systemd-analyze verify', () => {
    assert.deepEqual(run('systemd-analyze', 'verify', '--man=no', installedUnit()), { status: 0, output: '' });
  });

  test('checks the config before a start and before a reload', () => {
    const unit = readFileSync(UNIT, 'utf8');
    assert.match(unit, /^ExecStartPre=-pgsluice check$/m);
    assert.match(unit, /^ExecReload=pgsluice check$/m);
  });

  test('of a worker differs from it in what it runs and owns alone, and has no finding either', () => {
    const lines = (file: string): string[] =>
      readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => /^[A-Z]/.test(line));
    const [unit, worker] = [lines(UNIT), lines(WORKER_UNIT)];
    assert.deepEqual(
      worker.filter((line) => !unit.includes(line)),
      [
        'Description=Works on segments of pgsluice runs of other hosts',
        'ExecStart=pgsluice worker',
        'CacheDirectory=pgsluice-worker',
      ],
    );
    assert.deepEqual(
      unit.filter((line) => !worker.includes(line)).map((line) => line.split('=', 1)[0]),
      [
        ...['Description', 'ExecStart', 'StateDirectory', 'StateDirectoryMode'],
        ...['RuntimeDirectory', 'RuntimeDirectoryMode', 'CacheDirectory'],
      ],
    );
    assert.deepEqual(run('systemd-analyze', 'verify', '--man=no', installedUnit(undefined, WORKER_UNIT)), {
      status: 0,
      output: '',
    });
  });

  test('would be found out by verify if it had a misspelt option', () => {
    const unit = installedUnit((text) => text.replace('ProtectHome=', 'ProtectHomes='));
    assert.match(run('systemd-analyze', 'verify', '--man=no', unit).output, /ProtectHomes/);
  });

  test(`has an exposure of at most ${MAX_EXPOSURE.toFixed(1)}`, () => {
    const { output } = run('systemd-analyze', 'security', '--offline=true', '--no-pager', UNIT);
    const [, exposure] = /exposure level for pgsluice\.service: (\d+\.\d)/.exec(output) ?? [];
    assert.ok(exposure !== undefined, output);
    assert.ok(Number(exposure) <= MAX_EXPOSURE, output);
  });
});

describe('the system user', { skip: missing('systemd-sysusers') }, () => {
  test('is what systemd-sysusers would make, without a login', () => {
    const { status, output } = run('systemd-sysusers', `--root=${folder}`, '--dry-run', SYSUSERS);
    assert.equal(status, 0, output);
    assert.match(output, /user 'pgsluice'/);
  });
});

test('the unit does not forbid the memory that V8 writes machine code to', () => {
  assert.doesNotMatch(readFileSync(UNIT, 'utf8'), /^MemoryDenyWriteExecute=(yes|true|on|1)/m);
});

test('the unit gives a stop more time than a drain, an abort and the closing can take together', () => {
  const [, seconds] = /^TimeoutStopSec=(\d+)$/m.exec(readFileSync(UNIT, 'utf8')) ?? [];
  assert.ok(Number(seconds) * 1000 > DRAIN_TIMEOUT_MS + ABORT_LIMIT_MS + CLOSE_LIMIT_MS);
});

test('in the unit, SIGUSR1 opens no debugger even where nothing listens for it', () => {
  const [, options = ''] = /^Environment=NODE_OPTIONS=(.*)$/m.exec(readFileSync(UNIT, 'utf8')) ?? [];
  const script = "process.kill(process.pid, 'SIGUSR1'); setTimeout(() => {}, 300)";
  const { status, stderr } = spawnSync(process.execPath, ['-e', script], {
    env: { NODE_OPTIONS: options },
    encoding: 'utf8',
  });
  assert.deepEqual([status, stderr], [0, '']);
});
