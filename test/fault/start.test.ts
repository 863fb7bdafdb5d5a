/** What goes wrong while the program starts, or keeps its compiled code for the next start. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { type Ending, runCli } from '../support/cli.ts';

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
