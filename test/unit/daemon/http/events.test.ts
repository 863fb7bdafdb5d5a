import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { registerSecret } from '../../../../src/base/secrets.ts';
import { EventStream } from '../../../../src/daemon/http/events.ts';

test('the state that is sent as events has no secret in it, though a server echoed it', (t) => {
  registerSecret('c0rrect-horse');
  const stream = new EventStream(() => ({ error: { message: 'denied for c0rrect-horse' } }));
  t.after(() => {
    stream.close();
  });
  let written = '';
  const response = {
    writeHead: () => response,
    setHeader: () => undefined,
    flushHeaders: () => undefined,
    write: (text: string) => (written += text),
    on: () => undefined,
    end: () => undefined,
  };
  stream.add({ method: 'GET' } as unknown as IncomingMessage, response as unknown as ServerResponse);
  stream.publish();
  const [, data, again] = written.split('data: ');
  assert.equal(data?.split('\n')[0], '{"error":{"message":"denied for ***"}}');
  assert.equal(again?.split('\n')[0], '{"error":{"message":"denied for ***"}}');
});
