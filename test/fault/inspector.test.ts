import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { openSite, type Site } from '../support/site.ts';

/** Has the process send itself the signal as it begins to load what it consists of. */
const SIGNAL_WHILE_LOADING = `
import fs from 'node:fs';
const { readFileSync } = fs;
fs.readFileSync = (file, ...rest) => {
  if (String(file).endsWith('/program/daemon.js')) {
    process.kill(process.pid, 'SIGUSR1');
    console.error('sent');
  }
  return readFileSync(file, ...rest);
};`;

let site: Site;

before(async () => {
  site = await openSite();
});

test('SIGUSR1 opens no debugger, while the program is loaded and later, and the daemon goes on', async () => {
  const config = await site.writeConfig({ archives: { t: { table: 't' } } });
  const hook = `data:text/javascript,${encodeURIComponent(SIGNAL_WHILE_LOADING)}`;
  const daemon = site.start(['daemon'], config, { NODE_OPTIONS: `--import=${hook}` });
  await daemon.waitForLog('daemon is ready');
  daemon.kill('SIGUSR1');
  // Handled in order: when the daemon has taken this one, the first would have had its effect.
  daemon.kill('SIGHUP');
  await daemon.waitForLog(({ msg }) => msg.startsWith('config reloaded'));
  daemon.kill('SIGTERM');
  const { code, stderr } = await daemon.ended();
  assert.equal(code, 0);
  assert.match(stderr, /^sent$/m);
  assert.doesNotMatch(stderr, /Debugger listening/);
});
