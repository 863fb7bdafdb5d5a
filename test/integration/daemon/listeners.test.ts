import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, test } from 'node:test';
import type { Log } from '../../../src/base/log.ts';
import type { Config } from '../../../src/config/schema.ts';
import { Listeners } from '../../../src/daemon/http/listeners.ts';
import type { Backend } from '../../../src/daemon/http/routes.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-listeners-'));
const control = path.join(folder, 'control.sock');

let lines: { option: string; address: string; message: string }[] = [];
let config: Config;

beforeEach(() => {
  lines = [];
  config = { http: { listen: '127.0.0.1:0', hosts: [] }, control } as unknown as Config;
});
after(() => {
  rmSync(folder, { recursive: true });
});

const write = (fields: { option: string; address: string }, message: string): void => {
  lines.push({ ...fields, message });
};
const log = { info: write, error: write } as unknown as Log;

function listeners(): Listeners {
  return new Listeners({} as Backend, () => config, log);
}

describe('the listeners', () => {
  test('are all closed by a stop that comes while they are being opened, and none is opened after it', async () => {
    const opened = listeners();
    const applying = opened.apply();
    await Promise.resolve();
    await opened.close();
    await applying;
    assert.equal(existsSync(control), false);
    const other = `${control}.other`;
    config = { ...config, control: other };
    await opened.apply();
    assert.equal(existsSync(other), false);
    assert.ok(lines.every(({ message }) => message === 'listening'));
    const [http] = lines;
    await assert.rejects(fetch(`${http?.address ?? ''}/healthz`), 'nobody listens any more');
  });

  test('name an address that cannot be listened on, keep the other one, and try it again at the next reload', async () => {
    const taken = listeners();
    await taken.apply();
    const opened = listeners();
    await opened.apply();
    const refused = lines.filter(({ message }) => message.startsWith('cannot listen'));
    assert.deepEqual(
      refused.map(({ option, address }) => [option, address]),
      [['control', control]],
    );
    await taken.close();
    await opened.apply();
    assert.equal(existsSync(control), true);
    await opened.close();
  });

  test('answer the check of health though 250 clients are slow to ask', async () => {
    const opened = listeners();
    await opened.apply();
    const address = lines.find(({ option }) => option === 'http.listen')?.address ?? '';
    const { port } = new URL(address);
    const slow = Array.from({ length: 250 }, () => net.connect(Number(port), '127.0.0.1'));
    await Promise.all(
      slow.map((socket) =>
        once(
          socket.on('error', () => undefined),
          'connect',
        ),
      ),
    );
    for (const socket of slow) if (!socket.destroyed) socket.write('GET /healthz HTTP/1.1\r\nHost: loc');
    for (let round = 0; round < 3; round += 1)
      assert.equal((await fetch(`${address}/healthz`, { signal: AbortSignal.timeout(20_000) })).status, 200);
    for (const socket of slow) socket.destroy();
    await opened.close();
  });
});
