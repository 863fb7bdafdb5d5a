import assert from 'node:assert/strict';
import { test } from 'node:test';
import { registerSecret } from '../../../../src/base/secrets.ts';
import type { Config } from '../../../../src/config/schema.ts';
import { Alarms } from '../../../../src/daemon/alarms/alarms.ts';
import type { Deliveries, Delivery } from '../../../../src/daemon/alarms/deliveries.ts';
import type { RunEnding } from '../../../../src/daemon/run-ending.ts';

const CONFIG = {
  archives: { events: { ping: { failure: 'https://ping.example/fail' } } },
  notify: [
    { url: 'https://chat.example', format: 'slack', on: ['failure'] },
    { url: 'https://hook.example', format: 'json', on: ['failure'] },
  ],
} as unknown as Config;

test('what the server said is one line of text to whoever is told, and exact in JSON', () => {
  const sent: Delivery[] = [];
  const deliveries = { send: (delivery: Delivery) => sent.push(delivery) } as unknown as Deliveries;
  const message = 'reading: \u001b[2J\nall is well\u202e<!channel>';
  const ending = {
    archive: 'events',
    run: '20261123T021500Z',
    status: 'failed',
    error: { code: 'x', message, hint: 'h' },
  };
  new Alarms(deliveries, () => CONFIG).ended(ending as unknown as RunEnding, false, false);
  const [ping = '', slack = '', json = ''] = sent.map(({ body }) => body);
  const shown = String.raw`reading: \x1b[2J\nall is well\u202e`;
  assert.equal(ping, `archive events failed, run 20261123T021500Z: ${shown}<!channel> (x)\nh`);
  const { text } = JSON.parse(slack) as { text: string };
  assert.ok(text.includes(`: ${shown}&lt;!channel&gt; (x)\nh`), text);
  const alarm = JSON.parse(json) as { text: string; error: { message: string } };
  assert.ok(alarm.text.includes(shown));
  assert.equal(alarm.error.message, message);
});

test('no secret is told to anybody, though a server echoed it', () => {
  registerSecret('c0rrect-horse');
  const sent: Delivery[] = [];
  const deliveries = { send: (delivery: Delivery) => sent.push(delivery) } as unknown as Deliveries;
  const error = { code: 'x', message: 'denied for c0rrect-horse', hint: 'ask postgres://me:open@host' };
  const ending = { archive: 'events', run: '20261123T021500Z', status: 'failed', error };
  new Alarms(deliveries, () => CONFIG).ended(ending as unknown as RunEnding, false, false);
  assert.equal(sent.length, 3);
  for (const { body } of sent) {
    assert.ok(body.includes('denied for ***') && body.includes('postgres://me:***@host'), body);
    assert.ok(!/c0rrect-horse|open/.test(body), body);
  }
});
