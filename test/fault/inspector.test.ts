import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { openSite, type Site } from '../support/site.ts';

/** Has the process send itself the signal as it begins to load what it consists of. */
const SIGNAL_WHILE_LOADING = `
import { registerHooks } from 'node:module';
let isSent = false;
registerHooks({
  load(url, context, next) {
    if (!isSent && url.startsWith('file:') && !url.endsWith('/bin.js')) {
      isSent = true;
      process.kill(process.pid, 'SIGUSR1');
    }
    return next(url, context);
  },
});`;

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
  assert.doesNotMatch(stderr, /Debugger listening/);
});
