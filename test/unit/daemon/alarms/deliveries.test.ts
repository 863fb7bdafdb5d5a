import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, test } from 'node:test';
import type { Log } from '../../../../src/base/log.ts';
import { Deliveries, type Delivery } from '../../../../src/daemon/alarms/deliveries.ts';

const calls: { path: string; body: string; type: string | undefined }[] = [];
let answers: number[] = [];
let port = 0;
const server = http.createServer((request, response) => {
  void text(request).then((body) => {
    calls.push({ path: request.url ?? '', body, type: request.headers['content-type'] });
    const status = answers.shift() ?? 200;
    if (status === 0) response.destroy();
    else if (status > 0) response.writeHead(status, { Location: `http://127.0.0.1:${port}/elsewhere` }).end();
  });
});

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
beforeEach(() => {
  calls.length = 0;
  answers = [];
});
after(() => {
  server.closeAllConnections();
  server.close();
});

function setUp() {
  const ends: string[] = [];
  const lines: unknown[] = [];
  const log = { warn: (fields: unknown) => lines.push(fields) } as unknown as Log;
  const onEnd = (kind: string, ok: boolean): void => void ends.push(`${kind} ${ok ? 'ok' : 'failed'}`);
  return { deliveries: new Deliveries({ log, onEnd, backoffMs: 1 }), ends, lines };
}

function delivery(name: string, lane = 'one', parts: Partial<Delivery> = {}): Delivery {
  const url = `http://127.0.0.1:${port}/secret/${name}`;
  return { kind: 'notify', name, lane, url, contentType: 'application/json', body: `{"name":"${name}"}`, ...parts };
}

test('an alarm is delivered once, again after answers and connections that failed, and in the order of its lane', async () => {
  const { deliveries, ends, lines } = setUp();
  answers = [503, 0, 429, 200, 200];
  deliveries.send(delivery('first'));
  deliveries.send(delivery('second'));
  await deliveries.close();
  assert.deepEqual(
    calls.map(({ path }) => path),
    ['/secret/first', '/secret/first', '/secret/first', '/secret/first', '/secret/second'],
  );
  assert.deepEqual([calls[3]?.body, calls[3]?.type], ['{"name":"first"}', 'application/json']);
  assert.deepEqual([ends, lines], [['notify ok', 'notify ok'], []]);
});

test('an alarm that is refused is not sent again, one that is never taken is given up, and neither names its URL', async () => {
  const { deliveries, ends, lines } = setUp();
  answers = [404, ...Array.from({ length: 6 }, () => 500)];
  deliveries.send(delivery('refused'));
  deliveries.send(delivery('failing'));
  await deliveries.close();
  assert.equal(calls.length, 7);
  assert.deepEqual(ends, ['notify failed', 'notify failed']);
  assert.deepEqual(lines, [
    { kind: 'notify', to: 'refused', problem: 'it answered 404' },
    { kind: 'notify', to: 'failing', problem: 'it answered 500' },
  ]);
});

test('no more than two hundred wait, and the rest is given up at once', async () => {
  const { deliveries, ends, lines } = setUp();
  for (let index = 0; index < 205; index += 1) deliveries.send(delivery(String(index)));
  assert.deepEqual([ends.length, lines.length], [5, 5]);
  await deliveries.close();
  assert.equal(calls.length, 200);
});

test('a receiver that does not answer holds up neither other receivers nor the stop for long', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { deliveries, ends } = setUp();
  answers = [-1, 200];
  deliveries.send(delivery('stuck', 'one'));
  while (calls.length < 1) await new Promise((resolve) => setImmediate(resolve));
  deliveries.send(delivery('other', 'two'));
  while (!ends.includes('notify ok')) await new Promise((resolve) => setImmediate(resolve));
  const closed = deliveries.close();
  context.mock.timers.tick(5000);
  await closed;
  assert.deepEqual(ends, ['notify ok', 'notify failed']);
});

test('a redirect is not followed, as it would send the alarm to wherever the receiver says', async () => {
  for (const status of [301, 302, 303, 307, 308]) {
    const { deliveries, ends, lines } = setUp();
    calls.length = 0;
    answers = [status];
    deliveries.send(delivery('moved'));
    await deliveries.close();
    assert.deepEqual([calls.map(({ path }) => path), ends], [['/secret/moved'], ['notify failed']]);
    const problem = `it answered ${status}; redirects are not followed: name the new URL`;
    assert.deepEqual(lines, [{ kind: 'notify', to: 'moved', problem }]);
  }
});
