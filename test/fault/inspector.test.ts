import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { openSite, type Site } from '../support/site.ts';

let site: Site;

before(async () => {
  site = await openSite();
});

test('SIGUSR1 opens no debugger, and the daemon goes on', async () => {
  const config = await site.writeConfig({ archives: { t: { table: 't' } } });
  const daemon = site.start(['daemon'], config);
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
