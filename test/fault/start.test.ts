/** What goes wrong while the program starts, or keeps its compiled code for the next start. */
import assert from 'node:assert/strict';
import { globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { type Ending, runCli } from '../support/cli.ts';
import { PROGRAM } from '../support/program.ts';

/** Two screenfuls of a terminal. */
const MOST_CHARACTERS = 4000;

const caches = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-start-'));

after(() => {
  rmSync(caches, { recursive: true });
});

/** `hook` is run in the process before the program is loaded. */
function printVersion(hook: string, cache: string): Promise<Ending> {
  const url = `data:text/javascript,${encodeURIComponent(hook)}`;
  return runCli(['--version'], { NODE_OPTIONS: `--import=${url}`, XDG_CACHE_HOME: path.join(caches, cache) });
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  test(`${signal} while the code is kept comes too late: what was asked for is done`, async () => {
    const hook = `
      import { Script } from 'node:vm';
      const { createCachedData } = Script.prototype;
      Script.prototype.createCachedData = function () {
        process.kill(process.pid, '${signal}');
        console.error('sent');
        return createCachedData.call(this);
      };`;
    const { code, signal: endedBy, stderr } = await printVersion(hook, signal);
    assert.deepEqual({ code, endedBy, stderr }, { code: 0, endedBy: null, stderr: 'sent\n' });
    assert.equal(readdirSync(path.join(caches, signal, 'pgsluice')).length, 1);
  });

test('an error that nobody catches is shown with its place in the sources', async () => {
  // No error is an error: the listener fails as it looks at it.
  const hook = `
    process.stdout.on('newListener', (event) => {
      if (event === 'error') setImmediate(() => process.stdout.emit('error', undefined));
    });`;
  const { code, stderr } = await printVersion(hook, 'uncaught');
  assert.equal(code, 1);
  assert.match(stderr, /^ {4}at isClosedPipe \((?:\.\.\/)*src\/cli\.ts:\d+:\d+\)$/m);
});

test('no line of the program is a long one, as Node prints that of an error that nobody catches', () => {
  const bundles = globSync('{bin,*/*}.js', { cwd: path.dirname(PROGRAM) });
  assert.ok(bundles.includes('program/daemon.js'));
  for (const bundle of bundles) {
    const lines = readFileSync(path.join(PROGRAM, '..', bundle), 'latin1').split('\n');
    const longest = Math.max(...lines.map(({ length }) => length));
    assert.ok(longest < MOST_CHARACTERS, `${bundle}: ${longest} characters`);
  }
});
