/** What sslmode means here is a line in the log of each command that connects: one for a source, whatever is done with it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { type CliProcess, startCli } from '../support/cli.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-test-'));
const config = path.join(folder, 'pgsluice.yaml');
after(() => {
  rmSync(folder, { recursive: true });
});

/** Nobody listens there. */
const source = (mode: string) => ({ url: `postgres://u:p@127.0.0.1:1/db?sslmode=${mode}` });

function write(sources: Record<string, unknown>): void {
  const archive = { table: 'public.t', source: 'first', retry: { attempts: 1 }, purge: { after: '1d' } };
  writeFileSync(
    config,
    JSON.stringify({
      sources: { first: source('require'), other: source('verify-ca'), ...sources },
      destinations: { default: { url: pathToFileURL(path.join(folder, 'archive')).href } },
      archives: { a: archive, b: archive, c: { ...archive, source: 'other' } },
      state: path.join(folder, 'state'),
    }),
  );
}

const start = (...args: string[]) => startCli([...args, '--config', config]);
const told = ({ log }: CliProcess) =>
  log.flatMap(({ msg, source }) => (msg.includes('means verify-full here') ? [source] : []));

test('run, restore and purge say it of the sources that they connect to, and a daemon of all, once', async () => {
  write({});
  const [run, restore, purge] = [
    start('run', '--all'),
    start('restore', 'a', '--into', 'public.t'),
    start('purge', 'a'),
  ];
  for (const cli of [run, restore, purge]) await cli.ended();
  assert.deepEqual(told(run), ['first', 'other'], run.stderr);
  assert.deepEqual(told(restore), ['first'], restore.stderr);
  assert.deepEqual(told(purge), ['first'], purge.stderr);

  const daemon = start('daemon');
  await daemon.waitForLog('daemon is ready');
  assert.deepEqual(told(daemon), ['first', 'other'], daemon.stderr);
  write({ third: source('prefer') });
  daemon.kill('SIGHUP');
  await daemon.waitForLog('config reloaded');
  daemon.kill('SIGTERM');
  await daemon.ended();
  assert.deepEqual(told(daemon), ['first', 'other', 'third'], daemon.stderr);
});
