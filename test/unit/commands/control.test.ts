import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { askDaemon } from '../../../src/commands/control.ts';

test('what answers and is not the daemon is named by its place', async (t) => {
  const server = http.createServer((_, answer) => answer.end('<html></html>')).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { stdout, stderr } = process;
  const invocation = { configFile: 'unused', json: false, environment: {}, stdout, stderr };
  const { body } = await askDaemon(invocation, { url }, 'GET', '/api/state');
  assert.deepEqual(body, { error: { code: 'no-daemon', message: `what answers at ${url} is not the daemon` } });
});
