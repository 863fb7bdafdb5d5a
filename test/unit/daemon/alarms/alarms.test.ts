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

test('an entry with tables that fails, and that is over, is told by its name', () => {
  const sent: Delivery[] = [];
  const deliveries = { send: (delivery: Delivery) => sent.push(delivery) } as unknown as Deliveries;
  const notify = [{ url: 'https://hook.example', format: 'json', on: ['failure', 'recovery'] }];
  const alarms = new Alarms(deliveries, () => ({ ...CONFIG, notify }) as unknown as Config);
  const failures = [{ code: 'no-such-tables', message: 'finds\nnothing', hint: 'h' }];
  alarms.tablesFailing({ name: 'events', source: 's', tables: ['a.*', 'b.*'], since: '', failures, count: 2 });
  alarms.tablesWell('events', false);
  alarms.tablesWell('events', true);
  const told = sent.map(({ body }) => JSON.parse(body) as Record<string, string>);
  assert.deepEqual(
    told.map(({ event, archive, run, text }) => [event, archive, run, text]),
    [
      [
        'failure',
        'events',
        '',
        String.raw`entry events (tables: a.*, b.*) failed: finds\nnothing (no-such-tables), and 1 further problem`,
      ],
      ['recovery', 'events', '', 'entry events: its source says again which tables there are, and each is an archive'],
      ['recovery', 'events', '', 'entry events with tables is not in the config any more; it was failing'],
    ],
  );
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
