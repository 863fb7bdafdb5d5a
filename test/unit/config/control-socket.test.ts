import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { findControlSocket } from '../../../src/config/control-socket.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-control-'));
after(() => rmSync(folder, { recursive: true }));
const file = path.join(folder, 'pgsluice.yaml');
const SERVICE = '/run/pgsluice/control.sock';
const BY_HAND = '/var/lib/pgsluice/control.sock';

function find(
  config: string,
  seen: Record<string, 'there' | 'denied'> = {},
  environment: NodeJS.ProcessEnv = {},
): string {
  writeFileSync(file, config);
  return findControlSocket(file, environment, (socket) => seen[socket] ?? 'absent');
}

describe('the socket of the daemon', () => {
  const cases: [situation: string, config: string, seen: Record<string, 'there' | 'denied'>, socket: string][] = [
    [
      'is found though variables of the config are not set',
      'sources: { a: { url: "${UNSET}" } }\ncontrol: /c.sock',
      {},
      '/c.sock',
    ],
    ['is found though the config is bad', 'control: /c.sock\nxyzzy: 1', {}, '/c.sock'],
    [
      'is that of the service, where that is there',
      'archives: {}',
      { [SERVICE]: 'there', [BY_HAND]: 'there' },
      SERVICE,
    ],
    ['is that of the service, where this user may not see it', '', { [SERVICE]: 'denied' }, SERVICE],
    ['is one that is there rather than one that may be', '', { [SERVICE]: 'denied', [BY_HAND]: 'there' }, BY_HAND],
    ['is the usual one of a daemon without systemd, where there is none', 'not: [yaml', {}, BY_HAND],
    ['is in the state of the config, and no other', 'state: /srv/x', { [SERVICE]: 'there' }, '/srv/x/control.sock'],
    ['is not guessed from a reference', 'control: "${X}"\nstate: "/a/${X}"', { [SERVICE]: 'there' }, SERVICE],
  ];
  for (const [situation, config, seen, socket] of cases) {
    test(situation, () => {
      assert.equal(find(config, seen), socket);
    });
  }

  test('is in the folders that systemd names', () => {
    assert.equal(find('', {}, { RUNTIME_DIRECTORY: '/run/a:/run/b', STATE_DIRECTORY: '/s' }), '/run/a/control.sock');
    assert.equal(find('', {}, { STATE_DIRECTORY: '/s' }), '/s/control.sock');
  });
});
