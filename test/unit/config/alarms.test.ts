import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeChanges } from '../../../src/config/diff.ts';
import { maskSecrets, secretValues } from '../../../src/config/secrets.ts';
import { load, problemsOf } from './support.ts';

const BASE = `
sources: { default: { url: postgres://localhost/db } }
destinations: { default: { url: file:///srv/archive } }
`;

function withAlarms(ping: string, rest = ''): string {
  return `${BASE}archives:\n  events:\n    table: events\n    ping: ${ping}\n${rest}`;
}

test('one URL of a ping stands for three, and a mapping for those that it has', () => {
  const one = load(withAlarms('https://hc-ping.com/0f6a2c1e-uuid'));
  assert.deepEqual(one.archives['events']?.ping, {
    start: 'https://hc-ping.com/0f6a2c1e-uuid/start',
    success: 'https://hc-ping.com/0f6a2c1e-uuid',
    failure: 'https://hc-ping.com/0f6a2c1e-uuid/fail',
  });
  const query = load(withAlarms('https://push.example.com/a/?key=secret'));
  assert.equal(query.archives['events']?.ping?.failure, 'https://push.example.com/a/fail?key=secret');
  const some = load(withAlarms('{ failure: "https://push.example.com/down" }'));
  assert.deepEqual(some.archives['events']?.ping, { failure: 'https://push.example.com/down' });
});

test('URLs of alarms are secrets, whole and by their paths, also inside of lists', () => {
  const hook = 'https://hooks.slack.com/services/T000/B000/abcdefghijklmnop0123';
  const config = load(withAlarms('https://hc-ping.com/0f6a2c1e-3b1d-4a5e-uuid', `notify: [{ url: ${hook} }]`));
  const secrets = secretValues(config);
  for (const secret of [
    hook,
    'abcdefghijklmnop0123',
    '/services/T000/B000/abcdefghijklmnop0123',
    '0f6a2c1e-3b1d-4a5e-uuid',
  ])
    assert.ok(secrets.includes(secret), secret);
  assert.doesNotMatch(JSON.stringify(maskSecrets(config)), /abcdefghijklmnop|0f6a2c1e/);
  const changed = load(withAlarms('https://hc-ping.com/other-3b1d-4a5e-uuid', `notify: [{ url: ${hook}x }]`));
  const changes = describeChanges(config, changed);
  assert.equal(changes.length, 2);
  assert.doesNotMatch(changes.join('\n'), /abcdefghijklmnop|uuid/);
});

test('what is wrong with the options of the daemon is said, without their values', () => {
  const problems = problemsOf(`${BASE}
archives:
  events: { table: events, ping: ftp://secret, catchUp: first, lateAfter: 1ms }
http: { listen: 127.0.0.1:1, hosts: ["a:80"], token: short-secret }
notify: [{ url: "https://user:secret@example.com", on: [success] }, { format: json }]
control: relative.sock
`);
  const text = problems.join('\n');
  assert.equal(problems.length, 9, text);
  assert.doesNotMatch(text, /secret/);
});
