import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { RestoreRequest } from '../../../src/restore/request.ts';
import { openRestoreSession } from '../../../src/restore/session.ts';

test('Ctrl-C is heard while a server that has taken the connection does not answer', async (t) => {
  const interrupt = new AbortController();
  const reason = new Error('interrupted');
  const silent = createServer((socket) => {
    socket.on('error', () => undefined);
    interrupt.abort(reason);
  });
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.after(() => silent.close());
  const { port } = silent.address() as AddressInfo;
  const request = {
    archive: { name: 'events' },
    source: { url: `postgres://app@127.0.0.1:${port}/app` },
    into: { schema: 'public', table: 'back' },
  } as unknown as RestoreRequest;
  await assert.rejects(openRestoreSession(request, '20261123T021500Z', interrupt.signal), reason);
});
